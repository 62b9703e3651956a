"""Confirming: a held booking becomes final.

One write, of the booking alone: its tickets are already its own. A hold can be confirmed until it is expired or
cancelled, even if that is overdue. The condition on its status decides between those who want to end it (H2).
"""

from shared import runtime, telemetry
from shared.booking import catalog
from shared.booking.current import certain_or_try_again, read_meant, reason_it_ended
from shared.model import (
    Actor,
    Booking,
    Confirmation,
    Event,
    NotHeld,
    ShopOnly,
    Status,
)
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import Refused
from shared.telemetry import Metric


def confirm(event_id: str, user_id: str, wanted: Confirmation, deadline: Deadline) -> Booking:
    """Confirm the user's hold: from then on its tickets are theirs until they return them.

    A booking that is already confirmed stays as it is, with its reference.

    Raises EventNotFound; ShopOnly; BookingNotFound; BookingChanged; NotHeld; HoldExpired; BookingCancelled;
    BookingTransferred; TryAgain.
    """
    event = catalog.read_event(event_id, deadline)
    if wanted.by is Actor.BUYER and event.rules.confirmed_by is Actor.SHOP:
        raise ShopOnly(event.event_id)
    uncertain = False
    while True:
        confirmed = _confirm(event, user_id, wanted, deadline)
        if isinstance(confirmed, Booking):
            return confirmed
        uncertain = uncertain or confirmed.uncertain
        booking = read_meant(event, user_id, wanted.booking_id, deadline, uncertain=uncertain)
        if booking.status is Status.CONFIRMED:
            return booking
        if booking.status is not Status.HELD:  # else it was promoted between the two requests
            ended = reason_it_ended(booking) or NotHeld(event.event_id, booking.booking_id)
            raise certain_or_try_again(ended, uncertain=uncertain)


def _confirm(event: Event, user_id: str, wanted: Confirmation, deadline: Deadline) -> Booking | Refused:
    """Confirm the hold in one request; it is refused if there is no such hold."""
    is_this_booking = "bookingId = :booking"  # P7: a late try must not confirm a newer booking
    is_held = "#status = :held"  # H2, P1: neither expired nor cancelled, so the tickets are still its own
    facts = {
        "status": items.text(Status.CONFIRMED),
        "bookedAt": items.text(runtime.current.now()),
        "confirmedBy": items.text(wanted.by),
        **({} if wanted.reference is None else {"reference": items.text(wanted.reference)}),
    }
    assign, names, values = items.assignment(facts)
    stored = dynamodb.update_if(
        deadline,
        TableName=items.BOOKINGS,
        Key=items.booking_key(event, user_id),
        UpdateExpression=f"{assign} {items.NO_HOLD}",
        ConditionExpression=f"{is_this_booking} AND {is_held}",
        ExpressionAttributeNames=names,
        ExpressionAttributeValues={
            **values,
            ":booking": items.text(wanted.booking_id),
            ":held": items.text(Status.HELD),
        },
        ReturnValues="ALL_NEW",
    )
    if isinstance(stored, Refused):
        return stored
    confirmed = items.to_booking(stored)
    telemetry.of_booking(Metric.HOLD_CONFIRMED, confirmed, by=wanted.by)
    return confirmed
