"""The audit: settle one sold-out event and recount it from its bookings, entries and lanes, while bookings go on.

Counting takes many requests, and bookings go on. Lanes are read before and after: the growth of `changes` bounds how
many bookings changed, and each can shift a count by one. A larger difference is a violation. A Query is not a snapshot,
so a difference is reported only if the next count finds it too.

`stranded_s` is a lower bound of how long a user had waited beside a free ticket before this audit settled. If n tickets
are free, at least one has been free since the n-th latest release. The wait began then, or when the oldest waiting user
joined, if that was later.
"""

import hashlib
import heapq
from contextlib import suppress
from dataclasses import dataclass, field

from shared import runtime, telemetry
from shared.booking import catalog
from shared.booking.settle import settle
from shared.model import Event, Lane, Status, Stuck, later, seconds_between
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.items import Item
from shared.telemetry import Metric

RECOUNTS_MAX = 4
AUDIT_FRUITLESS_MAX = 3  # rounds in a row that promote no user, when an audit settles; after that it counts
OVERDUE_S_MAX = 120.0  # how long after its expiry a hold may still wait to be expired (H3)
RELEASES_MAX = 1_000  # latest moments of releases kept while counting; fewer make the lower bound smaller


@dataclass(frozen=True, slots=True)
class Finding:
    """One count that does not add up. `difference` is the part that concurrent changes cannot explain."""

    promise: str
    difference: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an audit found."""

    findings: list[Finding] | None  # empty if all adds up; None if too much changed to tell
    available: int  # free tickets at the end of the audit
    waiting: int  # users waiting then
    stranded_s: float  # how long a user had waited beside a free ticket before the audit settled: a lower bound
    is_cancelled: bool  # whether the event was cancelled at the end: then no user waits for its tickets


@dataclass(slots=True)
class _Tally:
    started_at: str  # when the audit began
    free: int  # free tickets then
    owned: int = 0  # tickets that are held or confirmed
    overdue: int = 0  # holds that should have ended long ago
    waiting: int = 0
    misplaced: int = 0  # bookings that are not on their user's home lane, which may have a second one
    entries: int = 0
    waiting_digest: int = 0  # sums of digests: the order does not matter, and they take no memory
    entries_digest: int = 0
    releases: list[str] = field(default_factory=list)  # a heap of the latest ones, as many as there were free tickets
    oldest: str | None = None  # when the first of the users joined who were waiting when the audit began

    def note(self, item: Item) -> None:
        """Count a booking."""
        status = item["status"]["S"]
        quantity = int(item.get("quantity", items.number(1))["N"])
        if status in {Status.CONFIRMED, Status.HELD}:
            self.owned += quantity
            self.overdue += status == Status.HELD and item["expiresAt"]["S"] < later(self.started_at, -OVERDUE_S_MAX)
        elif status == Status.WAITING:
            self.waiting += 1
            self.waiting_digest += _digest(item)
        elif "bookedAt" in item or "heldAt" in item:
            self._released((item.get("cancelledAt") or item["expiredAt"])["S"], quantity)
        began_at = item.get("joinedAt") or item.get("heldAt") or item.get("bookedAt")
        if began_at is None:
            return  # damaged
        # Earlier bookings are not kept. Each may have been a release, before this one began.
        self._released(began_at["S"], int(item["generation"]["N"]) - 1)
        waited = status == Status.WAITING or item.get("promotedAt", items.text(""))["S"] >= self.started_at
        if waited and (self.oldest is None or began_at["S"] < self.oldest):
            self.oldest = began_at["S"]

    def stranded_s(self) -> float:
        """Return a lower bound of how long a user had waited beside a free ticket when the audit began."""
        if not self.free or self.oldest is None:
            return 0.0
        free_since = self.releases[0] if self.releases else ""
        return seconds_between(max(free_since, self.oldest), self.started_at)

    def _released(self, moment: str, tickets: int) -> None:
        for _ in range(min(tickets, RELEASES_MAX)):
            if len(self.releases) < min(self.free, RELEASES_MAX):
                heapq.heappush(self.releases, moment)
            elif self.releases:
                heapq.heappushpop(self.releases, moment)


def audit(event: Event, deadline: Deadline) -> Inspection:
    """Settle and recount an event that was just read.

    Reads every booking and entry once per count, at most RECOUNTS_MAX counts.

    Raises TryAgain if the deadline passes.
    """
    findings: list[Finding] | None = None
    suspected: set[str] = set()  # promises that the previous count found broken
    after: list[Lane] = []
    stranded_s = 0.0
    for recount in range(RECOUNTS_MAX):
        started_at, steps = runtime.current.now(), event.steps
        # Before settling: if nothing moves from here on, settling could not give away what is still free (P6).
        before = catalog.read_lanes(event, deadline)
        with suppress(Stuck):  # the count shows whether that is a violation
            settle(event, deadline, fruitless_max=AUDIT_FRUITLESS_MAX)
        tally = _count(event, deadline, _Tally(started_at, free=sum(lane.available for lane in before)))
        if recount == 0:
            stranded_s = tally.stranded_s()
        after = catalog.read_lanes(event, deadline)
        event = catalog.read_anew(event.event_id, deadline)  # it may have been cancelled since
        moved = sum(lane.changes for lane in after) - sum(lane.changes for lane in before)
        found = _compare(event, tally, after, moved)
        if event.steps == steps:  # no change of the event since before the lanes were read
            found += disagreements(event, after)
        findings = [finding for finding in found if finding.promise in suspected]
        if findings or (not found and moved == 0):
            break
        findings, suspected = None, {finding.promise for finding in found}
    return Inspection(
        findings,
        available=sum(lane.available for lane in after),
        waiting=sum(lane.waiting for lane in after),
        stranded_s=0.0 if event.cancelled_at else stranded_s,
        is_cancelled=event.cancelled_at is not None,
    )


def disagreements(event: Event, lanes: list[Lane]) -> list[Finding]:
    """Find where lanes and event disagree (O2). Valid only if no change of the event wrote between the reads.

    Lanes with fewer or more tickets than the total are a violation only if no change is under way.
    """
    differences = [abs(sum(lane.tickets for lane in lanes) - event.tickets_in_lanes)]
    if event.change is None:
        differences.append(abs(event.tickets_to_add))
        differences.append(sum(items.window(lane) != items.window(event.terms) for lane in lanes))
    return [Finding("O2", difference) for difference in differences if difference]


def report(event: Event, seen: Inspection) -> None:
    """Publish the result of an audit: how long users were stranded, and 0 violations or an alarm for each."""
    if seen.stranded_s:
        telemetry.outcome(Metric.STRANDED_AGE, seen.stranded_s, event_id=event.event_id)
    if seen.findings is None:
        telemetry.outcome(Metric.AUDIT_INCONCLUSIVE, event_id=event.event_id)
        return
    for finding in seen.findings:
        telemetry.alarm(
            Metric.PROMISE_VIOLATIONS, event_id=event.event_id, promise=finding.promise, difference=finding.difference
        )
    if not seen.findings:
        telemetry.outcome(
            Metric.PROMISE_VIOLATIONS, 0, event_id=event.event_id, available=seen.available, waiting=seen.waiting
        )


def _count(event: Event, deadline: Deadline, tally: _Tally) -> _Tally:
    for lane in range(event.lanes):
        bookings = items.partition(items.BOOKINGS, "laneId", items.lane_id(event.event_id, lane))
        for item in dynamodb.all_items("Query", deadline, **bookings):
            tally.note(item)
            tally.misplaced += event.home_lane(item["userId"]["S"]) != lane
    for stripe in range(event.stripes):
        entries = items.partition(items.WAITING_LIST, "stripeId", items.stripe_id(event.event_id, stripe))
        for item in dynamodb.all_items("Query", deadline, **entries):
            tally.entries += 1
            tally.entries_digest += _digest(item)
    return tally


def _compare(event: Event, tally: _Tally, lanes: list[Lane], moved: int) -> list[Finding]:
    available = sum(lane.available for lane in lanes)
    waiting = sum(lane.waiting for lane in lanes)
    differences = [
        ("P1", abs(available + tally.owned - sum(lane.tickets for lane in lanes))),
        ("P3", abs(tally.waiting - tally.entries)),
        ("P3", abs(waiting - tally.entries)),
    ]
    findings = [Finding(promise, out - moved) for promise, out in differences if out > moved]
    findings += [Finding("P1", -lane.available) for lane in lanes if lane.available < 0]
    if len(lanes) < event.lanes:
        findings.append(Finding("P1", event.lanes - len(lanes)))  # missing lanes, with their tickets
    if tally.overdue:
        findings.append(Finding("H3", tally.overdue))
    if tally.misplaced:
        findings.append(Finding("P2", tally.misplaced))
    if moved == 0 and tally.waiting == tally.entries and tally.waiting_digest != tally.entries_digest:
        findings.append(Finding("P3", 1))  # the right number, but not the same users
    if moved == 0 and available > 0 and tally.entries > 0 and event.cancelled_at is None:
        findings.append(Finding("P6", min(available, tally.entries)))
    if event.emptied_at and tally.owned + tally.waiting > moved:
        findings.append(Finding("O3", tally.owned + tally.waiting - moved))
    return findings


def digest(sequence: int | str | None, booking_id: str, user_id: str) -> int:
    """Return a number for a user's place in the list. Sums of these numbers are equal in any order."""
    place = f"{sequence}\n{booking_id}\n{user_id}"
    return int.from_bytes(hashlib.blake2b(place.encode(), digest_size=16).digest())


def _digest(item: Item) -> int:
    return digest(item["sequence"]["N"], item["bookingId"]["S"], item["userId"]["S"])
