"""The audit: settle one sold-out event, count its bookings, entries and lanes (tally.py), and report what is broken.

A Query is not a snapshot, so a difference is reported only if the next count finds it too.

`stranded_s` is a lower bound of how long a user had waited beside a free ticket before this audit settled. If n tickets
are free, at least one has been free since the n-th latest release. The wait began then, or when the oldest waiting user
joined, if that was later.
"""

import heapq
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from shared import runtime, telemetry
from shared.booking import catalog
from shared.booking.settle import settle
from shared.booking.tally import Count, Finding, Tally, broken_promises, changes
from shared.model import Event, Lane, Status, Stuck, later, seconds_between
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.items import Item
from shared.telemetry import Metric

RECOUNTS_MAX = 4
AUDIT_FRUITLESS_MAX = 3  # rounds in a row that promote no user, when an audit settles; after that it counts
IDLE_S = 7 * 86_400.0  # for which sweeps still show tickets that lie idle beside waiting users
RELEASES_MAX = 1_000  # latest moments of releases kept while counting; fewer make the lower bound smaller

_MOMENTS = ("joinedAt", "heldAt", "bookedAt", "promotedAt", "reducedAt", "cancelledAt", "expiredAt")


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an audit found."""

    findings: list[Finding] | None  # empty if all adds up; None if too much changed to tell
    available: int  # free tickets at the end of the audit
    waiting: int  # users waiting then
    stranded_s: float  # how long a user had waited beside a free ticket before the audit settled: a lower bound
    is_cancelled: bool  # whether the event was cancelled at the end: then no user waits for its tickets
    lanes: Sequence[Lane]  # as they were at the end
    is_quiet: bool  # whether nothing changed during the last count, nothing was broken, and time changes nothing


@dataclass(slots=True)
class _Tally(Tally):
    """Also find how long users have waited beside free tickets."""

    free: int = 0  # free tickets when the audit began
    releases: list[str] = field(default_factory=list)  # a heap of the latest ones, as many as there were free tickets
    oldest: str | None = None  # when the first of the users joined who were waiting when the audit began
    latest: str = ""  # when the last step of a booking was made

    def add_booking(self, event: Event, item: Item) -> None:
        """Count a booking, and note what it released and how long it has waited."""
        Tally.add_booking(self, event, item)
        status, quantity = item["status"]["S"], int(item.get("quantity", items.number(1))["N"])
        self.latest = max([self.latest, *(item[name]["S"] for name in _MOMENTS if name in item)])
        most = event.rules.tickets_per_booking
        if "reducedAt" in item:
            self._released(item["reducedAt"]["S"], most - quantity)
        if status in {Status.CANCELLED, Status.EXPIRED} and ("bookedAt" in item or "heldAt" in item):
            self._released((item.get("cancelledAt") or item["expiredAt"])["S"], quantity)
        began_at = item.get("joinedAt") or item.get("heldAt") or item.get("bookedAt")
        if began_at is None:
            return  # damaged
        # Earlier bookings are not kept. Each may have been a release, before this one began.
        self._released(began_at["S"], (int(item["generation"]["N"]) - 1) * most)
        # Where users may want several tickets, one who still waits may have too few beside them.
        still_waits = status == Status.WAITING and most == 1
        waited = still_waits or item.get("promotedAt", items.text(""))["S"] >= self.started_at
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
    stranded_s, is_quiet = 0.0, False
    for recount in range(RECOUNTS_MAX):
        started_at, steps = runtime.current.now(), event.steps
        # Before settling: if nothing moves from here on, settling could not give away what is still free (P6).
        before = catalog.read_lanes(event, deadline)
        with suppress(Stuck):  # the count shows whether that is a violation
            settle(event, deadline, fruitless_max=AUDIT_FRUITLESS_MAX)
        tally = _tally(event, deadline, _Tally(started_at, free=sum(lane.available for lane in before)))
        if recount == 0:
            stranded_s = tally.stranded_s()
        after = catalog.read_lanes(event, deadline)
        event = catalog.read_anew(event.event_id, deadline)  # it may have been cancelled since
        moved = changes(after) - changes(before)
        is_unchanged = event.steps == steps
        found = broken_promises(Count(event, tally, after, moved, is_at_rest=is_unchanged))
        is_quiet = not found and moved == 0 and is_unchanged and event.change is None and _is_settled(tally, after)
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
        lanes=after,
        is_quiet=is_quiet,
    )


def _is_settled(tally: _Tally, lanes: Sequence[Lane]) -> bool:
    """Tell whether no hold is to expire, and no ticket lies idle beside a user who waits, or has done so for long."""
    is_idle = any(lane.available > 0 for lane in lanes) and tally.waiting > 0
    is_recent = tally.latest > later(tally.started_at, -IDLE_S)
    return not tally.held and not (is_idle and is_recent)


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


def _tally(event: Event, deadline: Deadline, tally: _Tally) -> _Tally:
    for lane in range(event.lanes):
        bookings = items.partition(items.BOOKINGS, "laneId", items.lane_id(event.event_id, lane))
        for item in dynamodb.all_items("Query", deadline, **bookings):
            tally.add_booking(event, item)
    for stripe in range(event.stripes):
        entries = items.partition(items.WAITING_LIST, "stripeId", items.stripe_id(event.event_id, stripe))
        for item in dynamodb.all_items("Query", deadline, **entries):
            tally.add_entry(item)
    return tally
