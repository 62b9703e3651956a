"""Work without a request: settling and emptying after stream records, and the sweep, which needs no record."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any

from shared import runtime, telemetry
from shared.booking import audit, catalog, event_cancellation, event_change, note, resting
from shared.booking.settle import settle
from shared.model import (
    BACKGROUND_RESERVE_S,
    Event,
    EventCancelled,
    EventNotFound,
    Status,
    TryAgain,
    seconds_between,
)
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.items import Item
from shared.telemetry import Metric

UNFINISHED_S_MAX = 20.0  # cancelled events and changes take at most this much of a sweep; the rest is for audits
EMPTIED_AUDIT_S = 3_600.0  # how long after emptying an event is still audited
CANCELLED_MAX = 1_000  # cancelled events that one sweep looks at
CHANGING_MAX = 1_000  # events with a change under way that one sweep looks at
CHANGE_S_MAX = 60.0  # a change takes seconds, and the background retries an unfinished one within a minute
SWEEP_SEGMENTS = 64  # parts of the index of lanes, swept in random order; an empty one costs half a read

RecordsByEvent = dict[str, list[dict[str, Any]]]  # event id -> what its records have under "dynamodb"
Work = Callable[[str, Deadline], bool]  # does the work for an event, and tells whether it is done


def settle_batch(records: Sequence[dict[str, Any]], time_left_s: float) -> list[str]:
    """Settle each event that the stream records name, once; return the sequence numbers of records that failed.

    For an event with several lanes other records only leave a note, and the note's record settles it (note.py).

    A failed record comes again: one whose event could not be settled in time, or one that cannot be read.
    """
    by_event, unreadable = _by_event(records)

    def settle_event(event_id: str, deadline: Deadline) -> bool:
        return _settle_event(event_id, by_event[event_id], deadline)

    return _each_event(by_event, unreadable, time_left_s, settle_event)


def follow_batch(records: Sequence[dict[str, Any]], time_left_s: float) -> list[str]:
    """Finish an organiser's request for each event that the records name, once; return as `settle_batch`.

    All bookings of a cancelled event are cancelled. A change of any other event is finished, if its requester has not
    done so; then the event is settled, because it may have more tickets. So is one that has just sold out, because
    tickets may have come back while its lanes were closed.
    """
    by_event, unreadable = _by_event(records)
    return _each_event(by_event, unreadable, time_left_s, _follow_event)


def _by_event(records: Sequence[dict[str, Any]]) -> tuple[RecordsByEvent, list[str]]:
    """Return the records by event, and the sequence numbers of those that cannot be read."""
    by_event: RecordsByEvent = {}
    unreadable: list[str] = []
    for one in records:
        record = one["dynamodb"]
        try:
            event_id = items.event_of_key(record["Keys"])
        except (AttributeError, KeyError, TypeError):
            telemetry.failure("unreadable record")
            unreadable.append(record["SequenceNumber"])
        else:
            by_event.setdefault(event_id, []).append(record)
    return by_event, unreadable


def _each_event(by_event: RecordsByEvent, unreadable: list[str], time_left_s: float, work: Work) -> list[str]:
    """Do the work for each event; return the sequence numbers of the records that failed."""
    deadline = Deadline.after(time_left_s - BACKGROUND_RESERVE_S)
    failed = [*unreadable]
    for event_id, records in by_event.items():
        if not work(event_id, deadline):
            failed += [record["SequenceNumber"] for record in records]
    if failed:
        telemetry.outcome(Metric.RECORDS_FAILED, len(failed))
    return failed


def sweep(time_left_s: float) -> int:
    """Settle and audit every sold-out event that has changed, and every recently cancelled one, as the time allows.

    Returns how many were done. Changed means: since its last clean audit (resting.py).

    Before that it spends up to UNFINISHED_S_MAX on cancelled events that are not emptied and on changes that were cut
    short.

    Segments come in random order, so repeated sweeps reach all; EventsNotSwept warns when they do not. An idle sweep
    reports too, because operators watch that it ran.
    """
    deadline = Deadline.after(time_left_s - BACKGROUND_RESERVE_S)
    census: Counter[Metric] = Counter()
    cancelled = list(islice(_cancelled_events(deadline), CANCELLED_MAX))
    until = deadline.within(UNFINISHED_S_MAX)
    oldest_s = 0.0
    for item in cancelled:
        if "emptiedAt" not in item and not _follow_event(item["eventId"]["S"], until):
            oldest_s = max(oldest_s, seconds_between(item["cancelledAt"]["S"], runtime.current.now()))
    _finish_changes(until)
    found = chain((item["eventId"]["S"] for item in cancelled), _events_to_sweep(deadline))
    swept: set[str] = set()
    for event_id in found:
        if event_id in swept:
            continue  # each of its lanes is in the index
        swept.add(event_id)
        census.update(audit_event(event_id, deadline))
    census[Metric.EVENTS_NOT_SWEPT] += deadline.has_passed  # there may be more; how many is unknown
    sums = (Metric.EVENTS_NOT_SWEPT, Metric.AVAILABLE_TICKETS, Metric.WAITING_LIST_COUNT, Metric.IDLE_TICKETS)
    also = {metric: float(census[metric]) for metric in sums} | {Metric.EMPTYING_AGE: oldest_s}
    telemetry.outcome(Metric.EVENTS_SWEPT, census[Metric.EVENTS_SWEPT], also=also)
    return census[Metric.EVENTS_SWEPT]


def _released_at(record: Mapping[str, Any]) -> str | None:
    """Return when the record says that tickets were released; None if it released none."""
    item, before = record.get("NewImage", {}), record.get("OldImage", {})
    if before.get("status") == items.text(Status.WAITING):
        return None  # a waiting user has no tickets to release
    if item.get("reducedAt") == before.get("reducedAt"):
        item = {name: value for name, value in item.items() if name != "reducedAt"}  # that was earlier
    names = ("cancelledAt", "expiredAt", "reducedAt", "releasedAt")  # the last one is a note's
    return next((str(item[name]["S"]) for name in names if name in item), None)  # None if a user joined


def _settle_event(event_id: str, records: Sequence[Mapping[str, Any]], deadline: Deadline) -> bool:
    """Settle an event, or leave a note; return whether it is done. A failure is logged and does not stop the others."""
    released_at = [moment for record in records if (moment := _released_at(record))]
    with telemetry.about(event_id):
        try:
            event = catalog.read_event(event_id, deadline)
            if any(items.is_note(record["Keys"]) for record in records):
                note.clear(event, deadline)
                settle(event, deadline, released_at=released_at)
            else:
                _settle_or_ask(event, deadline, released_at)
        except EventNotFound:
            telemetry.warning("record of an unknown event")  # no user can wait for it
        except Exception:  # noqa: BLE001  # no fault of one event may keep the others waiting
            telemetry.failure("not settled")
            return False
    return True


def _settle_or_ask(event: Event, deadline: Deadline, released_at: Sequence[str] = ()) -> None:
    """Settle an event with one lane: its records come one batch after the other. For any other, leave a note."""
    if event.lanes > 1:
        note.leave(event, deadline, released_at)
    else:
        settle(event, deadline, released_at=released_at)


def audit_event(event_id: str, deadline: Deadline) -> dict[Metric, int]:
    """Settle and audit an event, and let it rest if it can; return its part of the sweep's census.

    A failure is logged and does not stop the others.
    """
    with telemetry.about(event_id):
        try:
            event = note.read_and_clear(event_id, deadline)  # the note's record may have been lost; the audit settles
            seen = audit.audit(event, deadline)
            audit.report(event, seen)
            if seen.is_quiet:
                resting.begin(seen.lanes, deadline)
        except Exception:  # noqa: BLE001  # as above
            telemetry.failure("not audited")
            return {Metric.EVENTS_NOT_SWEPT: 1}
    if seen.is_cancelled:
        return {Metric.EVENTS_SWEPT: 1}
    return {
        Metric.EVENTS_SWEPT: 1,
        Metric.AVAILABLE_TICKETS: seen.available,
        Metric.WAITING_LIST_COUNT: seen.waiting,
        Metric.IDLE_TICKETS: seen.available if seen.waiting > 0 else 0,
    }


def _follow_event(event_id: str, deadline: Deadline) -> bool:
    """Empty an event that was cancelled; finish the change of any other and settle it. Return whether it is done."""
    with telemetry.about(event_id):
        try:
            _follow(event_id, deadline)
        except EventNotFound:
            telemetry.warning("record of an unknown event")
        except TryAgain:
            telemetry.warning("not done yet")  # the next call continues
            return False
        except Exception:  # noqa: BLE001  # as above
            telemetry.failure("not done")
            return False
    return True


def _follow(event_id: str, deadline: Deadline) -> None:
    try:
        event = event_change.finish(event_id, deadline)
    except EventCancelled:
        event_cancellation.empty(event_id, deadline)
    else:
        _settle_or_ask(event, deadline)


def _finish_changes(deadline: Deadline) -> None:
    """Finish the changes in the index whose events are not cancelled; report those that take too long."""
    for item in islice(_indexed(items.CHANGING_INDEX, deadline), CHANGING_MAX):
        event_id = item["eventId"]["S"]
        if "cancelledAt" in item or _follow_event(event_id, deadline):
            continue
        if seconds_between(item["requestedAt"]["S"], runtime.current.now()) > CHANGE_S_MAX:
            telemetry.outcome(Metric.CHANGE_UNFINISHED, event_id=event_id)


def _cancelled_events(deadline: Deadline) -> Iterator[Item]:
    """Yield the indexed cancelled events that are not emptied, or were emptied recently; until the deadline.

    The others leave the index.
    """
    for item in _indexed(items.CANCELLED_INDEX, deadline):
        if "emptiedAt" not in item or seconds_between(item["emptiedAt"]["S"], runtime.current.now()) < EMPTIED_AUDIT_S:
            yield item
        else:
            with suppress(TryAgain):  # the next sweep does it
                resting.retire(item["eventId"]["S"], deadline)


def _indexed(index: str, deadline: Deadline) -> Iterator[Item]:
    """Yield what a sparse index of events holds, until the deadline."""
    try:
        yield from dynamodb.all_items("Scan", deadline, TableName=items.EVENTS, IndexName=index)
    except TryAgain:
        telemetry.warning("sweep ends early")


def _events_to_sweep(deadline: Deadline) -> Iterator[str]:
    """Yield the ids of the events whose lanes are in the index, one for each lane, until the deadline."""
    for segment in runtime.current.shuffled(range(SWEEP_SEGMENTS)):
        request = {"TableName": items.LANES, "IndexName": items.TO_SWEEP_INDEX}
        part = {"Segment": segment, "TotalSegments": SWEEP_SEGMENTS}
        try:
            for item in dynamodb.all_items("Scan", deadline, **request, **part):
                if deadline.has_passed:
                    return
                yield item["sweepId"]["S"]
        except TryAgain:
            telemetry.warning("sweep ends early", segment=segment)
            return
