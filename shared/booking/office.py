"""Booking: tickets, or else a place in the waiting list. And the status of an event, with a user's booking."""

from dataclasses import replace
from typing import Final

from shared import telemetry
from shared.booking import catalog, counts, list_limit, sale, waiting_list
from shared.booking.attempt import BookingAttempt
from shared.model import (
    Actor,
    Booking,
    Counts,
    Event,
    EventCancelled,
    NotOnSale,
    Standing,
    Status,
    TooFewTickets,
    TryAgain,
    WaitingListFull,
)
from shared.runtime import Deadline
from shared.store import items
from shared.store.dynamodb import get_all
from shared.telemetry import Metric

STARTS_MAX = 4  # starts of one request; it starts over when another booking of its user has ended


def book(  # noqa: PLR0913, PLR0917  # what a request may name
    event_id: str,
    user_id: str,
    deadline: Deadline,
    by: Actor = Actor.BUYER,
    quantity: int = 1,
    at_least: int | None = None,
) -> Standing:
    """Give the user tickets, or else a place in the waiting list, or return the active booking that they already have.

    They get `quantity` tickets; or fewer if no more are free, but not fewer than `at_least`, by default all of them.

    Raises EventNotFound; EventCancelled; NotOnSale; TooManyTickets; TooFewTickets; WaitingListFull; TryAgain, after
    which the booking may exist: the same request again returns it.
    """
    event = catalog.read_event(event_id, deadline)
    attempt = BookingAttempt.of(event, user_id, by, quantity, at_least)
    standing = _own_or_new(attempt, deadline)
    if standing.is_new:
        _report(standing.booking)
    return standing


def with_position(booking: Booking, deadline: Deadline) -> Standing:
    """Return a booking with its position, if it waits. Raises TryAgain."""
    return waiting_list.standing(catalog.read_event(booking.event_id, deadline), booking, deadline)


def status(
    event_id: str, user_id: str | None, deadline: Deadline, *, anew: bool = False
) -> tuple[Counts, Standing | None]:
    """Return what was left of an event at most counts.AGE_S_MAX ago; with a user, also their booking as it is now.

    Counts the event `anew` if the caller wants that, but not twice within counts.AGE_S_MAX.

    Raises EventNotFound; TryAgain.
    """
    known = counts.known(event_id, anew=anew)
    event = known.availability.event if known else catalog.read_event(event_id, deadline)
    keys = {} if known else catalog.keys_with_lanes(event)
    if user_id is not None:
        keys[items.BOOKINGS] = [items.booking_key(event, user_id)]
    began = counts.Began.now()
    found = get_all(deadline, keys) if keys else {}
    if known is None:
        availability = catalog.availability(*catalog.found_with_lanes(found))
        known = counts.keep(Counts(availability, began.moment), began, anew=anew)
    bookings = found.get(items.BOOKINGS, [])
    standing = waiting_list.standing(event, items.to_booking(bookings[0]), deadline) if bookings else None
    return known, standing


def _own_or_new(attempt: BookingAttempt, deadline: Deadline) -> Standing:
    """Make the booking. If it would be refused but the user already has an active booking, return that one.

    A refusal must be true at a moment when the user has no active booking, so their booking is read after it. If that
    shows that one of theirs has just ended, its tickets or its place may be free now, and this starts over. A refusal
    that this function already knows needs only that read: it stays true, or may be a second old, as documented.
    """
    if known := _known_refusal(attempt.event):
        if own := _own(attempt, deadline):
            return own
        raise known
    for _ in range(STARTS_MAX):
        try:
            return _ticket_or_place(attempt, deadline)
        except (EventCancelled, NotOnSale, TooFewTickets, WaitingListFull) as refusal:
            if isinstance(refusal, EventCancelled):
                catalog.remember(replace(attempt.event, cancelled_at=refusal.cancelled_at))  # the next costs one read
            generation = attempt.generation
            if own := _own(attempt, deadline):
                return own
            another_ended = attempt.generation != generation
            if not another_ended or isinstance(refusal, EventCancelled):  # cancelled is true for ever
                raise
            list_limit.forget(attempt.event)
    raise TryAgain("bookings")


def _own(attempt: BookingAttempt, deadline: Deadline) -> Standing | None:
    """Call before refusing: return the user's booking if the request should get that instead. Raises TryAgain."""
    booking = attempt.read_before_refusing(deadline)
    return waiting_list.standing_of(attempt, booking, deadline) if booking else None


def _known_refusal(event: Event) -> EventCancelled | WaitingListFull | None:
    """Return why users without a booking are refused, if this function knows it already. Makes no request."""
    if event.cancelled_at:
        return EventCancelled(event.event_id, event.cancelled_at)
    return list_limit.known_refusal(event) if event.sold_out_at else None


def _ticket_or_place(attempt: BookingAttempt, deadline: Deadline) -> Standing:
    """Make the booking, or return the one that the user already has.

    The cached event may be old: its sale may have ended, or begun again. Each turn finds out more.
    """
    while True:
        if attempt.event.sold_out_at is None and (booking := sale.buy(attempt, deadline)):
            return waiting_list.standing_of(attempt, booking, deadline)
        if attempt.event.sold_out_at and (standing := waiting_list.join(attempt, deadline)):
            return standing
        attempt.event = catalog.read_anew(attempt.event.event_id, deadline)


_MADE: Final = {
    Status.CONFIRMED: Metric.BOOKING_CONFIRMED,
    Status.HELD: Metric.BOOKING_HELD,
    Status.WAITING: Metric.WAITING_JOINED,
}


def _report(booking: Booking) -> None:
    if metric := _MADE.get(booking.status):  # by now, its user may have cancelled it with another request
        telemetry.of_booking(metric, booking, by=str(booking.booked_by))
