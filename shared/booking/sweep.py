"""The sweep, which needs neither request nor record: it finds what records have missed, and audits events."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice

from shared import runtime, telemetry
from shared.booking import audit, note, resting
from shared.booking.background import follow_event
from shared.model import BACKGROUND_RESERVE_S, TryAgain, seconds_between
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
        if "emptiedAt" not in item and not follow_event(item["eventId"]["S"], until):
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
        except Exception:  # noqa: BLE001  # no fault of one event may keep the others waiting
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


def _finish_changes(deadline: Deadline) -> None:
    """Finish the changes in the index whose events are not cancelled; report those that take too long."""
    for item in islice(_indexed(items.CHANGING_INDEX, deadline), CHANGING_MAX):
        event_id = item["eventId"]["S"]
        if "cancelledAt" in item or follow_event(event_id, deadline):
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
