"""What happens without a request: settling after the stream's hints, and the sweep that needs no hint."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

from shared import audit, dynamodb, events, items
from shared.dynamodb import Deadline
from shared.model import EventNotFound, TryAgain
from shared.settle import settle
from shared.telemetry import logger

RESERVE_S = 5.0  # of an invocation's time, kept for the last request and the answer
SWEEP_SEGMENTS = 8  # parts of the index of sold-out events, swept in random order


def settle_batch(records: Sequence[dict[str, Any]], time_left_s: float) -> list[str]:
    """Settle each event that the stream records name, once; return the sequence numbers of records that failed.

    A failed record comes again: one whose event could not be settled in time, and one that cannot be read.
    """
    deadline = Deadline.after(time_left_s - RESERVE_S)
    failed: list[str] = []
    by_event: dict[str, list[str]] = {}
    for record in records:
        change = record["dynamodb"]
        try:
            event_id, _, _lane = change["Keys"]["laneId"]["S"].rpartition("#")
        except (KeyError, TypeError):
            logger.exception("unreadable record")
            failed.append(change["SequenceNumber"])
        else:
            by_event.setdefault(event_id, []).append(change["SequenceNumber"])
    for event_id, sequence_numbers in by_event.items():
        if not _settled(event_id, deadline):
            failed += sequence_numbers
    return failed


def sweep(time_left_s: float) -> int:
    """Settle and audit every sold-out event that the time allows; return how many were done.

    The order is random, so that over several sweeps none is left out however many there are.
    """
    deadline = Deadline.after(time_left_s - RESERVE_S)
    swept = 0
    for event_id in _sold_out_events(deadline):
        swept += _audited(event_id, deadline)
    return swept


def _settled(event_id: str, deadline: Deadline) -> bool:
    """Settle an event; its failure is its own."""
    try:
        settle(events.read_event(event_id, deadline), deadline)
    except EventNotFound:
        logger.warning("record of an unknown event", extra={"event_id": event_id})  # nobody can wait for it
    except Exception:  # noqa: BLE001  # whatever is wrong with one event must not keep the others waiting
        logger.exception("not settled", extra={"event_id": event_id})
        return False
    return True


def _audited(event_id: str, deadline: Deadline) -> bool:
    """Settle and audit an event; its failure is its own."""
    try:
        event = events.read_event(event_id, deadline)
        audit.report(event, audit.audit(event, deadline))
    except Exception:  # noqa: BLE001  # as above
        logger.exception("not audited", extra={"event_id": event_id})
        return False
    return True


def _sold_out_events(deadline: Deadline) -> Iterator[str]:
    """Yield the ids in the sparse index, until the deadline."""
    for segment in random.sample(range(SWEEP_SEGMENTS), SWEEP_SEGMENTS):
        request = {"TableName": items.EVENTS, "IndexName": items.SOLD_OUT_INDEX}
        part = {"Segment": segment, "TotalSegments": SWEEP_SEGMENTS}
        try:
            for item in dynamodb.all_items("scan", deadline, **request, **part):
                if deadline.has_passed:
                    return
                yield item["eventId"]["S"]
        except TryAgain:
            logger.warning("sweep ends early", extra={"segment": segment})
            return
