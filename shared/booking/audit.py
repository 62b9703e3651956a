"""The audit: settle one sold-out event and recount it from its bookings, entries and lanes, while bookings go on.

A count takes many requests, and what it counts moves meanwhile. Every transaction adds to `changes` of the lanes it
touches, 1 for each booking that it changes, so the lanes, read before and after, tell how many changed between; each
can have put a count out by one at the most. What is out by more than that cannot be explained by movement: it is a
violation. Nothing moved: then every difference is one. A query need not show all that one transaction did at the same
moment, so what is found is counted again, and reported if it is found again: no alarm is false. The lanes are read
before it settles, too: a ticket free beside somebody who waits, and nothing moved since, is one that settling could
not hand out.

For how long had somebody been waiting beside a free ticket, before it settled? Nothing says when a ticket came free,
but with n tickets free in the end, since the n-th last release there always was one: the n - 1 releases after it
made the others. So the moment of that release, or that when the oldest of those waiting joined if that is later, is
since when at the latest. It is a lower bound, so a busy event raises no false alarm by it either.
"""

import hashlib
import heapq
from contextlib import suppress
from dataclasses import dataclass, field

from shared import runtime, telemetry
from shared.booking import catalog
from shared.booking.settle import settle
from shared.model import Event, Lane, Status, Stuck, seconds_between
from shared.store import dynamodb, items
from shared.store.dynamodb import Deadline
from shared.store.items import Item
from shared.telemetry import Metric

RECOUNTS_MAX = 4
FRUITLESS_MAX = 3  # of its settling: where others settle or nobody can, it goes on to count
RELEASES_MAX = 1_000  # moments of releases that are kept while counting, the latest; fewer make a smaller lower bound


@dataclass(frozen=True, slots=True)
class Finding:
    """One count that does not add up. `difference` is what movement cannot explain."""

    promise: str
    difference: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an audit found."""

    findings: list[Finding] | None  # none if all adds up; None if too much moved to tell
    available: int  # tickets, and those waiting, when it was done
    waiting: int
    stranded_s: float  # somebody had waited beside a free ticket for so long at least, before it settled
    is_cancelled: bool  # the event, when it was done: nobody waits for its tickets


@dataclass(slots=True)
class _Tally:
    arrived_at: str
    free: int  # tickets, when it arrived
    confirmed: int = 0
    waiting: int = 0
    misplaced: int = 0  # bookings on another than their user's home lane, beside which there may be a second one
    entries: int = 0
    waiting_digest: int = 0  # sums of digests: equal whatever the order, in no memory
    entries_digest: int = 0
    releases: list[str] = field(default_factory=list)  # a heap of the latest, as many as there were free tickets
    oldest: str | None = None  # when the first of those joined who were waiting when it arrived

    def note(self, item: Item) -> None:
        """Count a booking."""
        status = item["status"]["S"]
        if status == Status.CONFIRMED:
            self.confirmed += 1
        elif status == Status.WAITING:
            self.waiting += 1
            self.waiting_digest += _digest(item)
        elif "bookedAt" in item:
            self._released(item["cancelledAt"]["S"], 1)
        began_at = item.get("joinedAt") or item.get("bookedAt")
        if began_at is None:
            return  # damaged
        # Earlier bookings are not kept. Each may have been a release, before this one began.
        self._released(began_at["S"], int(item["generation"]["N"]) - 1)
        waited = status == Status.WAITING or item.get("promotedAt", items.text(""))["S"] >= self.arrived_at
        if waited and (self.oldest is None or began_at["S"] < self.oldest):
            self.oldest = began_at["S"]

    def stranded_s(self) -> float:
        """Return for how long somebody had waited beside a free ticket when it arrived, as a lower bound."""
        if not self.free or self.oldest is None:
            return 0.0
        free_since = self.releases[0] if self.releases else ""
        return seconds_between(max(free_since, self.oldest), self.arrived_at)

    def _released(self, moment: str, tickets: int) -> None:
        for _ in range(min(tickets, RELEASES_MAX)):
            if len(self.releases) < min(self.free, RELEASES_MAX):
                heapq.heappush(self.releases, moment)
            elif self.releases:
                heapq.heappushpop(self.releases, moment)


def audit(event: Event, deadline: Deadline) -> Inspection:
    """Settle and recount an event that was just read.

    Reads every booking and entry once per count, RECOUNTS_MAX counts at the most.

    Raises TryAgain when the deadline passed.
    """
    findings: list[Finding] | None = None
    suspected: set[str] = set()  # promises that the count before this one found broken
    after: list[Lane] = []
    stranded_s = 0.0
    for recount in range(RECOUNTS_MAX):
        arrived_at, steps = runtime.current.now(), event.steps
        before = catalog.read_lanes(event, deadline)
        with suppress(Stuck):  # that is for the count to show
            settle(event, deadline, fruitless_max=FRUITLESS_MAX)
        tally = _count(event, deadline, _Tally(arrived_at, free=sum(lane.available for lane in before)))
        if recount == 0:
            stranded_s = tally.stranded_s()
        after = catalog.read_lanes(event, deadline)
        event = catalog.read_anew(event.event_id, deadline)  # it may have been cancelled since
        moved = sum(lane.changes for lane in after) - sum(lane.changes for lane in before)
        found = _compare(event, tally, after, moved)
        if event.steps == steps:  # no change of the event since before the lanes were read
            found += changes_lost(event, after)
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


def changes_lost(event: Event, lanes: list[Lane]) -> list[Finding]:
    """Find where lanes and event disagree (O2). All are as of one moment in what a change of the event writes.

    That the lanes have fewer or more tickets than the total is a violation only with no change under way.
    """
    differences = [abs(sum(lane.tickets for lane in lanes) - event.tickets_in_lanes)]
    if event.change is None:
        differences.append(abs(event.tickets_to_add))
        differences.append(sum(items.window(lane) != items.window(event.terms) for lane in lanes))
    return [Finding("O2", difference) for difference in differences if difference]


def report(event: Event, seen: Inspection) -> None:
    """Publish the result of an audit: who was stranded, and 0 violations, or an alarm for each."""
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
        ("P1", abs(available + tally.confirmed - sum(lane.tickets for lane in lanes))),
        ("P3", abs(tally.waiting - tally.entries)),
        ("P3", abs(waiting - tally.entries)),
    ]
    findings = [Finding(promise, out - moved) for promise, out in differences if out > moved]
    findings += [Finding("P1", -lane.available) for lane in lanes if lane.available < 0]
    if len(lanes) < event.lanes:
        findings.append(Finding("P1", event.lanes - len(lanes)))  # lanes that are gone, with their tickets
    if tally.misplaced:
        findings.append(Finding("P2", tally.misplaced))
    if moved == 0 and tally.waiting == tally.entries and tally.waiting_digest != tally.entries_digest:
        findings.append(Finding("P3", 1))  # as many as there should be, but not the same
    if moved == 0 and available > 0 and tally.entries > 0 and event.cancelled_at is None:
        findings.append(Finding("P6", min(available, tally.entries)))
    if event.emptied_at and tally.confirmed + tally.waiting > moved:
        findings.append(Finding("O3", tally.confirmed + tally.waiting - moved))
    return findings


def digest(sequence: int | str | None, booking_id: str, user_id: str) -> int:
    """Return a number from who waits, with which booking, in which place: sums of them are equal in any order."""
    place = f"{sequence}\n{booking_id}\n{user_id}"
    return int.from_bytes(hashlib.blake2b(place.encode(), digest_size=16).digest())


def _digest(item: Item) -> int:
    return digest(item["sequence"]["N"], item["bookingId"]["S"], item["userId"]["S"])
