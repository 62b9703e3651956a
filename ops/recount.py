"""One count of an event: all its bookings, entries and lanes, read once and summed up in little memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ops import rows
from shared import runtime
from shared.booking.tally import Count, Tally, changes
from shared.model import Booking, DamagedItem, Entry, Event, Status
from shared.store import items
from shared.store.items import Item

# A sequence number is drawn before its entry is written. The function that does both ends within 10 s (its timeout). So
# of two numbers that are drawn further apart than this, the earlier one has its entry first.
DRAWN_APART = timedelta(seconds=15)

# By status: the facts that such a booking has, and those that it cannot have.
_FACTS: Final[Mapping[Status, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    Status.HELD: (("held_at", "expires_at"), ("booked_at", "cancelled_at", "expired_at", "transferred_at")),
    Status.CONFIRMED: (("booked_at",), ("expires_at", "cancelled_at", "expired_at", "transferred_at")),
    Status.WAITING: (
        ("sequence", "joined_at"),
        ("held_at", "expires_at", "booked_at", "cancelled_at", "expired_at", "transferred_at"),
    ),
    Status.CANCELLED: (("cancelled_at",), ("expires_at", "expired_at", "transferred_at")),
    Status.EXPIRED: (("held_at", "expired_at"), ("expires_at", "booked_at", "cancelled_at", "transferred_at")),
    Status.TRANSFERRED: (
        ("booked_at", "transferred_at", "transferred_to"),
        ("expires_at", "cancelled_at", "expired_at", "checked_in_at"),
    ),
}


@dataclass(slots=True)
class Details(Tally):
    """Also find bookings that contradict themselves, and entries that were overtaken."""

    odd: int = 0  # bookings whose fields do not fit their status
    last_promoted: Booking | None = None  # the one with the highest sequence
    overtaken: int = 0  # entries that were in the list well before a user behind them was promoted

    def add_booking(self, event: Event, item: Item) -> None:
        """Count a booking. Raises DamagedItem."""
        booking = items.to_booking(item)
        Tally.add_booking(self, event, item)
        self.odd += not _is_sound(booking, event.rules.tickets_per_booking)
        last = self.last_promoted
        if booking.promoted_at and (last is None or (booking.sequence or 0) > (last.sequence or 0)):
            self.last_promoted = booking

    def add_entry(self, item: Item) -> None:
        """Count an entry. Raises DamagedItem."""
        entry = items.to_entry(item)
        Tally.add_entry(self, item)
        last = self.last_promoted
        if last and last.joined_at and entry.sequence < (last.sequence or 0):
            # An entry that is read after that promotion was there at that time, too.
            self.overtaken += _joined_at(entry) + DRAWN_APART < _joined_at(last)


@dataclass(frozen=True)
class Recount(Count):
    """A count with more details."""

    tally: Details
    changes_before: int
    changes_after: int
    is_same_sale: bool  # the event was not put back on sale during the count


def count(event_id: str) -> Recount:
    """Read an event with all its bookings and entries. Raises EventNotFound; TryAgain; DamagedItem."""
    event = rows.event(event_id)
    before = rows.lanes(event)
    tally = Details(runtime.current.now())
    total = sum(lane.tickets - lane.available + 2 * lane.waiting for lane in before)
    with rows.progress(max(0, total), "audit") as bar:
        for page in rows.bookings(event):
            for item in page:
                tally.add_booking(event, item)
            bar.update(len(page))
        for page in rows.entries(event):
            for item in page:
                tally.add_entry(item)
            bar.update(len(page))
    after = rows.lanes(event)
    # The event again: a user who joined after our first read has made sure before that it is marked as sold out.
    event_after = rows.event(event_id)
    moved, is_at_rest = changes(after) - changes(before), event.steps == event_after.steps
    is_same_sale = event.sale == event_after.sale
    return Recount(event_after, tally, after, moved, is_at_rest, changes(before), changes(after), is_same_sale)


def _is_sound(booking: Booking, tickets_max: int) -> bool:
    """Tell whether a booking has the facts that its status needs, none that it cannot have, and a possible quantity."""
    needed, impossible = _FACTS[booking.status]
    has_needed = all(getattr(booking, name) is not None for name in needed)
    has_impossible = any(getattr(booking, name) is not None for name in impossible)
    was_used = booking.checked_in_at is None or booking.booked_at is not None
    insists = booking.at_least is not None
    may_insist = booking.status in {Status.WAITING, Status.CANCELLED}  # it may have been cancelled while it waited
    is_possible = 1 <= (booking.at_least or 1) <= booking.quantity <= tickets_max and (may_insist or not insists)
    return booking.generation >= 1 and is_possible and has_needed and not has_impossible and was_used


def _joined_at(who: Booking | Entry) -> datetime:
    try:
        return datetime.fromisoformat(who.joined_at or "").astimezone(UTC)
    except ValueError:
        raise DamagedItem(f"{type(who).__name__.lower()} {who.booking_id} of {who.user_id}", "joinedAt") from None
