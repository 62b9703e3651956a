"""The audit: settle one sold-out event and recount it from its bookings, entries and lanes, while bookings go on.

A count takes many requests, and what it counts moves meanwhile. Every transaction adds 1 to `changes` of a lane
it touches, so the lanes, read before and after, tell how many came between; each can have put a count out by
one at the most. What is out by more than that cannot be explained by movement: it is a violation. Nothing moved:
then every difference is one, and no alarm is ever false. The lanes are read before it settles, too: a ticket free
beside somebody who waits, and nothing moved since, is one that settling could not hand out.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass

from shared import dynamodb, events, items, telemetry
from shared.dynamodb import Deadline
from shared.items import Item
from shared.model import Event, Lane, Status, Stuck
from shared.settle import settle
from shared.telemetry import Metric

RECOUNTS_MAX = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One count that does not add up. `difference` is what movement cannot explain."""

    promise: str
    difference: int


@dataclass(slots=True)
class _Tally:
    confirmed: int = 0
    waiting: int = 0
    entries: int = 0
    waiting_digest: int = 0  # sums of digests: equal whatever the order, in no memory
    entries_digest: int = 0


def audit(event: Event, deadline: Deadline) -> list[Finding] | None:
    """Settle and recount: return what breaks a promise, nothing if all adds up, None if too much moved to tell.

    Reads every booking and entry once per count, RECOUNTS_MAX counts at the most.

    Raises TryAgain when the deadline passed.
    """
    for _ in range(RECOUNTS_MAX):
        before = events.read_lanes(event, deadline)
        with suppress(Stuck):  # that is for the count to show
            settle(event, deadline)
        tally = _count(event, deadline)
        after = events.read_lanes(event, deadline)
        moved = sum(lane.changes for lane in after) - sum(lane.changes for lane in before)
        findings = _compare(event, tally, after, moved)
        if findings:
            return findings
        if moved == 0:
            return []
    return None


def report(event: Event, findings: list[Finding] | None) -> None:
    """Publish the result of an audit: 0 violations, or an alarm for each."""
    if findings is None:
        telemetry.outcome(Metric.AUDIT_INCONCLUSIVE, event_id=event.event_id)
        return
    for finding in findings:
        telemetry.alarm(
            Metric.PROMISE_VIOLATIONS, event_id=event.event_id, promise=finding.promise, difference=finding.difference
        )
    if not findings:
        telemetry.outcome(Metric.PROMISE_VIOLATIONS, 0, event_id=event.event_id)


def _count(event: Event, deadline: Deadline) -> _Tally:
    tally = _Tally()
    for lane in range(event.lanes):
        request = {
            "TableName": items.BOOKINGS,
            "KeyConditionExpression": "laneId = :lane",
            "ExpressionAttributeValues": {":lane": items.text(items.lane_id(event.event_id, lane))},
        }
        for item in dynamodb.all_items("query", deadline, **request, ConsistentRead=True):
            if item["status"]["S"] == Status.CONFIRMED:
                tally.confirmed += 1
            elif item["status"]["S"] == Status.WAITING:
                tally.waiting += 1
                tally.waiting_digest += _digest(item)
    request = {
        "TableName": items.WAITING_LIST,
        "KeyConditionExpression": "eventId = :event",
        "ExpressionAttributeValues": {":event": items.text(event.event_id)},
    }
    for item in dynamodb.all_items("query", deadline, **request, ConsistentRead=True):
        tally.entries += 1
        tally.entries_digest += _digest(item)
    return tally


def _compare(event: Event, tally: _Tally, lanes: list[Lane], moved: int) -> list[Finding]:
    available = sum(lane.available for lane in lanes)
    waiting = sum(lane.waiting for lane in lanes)
    differences = [
        ("P1", abs(available + tally.confirmed - event.total_tickets)),
        ("P3", abs(tally.waiting - tally.entries)),
        ("P3", abs(waiting - tally.entries)),
    ]
    findings = [Finding(promise, out - moved) for promise, out in differences if out > moved]
    findings += [Finding("P1", -lane.available) for lane in lanes if lane.available < 0]
    if moved == 0 and tally.waiting == tally.entries and tally.waiting_digest != tally.entries_digest:
        findings.append(Finding("P3", 1))  # as many as there should be, but not the same
    if moved == 0 and available > 0 and tally.entries > 0:
        findings.append(Finding("P6", min(available, tally.entries)))
    return findings


def _digest(item: Item) -> int:
    """Return a number from who waits, with which booking, in which place."""
    place = "\n".join([item["sequence"]["N"], item["bookingId"]["S"], item["userId"]["S"]])
    return int.from_bytes(hashlib.blake2b(place.encode(), digest_size=16).digest())
