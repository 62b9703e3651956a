"""Check-in: at the door, a confirmed booking is used. The tickets are counted on the booking's home lane.

    door            booking                        home lane
      │── read ─────▶ │                                │
      │── check in ─▶ │ ─── count its tickets ───────▶ │    (one transaction)

Of all doors that check a booking in, one transaction succeeds: the others meet its `checkedInAt` (D1). A response that
was lost is answered as any repetition: with that moment, and `again`.
"""

from dataclasses import replace

from shared import runtime, telemetry
from shared.booking import sale_window
from shared.booking.attempt import read_booking
from shared.booking.cancellation import NOT_CHECKED_IN
from shared.model import (
    Actor,
    Booking,
    BookingCancelled,
    BookingChanged,
    BookingNotFound,
    BookingTransferred,
    CheckIn,
    Event,
    EventCancelled,
    HoldExpired,
    NotConfirmed,
    Status,
    TicketOfficeError,
)
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import TransactItem
from shared.telemetry import Metric


def check_in(event: Event, user_id: str, booking_id: str, by: Actor, deadline: Deadline) -> CheckIn:
    """Check the user's confirmed booking in, with all its tickets. Safe to repeat: the first moment stays.

    Raises EventCancelled; BookingNotFound; BookingChanged; NotConfirmed; HoldExpired; BookingCancelled;
    BookingTransferred; TryAgain.
    """
    booking = read_booking(event, user_id, deadline)
    while True:
        if booking is None:
            raise BookingNotFound(event.event_id, user_id)
        if booking.booking_id != booking_id:
            raise BookingChanged(event.event_id, user_id, booking.booking_id)
        if booking.status is not Status.CONFIRMED:
            raise reason_to_refuse(booking)
        if booking.checked_in_at:
            return CheckIn(booking, again=True)
        used = replace(booking, checked_in_at=runtime.current.now(), checked_in_by=by)
        refused = dynamodb.commit({"booking": _mark(event, used), "lane": _count(event, used)}, deadline)
        if refused is None:
            _report(used, by)
            return CheckIn(used, again=False)
        if stored := refused["booking"].item:
            booking = items.to_booking(stored)
            continue
        assert refused["lane"].item is not None, "if not the booking, its lane was refused"
        raise EventCancelled(event.event_id, str(items.to_lane(refused["lane"].item).cancelled_at))


def reason_to_refuse(booking: Booking) -> TicketOfficeError:
    """Return why there are no confirmed tickets."""
    if booking.cancelled_at:
        return BookingCancelled(booking.event_id, booking.booking_id, booking.cancelled_at)
    if booking.expired_at:
        return HoldExpired(booking.event_id, booking.booking_id, booking.expired_at)
    if booking.transferred_at:
        return BookingTransferred(booking.event_id, booking.booking_id, booking.transferred_at)
    return NotConfirmed(booking.event_id, booking.booking_id)


def _mark(event: Event, used: Booking) -> TransactItem:
    is_this_booking = "bookingId = :booking"  # P7: a late try must not check in a newer booking
    is_confirmed = "#status = :confirmed"  # P1: it may have been cancelled
    has_same_quantity = "quantity = :quantity"  # D1: as many tickets are counted as the booking has
    facts = {"checkedInAt": items.text(str(used.checked_in_at)), "checkedInBy": items.text(str(used.checked_in_by))}
    assign, names, values = items.assignment(facts)
    return {
        "Update": {
            "TableName": items.BOOKINGS,
            "Key": items.booking_key(event, used.user_id),
            "UpdateExpression": assign,
            "ConditionExpression": f"{is_this_booking} AND {is_confirmed} AND {has_same_quantity} AND {NOT_CHECKED_IN}",
            "ExpressionAttributeNames": {**names, "#status": "status"},
            "ExpressionAttributeValues": {
                **values,
                ":booking": items.text(used.booking_id),
                ":confirmed": items.text(Status.CONFIRMED),
                ":quantity": items.number(used.quantity),
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def _count(event: Event, used: Booking) -> TransactItem:
    """Count the tickets. `changes` grows as well: an audit may be reading bookings and lanes (D1)."""
    return {
        "Update": {
            "TableName": items.LANES,
            "Key": items.lane_key(event.event_id, event.home_lane(used.user_id)),
            "UpdateExpression": "ADD checkedIn :quantity, changes :quantity",
            "ConditionExpression": sale_window.NOT_CANCELLED,  # O3: nothing takes place any more
            "ExpressionAttributeValues": {":quantity": items.number(used.quantity)},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def _report(used: Booking, by: Actor) -> None:
    telemetry.outcome(
        Metric.BOOKING_CHECKED_IN,
        event_id=used.event_id,
        user_id=used.user_id,
        booking_id=used.booking_id,
        tickets=used.quantity,
        by=by,
    )
