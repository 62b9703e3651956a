"""Check-in: at the door, a confirmed booking is used. The tickets are counted on the booking's home lane.

    door            booking                        home lane
      │── read ─────▶ │                                │
      │── check in ─▶ │ ─── count its tickets ───────▶ │    (one transaction)

Of all doors that check a booking in, one transaction succeeds: the others meet its `checkedInAt` (D1). A response that
was lost is answered as any repetition: with that moment, and `again`.
"""

from dataclasses import replace

from shared import runtime, telemetry
from shared.booking import catalog, sale_window
from shared.booking.current import (
    certain_or_try_again,
    must_be_meant,
    read_meant,
    reason_it_ended,
    update_of_confirmed,
)
from shared.model import (
    Actor,
    Booking,
    CheckIn,
    Event,
    EventCancelled,
    NotConfirmed,
    Status,
)
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import TransactItem
from shared.telemetry import Metric


def check_in(event_id: str, user_id: str, booking_id: str, by: Actor, deadline: Deadline) -> CheckIn:
    """Check the user's confirmed booking in, with all its tickets. Safe to repeat: the first moment stays.

    Raises EventNotFound; EventCancelled; BookingNotFound; BookingChanged; NotConfirmed; HoldExpired; BookingCancelled;
    BookingTransferred; TryAgain.
    """
    event = catalog.read_event(event_id, deadline)
    booking = read_meant(event, user_id, booking_id, deadline)
    uncertain = False
    while True:
        must_be_meant(booking, booking_id, uncertain=uncertain)
        if booking.status is not Status.CONFIRMED:
            ended = reason_it_ended(booking) or NotConfirmed(event.event_id, booking_id)
            raise certain_or_try_again(ended, uncertain=uncertain)
        if booking.checked_in_at:
            return CheckIn(booking, again=True)
        used = replace(booking, checked_in_at=runtime.current.now(), checked_in_by=by)
        refused = dynamodb.commit({"booking": _mark(event, used), "lane": _count(event, used)}, deadline)
        if refused is None:
            telemetry.of_booking(Metric.BOOKING_CHECKED_IN, used, tickets=used.quantity, by=by)
            return CheckIn(used, again=False)
        uncertain = uncertain or refused.uncertain
        if stored := refused["booking"].item:
            booking = items.to_booking(stored)
            continue
        assert refused["lane"].item is not None, "if not the booking, its lane was refused"
        cancelled = EventCancelled(event.event_id, str(items.to_lane(refused["lane"].item).cancelled_at))
        raise certain_or_try_again(cancelled, uncertain=uncertain)


def _mark(event: Event, used: Booking) -> TransactItem:
    facts = {"checkedInAt": items.text(str(used.checked_in_at)), "checkedInBy": items.text(str(used.checked_in_by))}
    return {"Update": update_of_confirmed(event, used, facts) | {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}


def _count(event: Event, used: Booking) -> TransactItem:
    """Count the tickets. `changes` grows as well: an audit may be reading bookings and lanes (D1)."""
    counts = {"checkedIn": used.quantity, "changes": used.quantity}
    takes_place = sale_window.NOT_CANCELLED  # O3
    return items.addition_to_lane(event.event_id, event.home_lane(used.user_id), counts, takes_place)
