"""The sale window: the moments between which an event is on sale. Each lane stores them and decides by them.

The same goes for the cancellation of the event, which ends every sale (docs/decisions/0010).

Every transaction that makes a booking touches a lane, so this condition costs no extra request. A change of the window
takes effect on a lane when the lane is changed (docs/decisions/0009).
"""

from typing import Final

from shared.model import EventCancelled, ImpossibleWindow, Lane, NotOnSale, TicketOfficeError

_HAS_OPENED = "(attribute_not_exists(opensAt) OR opensAt <= :now)"
_HAS_NOT_CLOSED = "(attribute_not_exists(closesAt) OR closesAt > :now)"

NOT_CANCELLED: Final = "attribute_not_exists(cancelledAt)"  # O3: a cancelled event gives no ticket and no place
ON_SALE: Final = f"{_HAS_OPENED} AND {_HAS_NOT_CLOSED} AND {NOT_CANCELLED}"  # O1; :now is the moment of the booking


def reason_to_refuse(lane: Lane, moment: str) -> TicketOfficeError | None:
    """Return why ON_SALE does not hold for this lane at a moment; None if it holds."""
    if lane.cancelled_at:
        return EventCancelled(lane.event_id, lane.cancelled_at)
    if (lane.opens_at or "") <= moment and (lane.closes_at is None or lane.closes_at > moment):
        return None
    return NotOnSale(lane.event_id, lane.opens_at, lane.closes_at)


def check(opens_at: str | None, closes_at: str | None) -> None:
    """Check that the sale does not close before it opens. Raises ImpossibleWindow."""
    if opens_at and closes_at and closes_at <= opens_at:
        raise ImpossibleWindow(opens_at, closes_at)
