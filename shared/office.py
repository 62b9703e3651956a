"""The office: what a user can ask for, each put together from the rooms of the protocol."""

from contextlib import suppress
from dataclasses import replace

from shared import cancellation as cancelling
from shared import claims, events, items, sale, telemetry, waiting_list
from shared.claims import NewClaim
from shared.dynamodb import Deadline, get_all
from shared.model import Availability, Booking, Claim, EventCancelled, TryAgain
from shared.settle import settle
from shared.telemetry import Metric

FRUITLESS_MAX = 3  # looks in vain of who books and is first in line: then the stream's hint does it


def book(event_id: str, user_id: str, deadline: Deadline) -> Claim:
    """Give the user a ticket, or else a place in the waiting list, or the claim they have already.

    Raises EventNotFound; EventCancelled; NotOnSale; WaitingListFull; TryAgain, after which the claim may exist: asking
    again answers with it.
    """
    event = events.read_event(event_id, deadline)
    claim = NewClaim.of(event, user_id)
    try:
        booking = _claimed(claim, deadline)
    except EventCancelled as refusal:
        events.remember(replace(event, cancelled_at=refusal.cancelled_at))  # for good: whoever asks next costs one read
        raise
    if not claim.is_mine(booking):
        return waiting_list.standing(event, booking, deadline)
    _report(booking)
    return _first_answer(claim, booking, deadline)


def cancel(event_id: str, user_id: str, booking_id: str | None, deadline: Deadline) -> Booking:
    """Cancel the user's booking; a ticket that is released goes to the head of the list by itself.

    Raises EventNotFound; BookingNotFound; BookingChanged; TryAgain.
    """
    return cancelling.cancel(events.read_event(event_id, deadline), user_id, booking_id, deadline)


def status(event_id: str, user_id: str | None, deadline: Deadline) -> tuple[Availability, Claim | None]:
    """Count what is left of an event; with a user, also read their claim. Raises EventNotFound; TryAgain."""
    event = events.read_event(event_id, deadline)
    keys = events.keys_with_lanes(event)
    if user_id is not None:
        keys[items.BOOKINGS] = [items.booking_key(event, user_id)]
    found = get_all(deadline, keys)
    event, lanes = events.found_with_lanes(found)
    availability = events.availability(event, lanes)
    bookings = found.get(items.BOOKINGS, [])
    return availability, waiting_list.standing(event, items.to_booking(bookings[0]), deadline) if bookings else None


def _claimed(claim: NewClaim, deadline: Deadline) -> Booking:
    """Make the claim, or return the one that stands."""
    event = claim.event
    if event.cancelled_at:
        return claims.standing_or_raise(claim, EventCancelled(event.event_id, event.cancelled_at), deadline)
    booking = None if event.sold_out_at else sale.buy(claim, deadline)
    return booking or waiting_list.join(claim, deadline)


def _first_answer(claim: NewClaim, booking: Booking, deadline: Deadline) -> Claim:
    """Tell the user where the claim just made stands; settle if it is first in line.

    That way a ticket which came back while nobody waited is booked in one request. (Right after a long list was emptied
    its front may be taken for what it was, and the stream's hint does it.)
    """
    answer = waiting_list.standing(claim.event, booking, deadline, is_new=True)
    if answer.position is None or answer.position.value > 1:
        return answer
    with suppress(TryAgain):  # the stream has the hint, too
        settle(claim.event, deadline, promotions_max=1, fruitless_max=FRUITLESS_MAX)
    booking = claims.read_booking(claim.event, claim.user_id, deadline) or booking
    return waiting_list.standing(claim.event, booking, deadline, is_new=True)


def _report(booking: Booking) -> None:
    metric = Metric.BOOKING_CONFIRMED if booking.joined_at is None else Metric.WAITING_JOINED
    telemetry.outcome(metric, event_id=booking.event_id, user_id=booking.user_id, booking_id=booking.booking_id)
