"""settle EVENT: give free tickets to the head of the waiting list, as the promoter and the sweep do.

If the event is cancelled, cancel all of its bookings instead, as FollowFunction and the sweep do.
"""

import sys

from ops import rows
from shared.booking import event_cancellation
from shared.booking.settle import settle
from shared.model import Event
from shared.runtime import Deadline
from shared.store import items

PROMOTIONS_MAX = 1_000  # in one round, which has its own deadline
_GO_S_MAX = 120.0
_EMPTYING_S_MAX = 3 * 3_600.0  # a million bookings take 35 minutes


def run(event_id: str, *, dry_run: bool) -> int:
    """Settle an event or empty a cancelled one, or show what that would do; return the exit code."""
    event = rows.event(event_id)
    if event.cancelled_at:
        done = f"would cancel {bookings(event)} bookings" if dry_run else f"cancelled {empty_all(event)} bookings"
    else:
        done = f"would promote {promotable(event)}" if dry_run else f"promoted {settle_all(event)}"
    sys.stdout.write(f"{done}; {_left(event)}\n")
    return 0


def empty_all(event: Event) -> int:
    """Cancel all bookings of a cancelled event; return how many there were. Raises TryAgain."""
    there = bookings(event)
    event_cancellation.empty(event.event_id, Deadline.after(_EMPTYING_S_MAX))
    return there


def bookings(event: Event) -> int:
    """Count the bookings that own tickets or a place. Raises TryAgain; DamagedItem."""
    return sum(items.to_booking(item).is_active for page in rows.bookings(event) for item in page)


def settle_all(event: Event) -> int:
    """Settle until no ticket is left to give; return the number of promotions. Raises TryAgain; Stuck."""
    promoted = 0
    while True:
        now = settle(event, Deadline.after(_GO_S_MAX), promotions_max=PROMOTIONS_MAX)
        promoted += now
        if now < PROMOTIONS_MAX:
            return promoted


def promotable(event: Event) -> int:
    """Return how many users settling would promote now, in order. Raises TryAgain; DamagedItem."""
    left, _ = _free_and_waiting(event)
    promoted = 0
    for entry in (items.to_entry(item) for page in rows.entries(event) for item in page):
        if left < (entry.at_least or 1):
            break
        left -= min(entry.quantity, left)
        promoted += 1
    return promoted


def _left(event: Event) -> str:
    available, waiting = _free_and_waiting(event)
    return f"now {available} tickets free, {waiting} waiting"


def _free_and_waiting(event: Event) -> tuple[int, int]:
    lanes = rows.lanes(event)
    return sum(lane.available for lane in lanes), sum(lane.waiting for lane in lanes)
