"""One count of an event: all its bookings, entries and lanes, read once and summed up in little memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ops import rows
from shared import runtime
from shared.booking.audit import OVERDUE_S_MAX, digest
from shared.model import Booking, DamagedItem, Entry, Event, Lane, Status, later
from shared.store import items
from shared.store.items import Item

# A sequence number is drawn before its entry is written. The function that does both ends within 10 s (its timeout). So
# of two numbers that are drawn further apart than this, the earlier one has its entry first.
DRAWN_APART = timedelta(seconds=15)

# By status: the facts that such a booking has, and those that it cannot have.
_FACTS: Final[Mapping[Status, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    Status.HELD: (("held_at", "expires_at"), ("booked_at", "cancelled_at", "expired_at")),
    Status.CONFIRMED: (("booked_at",), ("expires_at", "cancelled_at", "expired_at")),
    Status.WAITING: (
        ("sequence", "joined_at"),
        ("held_at", "expires_at", "booked_at", "cancelled_at", "expired_at"),
    ),
    Status.CANCELLED: (("cancelled_at",), ("expires_at", "expired_at")),
    Status.EXPIRED: (("held_at", "expired_at"), ("expires_at", "booked_at", "cancelled_at")),
}


@dataclass(slots=True)
class Tally:
    """The sums of all bookings and entries, read once."""

    overdue_before: str  # a hold that expired before this moment should have ended (H3)
    bookings: int = 0
    confirmed: int = 0  # tickets
    held: int = 0  # tickets
    overdue: int = 0  # holds
    waiting: int = 0
    misplaced: int = 0  # bookings that are not on their user's home lane
    odd: int = 0  # bookings whose fields do not fit their status
    entries: int = 0
    difference: int = 0  # digests of WAITING bookings less digests of entries: 0 if they are the same
    last_promoted: Booking | None = None  # the one with the highest sequence
    overtaken: int = 0  # entries that were in the list well before a user behind them was promoted


@dataclass(frozen=True, slots=True)
class Count:
    """A tally, the event and its lanes after it, and how much changed during the count."""

    event: Event
    tally: Tally
    lanes: list[Lane]
    changes_before: int  # of all lanes together: each change of a booking or of a lane's tickets adds 1
    changes_after: int
    is_at_rest: bool  # the event did not change during the count

    @property
    def moved(self) -> int:
        """Return an upper bound of the bookings that changed during the count: each can shift a sum by at most one."""
        return self.changes_after - self.changes_before

    @property
    def tickets(self) -> int:
        """Return the number of all tickets."""
        return sum(lane.tickets for lane in self.lanes)

    @property
    def available(self) -> int:
        """Return the number of free tickets."""
        return sum(lane.available for lane in self.lanes)

    @property
    def counted_waiting(self) -> int:
        """Return how many users wait, by the lanes' count."""
        return sum(lane.waiting for lane in self.lanes)


def count(event_id: str) -> Count:
    """Read an event with all its bookings and entries. Raises EventNotFound; TryAgain."""
    event = rows.event(event_id)
    before = rows.lanes(event)
    tally = Tally(overdue_before=later(runtime.current.now(), -OVERDUE_S_MAX))
    total = sum(lane.tickets - lane.available + 2 * lane.waiting for lane in before)
    with rows.progress(max(0, total), "audit") as bar:
        for page in rows.bookings(event):
            for item in page:
                _add_booking(tally, event, item)
            bar.update(len(page))
        for page in rows.entries(event):
            for item in page:
                _add_entry(tally, item)
            bar.update(len(page))
    after = rows.lanes(event)
    # The event again: a user who joined after our first read has made sure before that it is marked as sold out.
    event_after = rows.event(event_id)
    is_at_rest = event.steps == event_after.steps
    return Count(event_after, tally, after, _changes(before), _changes(after), is_at_rest)


def _changes(lanes: list[Lane]) -> int:
    return sum(lane.changes for lane in lanes)


def _add_booking(tally: Tally, event: Event, item: Item) -> None:
    booking = items.to_booking(item)
    tally.bookings += 1
    if item["laneId"] != items.booking_key(event, booking.user_id)["laneId"] or booking.event_id != event.event_id:
        tally.misplaced += 1
    if not _is_sound(booking):
        tally.odd += 1
    if booking.status is Status.CONFIRMED:
        tally.confirmed += booking.quantity
    elif booking.status is Status.HELD:
        tally.held += booking.quantity
        tally.overdue += booking.expires_at is not None and booking.expires_at < tally.overdue_before
    elif booking.status is Status.WAITING:
        tally.waiting += 1
        tally.difference += digest(booking.sequence, booking.booking_id, booking.user_id)
    last = tally.last_promoted
    if booking.promoted_at and (last is None or (booking.sequence or 0) > (last.sequence or 0)):
        tally.last_promoted = booking


def _is_sound(booking: Booking) -> bool:
    """Tell whether a booking has the facts that its status needs, and none that it cannot have."""
    needed, impossible = _FACTS[booking.status]
    has_needed = all(getattr(booking, name) is not None for name in needed)
    has_impossible = any(getattr(booking, name) is not None for name in impossible)
    return booking.generation >= 1 and booking.quantity >= 1 and has_needed and not has_impossible


def _add_entry(tally: Tally, item: Item) -> None:
    entry = items.to_entry(item)
    tally.entries += 1
    tally.difference -= digest(entry.sequence, entry.booking_id, entry.user_id)
    last = tally.last_promoted
    if last and last.joined_at and entry.sequence < (last.sequence or 0):
        # An entry that is read after that promotion was there at that time, too.
        tally.overtaken += _joined_at(entry) + DRAWN_APART < _joined_at(last)


def _joined_at(who: Booking | Entry) -> datetime:
    try:
        return datetime.fromisoformat(who.joined_at or "").astimezone(UTC)
    except ValueError:
        raise DamagedItem(f"{type(who).__name__.lower()} {who.booking_id} of {who.user_id}", "joinedAt") from None
