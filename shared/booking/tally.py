"""One count of an event, and its judgement: the sweep's audit and the operator's audit share both.

Counting takes many requests, and bookings go on. Lanes are read before and after: the growth of `changes` bounds how
many tickets and places changed, and each can shift a sum by one. Only a larger difference is a violation, and a count
during which nothing changed is exact.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from shared.model import Event, Lane, Status, later
from shared.store import items
from shared.store.items import Item

OVERDUE_S_MAX = 120.0  # how long after its expiry a hold may still wait to be expired (H3)


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken promise. `difference` is the part that concurrent changes cannot explain."""

    promise: str
    difference: int


@dataclass(slots=True)
class Tally:
    """The sums of all bookings and entries, each read once. They take no memory for each booking."""

    started_at: str  # when the count began
    bookings: int = 0
    confirmed: int = 0  # tickets
    held: int = 0  # tickets
    checked_in: int = 0  # tickets
    overdue: int = 0  # holds that should have ended long ago
    waiting: int = 0
    misplaced: int = 0  # bookings of another event, or not on their user's home lane: the user may have a second one
    entries: int = 0
    difference: int = 0  # digests of WAITING bookings less digests of entries: 0 if they are the same
    head: tuple[int, int] | None = None  # of the list: its number, and how many tickets it takes at least

    @property
    def owned(self) -> int:
        """Return the number of tickets that are held or confirmed."""
        return self.confirmed + self.held

    def add_booking(self, event: Event, item: Item) -> None:
        """Count a booking."""
        self.bookings += 1
        home = items.booking_key(event, item["userId"]["S"])["laneId"]
        self.misplaced += item["laneId"] != home or item.get("eventId") != items.text(event.event_id)
        status, quantity = item["status"]["S"], int(item.get("quantity", items.number(1))["N"])
        self.checked_in += quantity if "checkedInAt" in item else 0
        if status == Status.CONFIRMED:
            self.confirmed += quantity
        elif status == Status.HELD:
            self.held += quantity
            overdue_before = later(self.started_at, -OVERDUE_S_MAX)
            self.overdue += "expiresAt" in item and item["expiresAt"]["S"] < overdue_before
        elif status == Status.WAITING:
            self.waiting += 1
            self.difference += _digest(item)

    def add_entry(self, item: Item) -> None:
        """Count an entry of the waiting list."""
        self.entries += 1
        self.difference -= _digest(item)
        place = int(item["sequence"]["N"]), int(item.get("atLeast", items.number(1))["N"])
        self.head = place if self.head is None else min(self.head, place)


@dataclass(frozen=True)
class Count:
    """A tally, the lanes and then the event after it, and what changed during the count."""

    event: Event
    tally: Tally
    lanes: list[Lane]
    moved: int  # by how much `changes` of all lanes grew: no more tickets and places changed
    is_at_rest: bool  # no change of the event wrote during the count

    @cached_property
    def tickets(self) -> int:
        """Return the number of all tickets."""
        return sum(lane.tickets for lane in self.lanes)

    @cached_property
    def available(self) -> int:
        """Return the number of free tickets."""
        return sum(lane.available for lane in self.lanes)

    @property
    def is_stranded(self) -> bool:
        """Tell whether there are enough tickets for the head of the list (P6); they may be on their way."""
        return self.tally.head is not None and self.available >= self.tally.head[1] and not self.event.cancelled_at

    @cached_property
    def checked_in(self) -> int:
        """Return the number of tickets that were checked in, by the lanes' count."""
        return sum(lane.checked_in for lane in self.lanes)

    @cached_property
    def waiting(self) -> int:
        """Return how many users wait, by the lanes' count."""
        return sum(lane.waiting for lane in self.lanes)


def changes(lanes: list[Lane]) -> int:
    """Return the sum that grows with each change of a booking or of a lane's tickets."""
    return sum(lane.changes for lane in lanes)


def broken_promises(count: Count) -> list[Finding]:
    """Return what the count shows to be broken. Tickets next to waiting users may be on their way to them (P6)."""
    event, tally, moved = count.event, count.tally, count.moved
    differences = [
        ("P1", abs(count.available + tally.owned - count.tickets) - moved),
        ("P1", sum(max(0, -lane.available) for lane in count.lanes)),
        ("P1", event.lanes - len(count.lanes)),  # missing lanes, with their tickets
        ("P2", tally.misplaced),
        ("P3", abs(tally.waiting - tally.entries) - moved),
        ("P3", abs(count.waiting - tally.entries) - moved),
        ("H3", tally.overdue),
        ("D1", abs(count.checked_in - tally.checked_in) - moved),
    ]
    if moved == 0 and tally.waiting == tally.entries:
        differences.append(("P3", int(tally.difference != 0)))  # the right number, but not the same users
    if moved == 0 and count.is_stranded:
        differences.append(("P6", min(count.available, tally.entries)))
    if event.emptied_at:
        differences.append(("O3", tally.owned + tally.waiting - moved))
    found = [Finding(promise, difference) for promise, difference in differences if difference > 0]
    return [*found, *(_disagreements(event, count) if count.is_at_rest else ())]


def _disagreements(event: Event, count: Count) -> list[Finding]:
    """Find where lanes and event disagree (O2). During a change, lanes may have other tickets than the total."""
    differences = [abs(count.tickets - event.tickets_in_lanes)]
    if event.change is None:
        differences.append(abs(event.tickets_to_add))
        differences.append(sum(items.window(lane) != items.window(event.terms) for lane in count.lanes))
    return [Finding("O2", difference) for difference in differences if difference]


def _digest(item: Item) -> int:
    """Return a number for a user's place in the list and wish. Sums of these numbers are equal in any order."""
    numbers = [item[name]["N"] if name in item else "" for name in ("sequence", "quantity", "atLeast")]
    place = "\n".join((*numbers, item["bookingId"]["S"], item["userId"]["S"]))
    return int.from_bytes(hashlib.blake2b(place.encode(), digest_size=16).digest())
