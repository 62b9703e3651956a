"""The sale: tickets straight from the lanes, until there are none; then the lanes are closed for good.

    booker        home lane         the other lanes                       event
      │── take ──────▶ │
      │◀─ empty ────── │
      │── read ─────────────────────▶ │ ──────────────────────────────────▶ │
      │── take from one with tickets ▶ │       (one transaction each, until one succeeds)
      │── close each that is open ───▶ │
      │── sold out ───────────────────────────────────────────────────────▶ │
      └─ then the waiting list

Nobody joins before every lane is closed, and a closed lane sells nothing: that is P4.

A lane that is not on sale (sale_window.py) ends the search for a ticket, whatever it has: that is no reason to look
further, and none to call the event sold out.
"""

from dataclasses import replace

from shared import runtime, telemetry
from shared.booking import catalog, sale_window
from shared.booking.attempt import BookingAttempt, active_booking_or_raise
from shared.model import Booking, Event, EventCancelled, Lane
from shared.store import dynamodb, items
from shared.store.dynamodb import Deadline, TransactItem


def buy(attempt: BookingAttempt, deadline: Deadline) -> Booking | None:
    """Take a ticket for the booking, or return the booking the user has already.

    Returns None when there is none: then the event is sold out, closed for good, and known to be so. A lane that
    refuses because the event was cancelled is not one without a ticket.

    Raises EventCancelled; NotOnSale; TryAgain.
    """
    home = attempt.home_lane
    if booking := _buy_from(home, attempt, deadline):
        return booking
    event, lanes = catalog.read_with_lanes(attempt.event, deadline)
    if event.cancelled_at:
        return active_booking_or_raise(attempt, EventCancelled(event.event_id, event.cancelled_at), deadline)
    for lane in lanes[home:] + lanes[:home]:  # from home on, so that those who come by the last tickets spread
        if lane.available > 0 and lane.is_open and (booking := _buy_from(lane.number, attempt, deadline)):
            return booking
    if event.sold_out_at is None:
        close(event, lanes, deadline)
    return None


def close(event: Event, lanes: list[Lane], deadline: Deadline) -> Event:
    """Close all lanes for good and then say that the event is sold out. Raises TryAgain.

    The order matters: who reads that the event is sold out joins the waiting list, so no lane may sell then.
    It is safe to repeat and to stop anywhere, by anyone: every step sets what is not set.
    """
    moment = runtime.current.now()
    for lane in lanes:
        if lane.is_open:
            key = items.lane_key(event.event_id, lane.number)
            dynamodb.set_once(deadline, items.LANES, key, "closedAt", moment)
    key = items.event_key(event.event_id)
    earlier = dynamodb.set_once(deadline, items.EVENTS, key, "soldOutAt", moment)
    if earlier is None:
        telemetry.outcome(telemetry.Metric.SOLD_OUT, event_id=event.event_id)
    return catalog.remember(replace(event, sold_out_at=earlier or moment))


def _buy_from(lane: int, attempt: BookingAttempt, deadline: Deadline) -> Booking | None:
    """Take a ticket from this lane; None if it has none to sell. Raises EventCancelled; TryAgain."""
    while True:
        booking = attempt.confirmed()
        refused = dynamodb.commit(_take(lane, attempt, booking), deadline)
        if refused is None:
            return booking
        if current := attempt.refused_by(refused, position=1):
            return current
        if current := sale_window.standing_or_refused(attempt, refused.reasons[0], booking.booked_at or "", deadline):
            return current
        if refused.reasons[0].refused:
            return None


def _take(lane: int, attempt: BookingAttempt, booking: Booking) -> list[TransactItem]:
    has_ticket = "available > :none"  # P1: never oversell
    is_open = "attribute_not_exists(closedAt)"  # P4: no queue jumping
    take_ticket: TransactItem = {
        "Update": {
            "TableName": items.LANES,
            "Key": items.lane_key(attempt.event.event_id, lane),
            "UpdateExpression": "ADD available :taken, changes :one",
            "ConditionExpression": f"{has_ticket} AND {is_open} AND {sale_window.ON_SALE}",
            "ExpressionAttributeValues": {
                ":none": items.number(0),
                ":taken": items.number(-1),
                ":one": items.number(1),
                ":now": items.text(booking.booked_at or ""),
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }
    return [take_ticket, attempt.put(booking)]
