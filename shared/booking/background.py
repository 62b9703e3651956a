"""What happens without a request: settling and emptying after the streams' hints, and the sweep that needs no hint."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from shared import runtime, telemetry
from shared.booking import audit, catalog, event_cancellation, event_change
from shared.booking.settle import settle
from shared.model import EventCancelled, EventNotFound, TryAgain, seconds_between
from shared.store import dynamodb, items
from shared.store.dynamodb import Deadline
from shared.store.items import Item
from shared.telemetry import Metric

RESERVE_S = 5.0  # of an invocation's time, kept for the last request and the answer
UNFINISHED_S_MAX = 20.0  # of a sweep's time, for cancelled events and unfinished changes: most of it is for the audits
EMPTIED_AUDIT_S = 3_600.0  # for so long an emptied event is audited; nothing of it moves any more
CANCELLED_MAX = 1_000  # cancelled events that one sweep looks at
CHANGING_MAX = 1_000  # events with a change under way that one sweep looks at
CHANGE_S_MAX = 60.0  # a change takes seconds; the background, which finishes it, retries within a minute
SWEEP_SEGMENTS = 64  # parts of the index of sold-out events, swept in random order; an empty one costs half a read


Work = Callable[[str, Sequence[str], Deadline], bool]  # what to do for an event, and whether it is done


def settle_batch(records: Sequence[dict[str, Any]], time_left_s: float) -> list[str]:
    """Settle each event that the stream records name, once; return the sequence numbers of records that failed.

    A failed record comes again: one whose event could not be settled in time, and one that cannot be read.
    """
    return _each_event(records, time_left_s, _settled)


def follow_batch(records: Sequence[dict[str, Any]], time_left_s: float) -> list[str]:
    """Do what follows from an organiser's request for each event that the records name, once; return as `settle_batch`.

    All bookings on a cancelled event are cancelled. A change of any other event is finished, if its requester has not
    done so; then the event is settled, because it may have more tickets.
    """
    return _each_event(records, time_left_s, _followed)


def _each_event(records: Sequence[dict[str, Any]], time_left_s: float, work: Work) -> list[str]:
    deadline = Deadline.after(time_left_s - RESERVE_S)
    failed: list[str] = []
    by_event: dict[str, list[str]] = {}
    released_at: dict[str, list[str]] = {}
    for record in records:
        change = record["dynamodb"]
        try:
            event_id = items.event_of_key(change["Keys"])
        except (AttributeError, KeyError, TypeError):
            telemetry.failure("unreadable record")
            failed.append(change["SequenceNumber"])
        else:
            by_event.setdefault(event_id, []).append(change["SequenceNumber"])
            released_at.setdefault(event_id, []).extend(_released_at(change))
    for event_id, sequence_numbers in by_event.items():
        if not work(event_id, released_at[event_id], deadline):
            failed += sequence_numbers
    if failed:
        telemetry.outcome(Metric.RECORDS_FAILED, len(failed))
    return failed


def sweep(time_left_s: float) -> int:
    """Settle and audit every sold-out or lately cancelled event that the time allows; return how many were done.

    Before that it goes on with cancelled events that are not emptied, and with changes that were cut short, for
    UNFINISHED_S_MAX.

    The order of the parts is random: over several sweeps none is left out, unless there are more than SWEEP_SEGMENTS
    times what one sweep can do; EventsNotSwept tells long before. A sweep reports even
    when there was nothing to do: that it ran at all is what operators rely on.
    """
    deadline = Deadline.after(time_left_s - RESERVE_S)
    census: Counter[Metric] = Counter()
    cancelled = list(islice(_cancelled_events(deadline), CANCELLED_MAX))
    until = deadline.within(UNFINISHED_S_MAX)
    oldest_s = 0.0
    for item in cancelled:
        if "emptiedAt" not in item and not _followed(item["eventId"]["S"], (), until):
            oldest_s = max(oldest_s, seconds_between(item["cancelledAt"]["S"], runtime.current.now()))
    _finish_changes(until)
    never_sold_out = (item["eventId"]["S"] for item in cancelled if "soldOutAt" not in item)
    for event_id in chain(never_sold_out, _sold_out_events(deadline)):
        census.update(_audited(event_id, deadline))
    census[Metric.EVENTS_NOT_SWEPT] += deadline.has_passed  # there may be more, nobody knows how many
    sums = (Metric.EVENTS_NOT_SWEPT, Metric.AVAILABLE_TICKETS, Metric.WAITING_LIST_COUNT)
    also = {metric: float(census[metric]) for metric in sums} | {Metric.EMPTYING_AGE: oldest_s}
    telemetry.outcome(Metric.EVENTS_SWEPT, census[Metric.EVENTS_SWEPT], also=also)
    return census[Metric.EVENTS_SWEPT]


def _released_at(change: Mapping[str, Any]) -> list[str]:
    """Return when the record's ticket was released, by its own word; nothing if it released none."""
    booking = change.get("NewImage", {})
    return [booking["cancelledAt"]["S"]] if "cancelledAt" in booking else []  # else somebody joined


def _settled(event_id: str, released_at: Sequence[str], deadline: Deadline) -> bool:
    """Settle an event; its failure is its own."""
    with telemetry.about(event_id):
        try:
            settle(catalog.read_event(event_id, deadline), deadline, released_at=released_at)
        except EventNotFound:
            telemetry.warning("record of an unknown event")  # nobody can wait for it
        except Exception:  # noqa: BLE001  # whatever is wrong with one event must not keep the others waiting
            telemetry.failure("not settled")
            return False
    return True


def _audited(event_id: str, deadline: Deadline) -> dict[Metric, int]:
    """Settle and audit an event; return its part of the sweep's census. Its failure is its own."""
    with telemetry.about(event_id):
        try:
            event = catalog.read_anew(event_id, deadline)
            seen = audit.audit(event, deadline)
            audit.report(event, seen)
        except Exception:  # noqa: BLE001  # as above
            telemetry.failure("not audited")
            return {Metric.EVENTS_NOT_SWEPT: 1}
    if seen.is_cancelled:
        return {Metric.EVENTS_SWEPT: 1}
    return {
        Metric.EVENTS_SWEPT: 1,
        Metric.AVAILABLE_TICKETS: seen.available,
        Metric.WAITING_LIST_COUNT: seen.waiting,
    }


def _followed(event_id: str, _released_at: Sequence[str], deadline: Deadline) -> bool:
    """Empty an event that was cancelled; finish the change of any other and settle it. Return whether it is done."""
    with telemetry.about(event_id):
        try:
            _follow(event_id, deadline)
        except EventNotFound:
            telemetry.warning("record of an unknown event")
        except TryAgain:
            telemetry.warning("not done yet")  # whoever comes next goes on
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
        settle(event, deadline)


def _finish_changes(deadline: Deadline) -> None:
    """Finish the changes that the index has of events that are not cancelled; report those that go on for too long."""
    for item in islice(_indexed(items.CHANGING_INDEX, deadline), CHANGING_MAX):
        event_id = item["eventId"]["S"]
        if "cancelledAt" in item or _followed(event_id, (), deadline):
            continue
        if seconds_between(item["requestedAt"]["S"], runtime.current.now()) > CHANGE_S_MAX:
            telemetry.outcome(Metric.CHANGE_UNFINISHED, event_id=event_id)


def _cancelled_events(deadline: Deadline) -> Iterator[Item]:
    """Yield what the index has of cancelled events that are not emptied, or not for long; until the deadline."""
    for item in _indexed(items.CANCELLED_INDEX, deadline):
        if "emptiedAt" not in item or seconds_between(item["emptiedAt"]["S"], runtime.current.now()) < EMPTIED_AUDIT_S:
            yield item


def _indexed(index: str, deadline: Deadline) -> Iterator[Item]:
    """Yield what a sparse index of events holds, until the deadline."""
    try:
        yield from dynamodb.all_items("Scan", deadline, TableName=items.EVENTS, IndexName=index)
    except TryAgain:
        telemetry.warning("sweep ends early")


def _sold_out_events(deadline: Deadline) -> Iterator[str]:
    """Yield the ids in the sparse index, until the deadline."""
    for segment in runtime.current.shuffled(range(SWEEP_SEGMENTS)):
        request = {"TableName": items.EVENTS, "IndexName": items.SOLD_OUT_INDEX}
        part = {"Segment": segment, "TotalSegments": SWEEP_SEGMENTS}
        try:
            for item in dynamodb.all_items("Scan", deadline, **request, **part):
                if deadline.has_passed:
                    return
                yield item["eventId"]["S"]
        except TryAgain:
            telemetry.warning("sweep ends early", segment=segment)
            return
