"""What a user can ask for: to book, to cancel, and the status of an event."""

from contextlib import suppress
from dataclasses import replace

from shared import telemetry
from shared.booking import cancellation as cancelling
from shared.booking import catalog, sale, waiting_list
from shared.booking.attempt import BookingAttempt, active_booking_or_raise, read_booking
from shared.booking.settle import settle
from shared.model import Availability, Booking, EventCancelled, NotOnSale, Standing, TryAgain, WaitingListFull
from shared.runtime import Deadline
from shared.store import items
from shared.store.dynamodb import get_all
from shared.telemetry import Metric

BUYER_FRUITLESS_MAX = 3  # rounds in a row that promote no user, when a buyer settles; after that the stream settles


def book(event_id: str, user_id: str, deadline: Deadline) -> Standing:
    """Give the user a ticket, or else a place in the waiting list, or return the active booking that they already have.

    Raises EventNotFound; EventCancelled; NotOnSale; WaitingListFull; TryAgain, after which the booking may exist: the
    same request again returns it.
    """
    event = catalog.read_event(event_id, deadline)
    attempt = BookingAttempt.of(event, user_id)
    try:
        booking = _ticket_or_place(attempt, deadline)
    except EventCancelled as refusal:
        catalog.remember(replace(event, cancelled_at=refusal.cancelled_at))  # the next request costs one read
        booking = active_booking_or_raise(attempt, refusal, deadline)
    except (NotOnSale, WaitingListFull) as refusal:
        booking = active_booking_or_raise(attempt, refusal, deadline)
    if not attempt.made(booking):
        return waiting_list.standing(event, booking, deadline)
    _report(booking)
    return _standing_of_new(attempt, booking, deadline)


def cancel(event_id: str, user_id: str, booking_id: str | None, deadline: Deadline) -> Booking:
    """Cancel the user's booking. A released ticket goes to the head of the waiting list in the background.

    Raises EventNotFound; BookingNotFound; BookingChanged; TryAgain.
    """
    return cancelling.cancel(catalog.read_event(event_id, deadline), user_id, booking_id, deadline)


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


def _ticket_or_place(attempt: BookingAttempt, deadline: Deadline) -> Booking:
    """Make the booking, or return the one that the user already has."""
    event = attempt.event
    if event.cancelled_at:
        raise EventCancelled(event.event_id, event.cancelled_at)
    booking = None if event.sold_out_at else sale.buy(attempt, deadline)
    return booking or waiting_list.join(attempt, deadline)


def _standing_of_new(attempt: BookingAttempt, booking: Booking, deadline: Deadline) -> Standing:
    """Return where the booking just made stands; settle first if it is at the head of the list.

    That way a ticket that came back while no user waited is booked in one request. (Right after a long list was
    emptied, a cached front of the list may hide that the booking is at its head. Then the stream settles.)

    The user may cancel and book again in the meantime. Then this request returns the booking of the other request, and
    does not call it new: only the request that made a booking says so (P7).
    """
    standing = waiting_list.standing(attempt.event, booking, deadline, is_new=True)
    if standing.position is None or standing.position.value > 1:
        return standing
    with suppress(TryAgain):  # the stream settles, too
        settle(attempt.event, deadline, promotions_max=1, fruitless_max=BUYER_FRUITLESS_MAX)
    booking = read_booking(attempt.event, attempt.user_id, deadline) or booking
    return waiting_list.standing(attempt.event, booking, deadline, is_new=attempt.made(booking))


def _report(booking: Booking) -> None:
    metric = Metric.BOOKING_CONFIRMED if booking.joined_at is None else Metric.WAITING_JOINED
    telemetry.outcome(metric, event_id=booking.event_id, user_id=booking.user_id, booking_id=booking.booking_id)
