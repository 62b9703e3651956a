"""A user's current booking, as requests look at it that change a booking which exists: read it, and refuse by it."""

from typing import Any

from shared.booking.attempt import read_booking
from shared.model import (
    Booking,
    BookingCancelled,
    BookingChanged,
    BookingNotFound,
    BookingTransferred,
    Event,
    HoldExpired,
    Status,
    TicketOfficeError,
    TryAgain,
)
from shared.runtime import Deadline
from shared.store import items

NOT_CHECKED_IN = "attribute_not_exists(checkedInAt)"


def read_meant(
    event: Event, user_id: str, booking_id: str | None, deadline: Deadline, *, uncertain: bool = False
) -> Booking:
    """Return the user's booking; with a booking id, only if it has that id.

    Raises BookingNotFound; BookingChanged; TryAgain.
    """
    booking = read_booking(event, user_id, deadline)
    if booking is None:
        raise certain_or_try_again(BookingNotFound(event.event_id, user_id), uncertain=uncertain)
    must_be_meant(booking, booking_id or booking.booking_id, uncertain=uncertain)
    return booking


def must_be_meant(booking: Booking, booking_id: str, *, uncertain: bool = False) -> None:
    """Raise BookingChanged if the user's booking is another than the one that is meant."""
    if booking.booking_id != booking_id:
        changed = BookingChanged(booking.event_id, booking.user_id, booking.booking_id)
        raise certain_or_try_again(changed, uncertain=uncertain)


def certain_or_try_again(error: TicketOfficeError, *, uncertain: bool) -> TicketOfficeError:
    """Return the error that refuses a change; TryAgain if it is `uncertain`, as an earlier try may have made it.

    So a refusal always means that the request has changed nothing (P7, docs/decisions/0027).
    """
    return TryAgain("uncertain") if uncertain else error


def reason_it_ended(booking: Booking) -> TicketOfficeError | None:
    """Return the error that says how the booking ended; None if it has not."""
    if booking.cancelled_at:
        return BookingCancelled(booking.event_id, booking.booking_id, booking.cancelled_at)
    if booking.expired_at:
        return HoldExpired(booking.event_id, booking.booking_id, booking.expired_at)
    if booking.transferred_at:
        return BookingTransferred(booking.event_id, booking.booking_id, booking.transferred_at, booking.reference)
    return None


def update_of_confirmed(event: Event, booking: Booking, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the update that gives this confirmed booking these facts, unless it was used or changed meanwhile."""
    is_this_booking = "bookingId = :booking"  # P7: a late try must not meet a newer booking
    is_confirmed = "#status = :confirmed"  # P1, T1: neither cancelled nor transferred, so the tickets are still its own
    has_same_quantity = "quantity = :quantity"  # P1, D1: as many tickets as are counted, or as the recipient gets
    assign, names, values = items.assignment(facts)
    return {
        "TableName": items.BOOKINGS,
        "Key": items.booking_key(event, booking.user_id),
        "UpdateExpression": assign,
        # D1: tickets that were used stay with their user, and are used once
        "ConditionExpression": f"{is_this_booking} AND {is_confirmed} AND {has_same_quantity} AND {NOT_CHECKED_IN}",
        "ExpressionAttributeNames": {**names, "#status": "status"},
        "ExpressionAttributeValues": {
            **values,
            ":booking": items.text(booking.booking_id),
            ":confirmed": items.text(Status.CONFIRMED),
            ":quantity": items.number(booking.quantity),
        },
    }
