"""What can be asked for: to book, to confirm, to cancel, to transfer and to check in, and the status of an event."""

from dataclasses import replace
from typing import Final

from shared import telemetry
from shared.booking import cancellation, catalog, check_ins, confirmation, sale, transfers, waiting_list
from shared.booking.attempt import BookingAttempt, active_booking_or_raise
from shared.model import (
    Actor,
    Availability,
    Booking,
    CheckIn,
    Confirmation,
    EventCancelled,
    NotOnSale,
    Standing,
    Status,
    Transfer,
    WaitingListFull,
)
from shared.runtime import Deadline
from shared.store import items
from shared.store.dynamodb import get_all
from shared.telemetry import Metric


def book(event_id: str, user_id: str, deadline: Deadline, by: Actor = Actor.BUYER) -> Standing:
    """Give the user a ticket, or else a place in the waiting list, or return the active booking that they already have.

    Raises EventNotFound; EventCancelled; NotOnSale; WaitingListFull; TryAgain, after which the booking may exist: the
    same request again returns it.
    """
    event = catalog.read_event(event_id, deadline)
    attempt = BookingAttempt.of(event, user_id, by)
    try:
        standing = _ticket_or_place(attempt, deadline)
    except EventCancelled as refusal:
        catalog.remember(replace(event, cancelled_at=refusal.cancelled_at))  # the next request costs one read
        standing = waiting_list.standing_of(attempt, active_booking_or_raise(attempt, refusal, deadline), deadline)
    except (NotOnSale, WaitingListFull) as refusal:
        standing = waiting_list.standing_of(attempt, active_booking_or_raise(attempt, refusal, deadline), deadline)
    if standing.is_new:
        _report(standing.booking)
    return standing


def confirm(event_id: str, user_id: str, wanted: Confirmation, deadline: Deadline) -> Booking:
    """Confirm the user's hold: from then on its tickets are theirs until they return them.

    Raises EventNotFound; ShopOnly; BookingNotFound; BookingChanged; NotHeld; HoldExpired; BookingCancelled;
    BookingTransferred; TryAgain.
    """
    return confirmation.confirm(catalog.read_event(event_id, deadline), user_id, wanted, deadline)


def cancel(event_id: str, user_id: str, booking_id: str | None, deadline: Deadline, by: Actor = Actor.BUYER) -> Booking:
    """Cancel the user's booking. A released ticket goes to the head of the waiting list in the background.

    Raises EventNotFound; BookingNotFound; BookingChanged; CheckedIn; TryAgain.
    """
    return cancellation.cancel(catalog.read_event(event_id, deadline), user_id, booking_id, deadline, by)


def transfer(event_id: str, user_id: str, wanted: Transfer, deadline: Deadline) -> Booking:
    """Give the user's confirmed booking to another user, who has none. Return it as it ended.

    Raises EventNotFound; EventCancelled; BookingNotFound; BookingChanged; NotConfirmed; HoldExpired; BookingCancelled;
    BookingTransferred; CheckedIn; RecipientHasBooking; TryAgain.
    """
    return transfers.transfer(catalog.read_event(event_id, deadline), user_id, wanted, deadline)


def check_in(event_id: str, user_id: str, booking_id: str, by: Actor, deadline: Deadline) -> CheckIn:
    """Check the user's confirmed booking in, once.

    Raises EventNotFound; EventCancelled; BookingNotFound; BookingChanged; NotConfirmed; HoldExpired; BookingCancelled;
    BookingTransferred; TryAgain.
    """
    return check_ins.check_in(catalog.read_event(event_id, deadline), user_id, booking_id, by, deadline)


def status(event_id: str, user_id: str | None, deadline: Deadline) -> tuple[Availability, Standing | None]:
    """Return what is left of an event; with a user, also their booking. Raises EventNotFound; TryAgain."""
    event = catalog.read_event(event_id, deadline)
    keys = catalog.keys_with_lanes(event)
    if user_id is not None:
        keys[items.BOOKINGS] = [items.booking_key(event, user_id)]
    found = get_all(deadline, keys)
    event, lanes = catalog.found_with_lanes(found)
    availability = catalog.availability(event, lanes)
    bookings = found.get(items.BOOKINGS, [])
    standing = waiting_list.standing(event, items.to_booking(bookings[0]), deadline) if bookings else None
    return availability, standing


def _ticket_or_place(attempt: BookingAttempt, deadline: Deadline) -> Standing:
    """Make the booking, or return the one that the user already has."""
    event = attempt.event
    if event.cancelled_at:
        raise EventCancelled(event.event_id, event.cancelled_at)
    if event.sold_out_at is None and (booking := sale.buy(attempt, deadline)):
        return waiting_list.standing_of(attempt, booking, deadline)
    return waiting_list.join(attempt, deadline)


_MADE: Final = {
    Status.CONFIRMED: Metric.BOOKING_CONFIRMED,
    Status.HELD: Metric.BOOKING_HELD,
    Status.WAITING: Metric.WAITING_JOINED,
}


def _report(booking: Booking) -> None:
    if metric := _MADE.get(booking.status):  # by now, its user may have cancelled it with another request
        telemetry.outcome(
            metric,
            event_id=booking.event_id,
            user_id=booking.user_id,
            booking_id=booking.booking_id,
            by=str(booking.booked_by),
        )
