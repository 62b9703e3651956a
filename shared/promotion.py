"""What happens without a request: settling after the stream's hints, and the sweep that needs no hint."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared import audit, dynamodb, events, items, telemetry
from shared.dynamodb import Deadline
from shared.model import EventNotFound, TryAgain
from shared.settle import settle
from shared.telemetry import Metric, logger

RESERVE_S = 5.0  # of an invocation's time, kept for the last request and the answer
SWEEP_SEGMENTS = 64  # parts of the index of sold-out events, swept in random order; an empty one costs half a read


def settle_batch(records: Sequence[dict[str, Any]], time_left_s: float) -> list[str]:
    """Settle each event that the stream records name, once; return the sequence numbers of records that failed.

    A failed record comes again: one whose event could not be settled in time, and one that cannot be read.
    """
    deadline = Deadline.after(time_left_s - RESERVE_S)
    failed: list[str] = []
    by_event: dict[str, list[str]] = {}
    released_at: dict[str, list[str]] = {}
    for record in records:
        change = record["dynamodb"]
        try:
            event_id = items.event_of_key(change["Keys"])
        except (AttributeError, KeyError, TypeError):
            logger.exception("unreadable record")
            failed.append(change["SequenceNumber"])
        else:
            by_event.setdefault(event_id, []).append(change["SequenceNumber"])
            released_at.setdefault(event_id, []).extend(_released_at(change))
    for event_id, sequence_numbers in by_event.items():
        if not _settled(event_id, released_at[event_id], deadline):
            failed += sequence_numbers
    if failed:
        telemetry.outcome(Metric.RECORDS_FAILED, len(failed))
    return failed


def sweep(time_left_s: float) -> int:
    """Settle and audit every sold-out event that the time allows; return how many were done.

    The order of the parts is random: over several sweeps none is left out, unless there are more than SWEEP_SEGMENTS
    times what one sweep can do; EventsNotSwept tells long before. A sweep reports even
    when there was nothing to do: that it ran at all is what operators rely on.
    """
    deadline = Deadline.after(time_left_s - RESERVE_S)
    census: Counter[Metric] = Counter()
    for event_id in _sold_out_events(deadline):
        census.update(_audited(event_id, deadline))
    census[Metric.EVENTS_NOT_SWEPT] += deadline.has_passed  # there may be more, nobody knows how many
    sums = (Metric.EVENTS_NOT_SWEPT, Metric.AVAILABLE_TICKETS, Metric.WAITING_LIST_COUNT)
    telemetry.outcome(
        Metric.EVENTS_SWEPT, census[Metric.EVENTS_SWEPT], also={metric: census[metric] for metric in sums}
    )
    return census[Metric.EVENTS_SWEPT]


def _released_at(change: Mapping[str, Any]) -> list[str]:
    """Return when the record's ticket was released, by its own word; nothing if it released none."""
    booking = change.get("NewImage", {})
    return [booking["cancelledAt"]["S"]] if "cancelledAt" in booking else []  # else somebody joined


def _settled(event_id: str, released_at: Sequence[str], deadline: Deadline) -> bool:
    """Settle an event; its failure is its own."""
    with logger.append_context_keys(event_id=event_id):
        try:
            settle(events.read_event(event_id, deadline), deadline, released_at=released_at)
        except EventNotFound:
            logger.warning("record of an unknown event")  # nobody can wait for it
        except Exception:  # noqa: BLE001  # whatever is wrong with one event must not keep the others waiting
            logger.exception("not settled")
            return False
    return True


def _audited(event_id: str, deadline: Deadline) -> dict[Metric, int]:
    """Settle and audit an event; return its part of the sweep's census. Its failure is its own."""
    with logger.append_context_keys(event_id=event_id):
        try:
            event = events.read_event(event_id, deadline)
            seen = audit.audit(event, deadline)
            audit.report(event, seen)
        except Exception:  # noqa: BLE001  # as above
            logger.exception("not audited")
            return {Metric.EVENTS_NOT_SWEPT: 1}
    return {
        Metric.EVENTS_SWEPT: 1,
        Metric.AVAILABLE_TICKETS: seen.available,
        Metric.WAITING_LIST_COUNT: seen.waiting,
    }


def _sold_out_events(deadline: Deadline) -> Iterator[str]:
    """Yield the ids in the sparse index, until the deadline."""
    for segment in random.SystemRandom().sample(range(SWEEP_SEGMENTS), SWEEP_SEGMENTS):
        request = {"TableName": items.EVENTS, "IndexName": items.SOLD_OUT_INDEX}
        part = {"Segment": segment, "TotalSegments": SWEEP_SEGMENTS}
        try:
            for item in dynamodb.all_items("Scan", deadline, **request, **part):
                if deadline.has_passed:
                    return
                yield item["eventId"]["S"]
        except TryAgain:
            logger.warning("sweep ends early", extra={"segment": segment})
            return
