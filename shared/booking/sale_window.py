"""The window: the moments between which an event is on sale. Each lane holds them, and decides by them.

So it does with the cancellation of the event, which is the end of every sale: docs/decisions/0010.

Every transaction that makes a booking touches a lane, so the condition costs no request. A change of the window holds
for a lane from the moment at which the lane was changed: docs/decisions/0009.
"""

from typing import Final

from shared.booking.attempt import BookingAttempt, active_booking_or_raise
from shared.model import Booking, EventCancelled, ImpossibleWindow, Lane, NotOnSale, TicketOfficeError
from shared.store import items
from shared.store.dynamodb import Deadline, Reason

_HAS_OPENED = "(attribute_not_exists(opensAt) OR opensAt <= :now)"
_HAS_NOT_CLOSED = "(attribute_not_exists(closesAt) OR closesAt > :now)"

TAKES_PLACE: Final = "attribute_not_exists(cancelledAt)"  # O3: of a cancelled event nobody gets a ticket or a place
ON_SALE: Final = (
    f"{_HAS_OPENED} AND {_HAS_NOT_CLOSED} AND {TAKES_PLACE}"  # of a lane, with the moment of the booking as :now
)


def why_not(lane: Lane, moment: str) -> TicketOfficeError | None:
    """Say why a lane makes no booking of this moment; None where it does, as far as ON_SALE goes."""
    if lane.cancelled_at:
        return EventCancelled(lane.event_id, lane.cancelled_at)
    if (lane.opens_at or "") <= moment and (lane.closes_at is None or lane.closes_at > moment):
        return None
    return NotOnSale(lane.event_id, lane.opens_at, lane.closes_at)


def standing_or_refused(attempt: BookingAttempt, reason: Reason, moment: str, deadline: Deadline) -> Booking | None:
    """Read from the reason of a lane whether ON_SALE refused the booking; return None if it did not.

    If it did, return the user's active booking: what the transaction said of it may have been left out for a conflict.

    Raises EventCancelled; NotOnSale; TryAgain.
    """
    if not (reason.refused and reason.item and (refusal := why_not(items.to_lane(reason.item), moment))):
        return None
    return active_booking_or_raise(attempt, refusal, deadline)


def check(opens_at: str | None, closes_at: str | None) -> None:
    """Check that there is something between two moments. Raises ImpossibleWindow."""
    if opens_at and closes_at and closes_at <= opens_at:
        raise ImpossibleWindow(opens_at, closes_at)
