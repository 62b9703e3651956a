"""Transfer: the tickets of a confirmed booking become those of another user, who has no active booking.

    holder        their booking           recipient's booking         recipient's home lane
      │── read ────────▶ │                        │                          │
      │── end it ──────▶ │ ── make the next ────▶ │ ── count a change ─────▶ │     (one transaction)

No ticket becomes free in between, so no user in line is passed (P4). Tickets have no lane of their own: those of the
recipient go back to the recipient's home lane if they cancel, and P1 is about the sum.

The booking that ended says who got its tickets, so a repeated request finds its result there, whatever the recipient
has done since (docs/decisions/0024).
"""

from dataclasses import replace

from shared import runtime, telemetry
from shared.booking import catalog, sale_window
from shared.booking.attempt import BookingAttempt
from shared.booking.current import read_meant, reason_it_ended, update_of_confirmed
from shared.model import (
    Booking,
    CheckedIn,
    Event,
    EventCancelled,
    NotConfirmed,
    RecipientHasBooking,
    Status,
    TicketOfficeError,
    Transfer,
)
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import Name, Refused, TransactItem
from shared.telemetry import Metric


def transfer(event_id: str, user_id: str, wanted: Transfer, deadline: Deadline) -> Booking:
    """Transfer the user's booking with all its tickets. Return it as it ended. Safe to repeat: it is transferred once.

    Raises EventNotFound; EventCancelled; BookingNotFound; BookingChanged; NotConfirmed; HoldExpired; BookingCancelled;
    BookingTransferred, to another user than this one; CheckedIn; RecipientHasBooking; TryAgain.
    """
    event = catalog.read_event(event_id, deadline)
    recipient = BookingAttempt.of(event, wanted.to_user_id, wanted.by)
    refusal: TicketOfficeError | None = None
    uncertain = False
    while True:
        booking = read_meant(event, user_id, wanted.booking_id, deadline, uncertain=uncertain)
        if booking.transferred_to == wanted.to_user_id:
            return booking
        if booking.status is not Status.CONFIRMED:
            raise reason_it_ended(booking) or NotConfirmed(event.event_id, booking.booking_id)
        if booking.checked_in_at:
            raise CheckedIn(event.event_id, booking.booking_id, booking.checked_in_at)
        if refusal:  # of an earlier try; the booking was read after it, so no try before that one has succeeded
            raise refusal
        moment = runtime.current.now()
        ended = replace(
            booking,
            status=Status.TRANSFERRED,
            transferred_at=moment,
            transferred_to=wanted.to_user_id,
            transferred_by=wanted.by,
        )
        refused = dynamodb.commit(_transfer(event, ended, recipient), deadline)
        if refused is None:
            telemetry.of_booking(
                Metric.BOOKING_TRANSFERRED, ended, by=str(ended.transferred_by), tickets=ended.quantity
            )
            return ended
        refusal = _refusal(refused, recipient)
        uncertain = uncertain or refused.uncertain


def _refusal(refused: Refused, recipient: BookingAttempt) -> TicketOfficeError | None:
    """Return why the recipient cannot get a booking; None if the holder's was refused, or an ended one is in the way.

    After the latter, `recipient` is about the next generation, and the transaction is worth repeating.
    """
    lane = refused["lane"].item
    if lane:
        return EventCancelled(recipient.event.event_id, str(items.to_lane(lane).cancelled_at))
    stored = refused["recipient"].item
    if stored is None:
        return None
    booking = items.to_booking(stored)
    if booking.is_active:
        return RecipientHasBooking(recipient.event.event_id, recipient.user_id)
    recipient.generation = booking.generation + 1
    return None


def _transfer(event: Event, ended: Booking, recipient: BookingAttempt) -> dict[Name, TransactItem]:
    """Return the transaction: the holder's booking ends, and the recipient's has its tickets and its reference."""
    got = Booking(
        event.event_id,
        recipient.user_id,
        recipient.booking_id,
        recipient.generation,
        Status.CONFIRMED,
        quantity=ended.quantity,
        booked_at=ended.transferred_at,
        booked_by=ended.transferred_by,
        transferred_from=ended.user_id,
        reference=ended.reference,
    )
    return {"booking": _end(event, ended), "recipient": recipient.put(got), "lane": _count(event, got)}


def _end(event: Event, ended: Booking) -> TransactItem:
    facts = {
        "status": items.text(ended.status),
        "transferredAt": items.text(str(ended.transferred_at)),
        "transferredTo": items.text(str(ended.transferred_to)),
        "transferredBy": items.text(str(ended.transferred_by)),
    }
    return {"Update": update_of_confirmed(event, ended, facts)}


def _count(event: Event, got: Booking) -> TransactItem:
    """Count a change on the recipient's home lane: an audit may have read one of the two bookings, not the other (P1).

    It sums up the changes of all lanes, so one lane is enough. Its condition keeps a cancelled event from getting new
    bookings (O3): a request that empties it has marked this lane before.
    """
    lane, counts = event.home_lane(got.user_id), {"changes": got.quantity}
    return items.addition_to_lane(event.event_id, lane, counts, sale_window.NOT_CANCELLED)
