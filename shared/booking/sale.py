"""The sale: tickets go straight from the lanes to buyers until there are none. Then the lanes close.

Buyers own the tickets at once, or hold them for a while first (Rules in shared/model.py).

    buyer         home lane         other lanes                           event
      │── take ──────▶ │
      │◀─ empty ────── │
      │── read ─────────────────────▶ │ ──────────────────────────────────▶ │
      │── take from one with tickets ▶ │       (one transaction each, until one succeeds)
      │── close each open lane ──────▶ │
      │── sold out ───────────────────────────────────────────────────────▶ │
      └─ then the waiting list

Buyers join the waiting list only after every lane is closed, and a closed lane sells nothing (P4).

A lane that is not on sale (sale_window.py) ends the search, whatever it has: another lane would refuse as well, and the
event is not sold out.
"""

from dataclasses import replace

from shared import runtime, telemetry
from shared.booking import catalog, sale_window
from shared.booking.attempt import BookingAttempt
from shared.model import Booking, Event, EventCancelled, Lane
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import TransactItem


def buy(attempt: BookingAttempt, deadline: Deadline) -> Booking | None:
    """Take a ticket, or return the active booking that the user already has.

    Returns None when there is no ticket. Then all lanes are closed, and the event is marked and remembered as sold out.

    Raises EventCancelled; NotOnSale; TryAgain.
    """
    home = attempt.home_lane
    if booking := buy_from(home, attempt, deadline):
        return booking
    event, lanes = catalog.read_with_lanes(attempt.event, deadline)
    if event.cancelled_at:
        raise EventCancelled(event.event_id, event.cancelled_at)  # empty lanes of a cancelled event are not sold out
    for lane in lanes[home:] + lanes[:home]:  # from home on, so that buyers of the last tickets spread over the lanes
        if lane.available > 0 and lane.is_open and (booking := buy_from(lane.number, attempt, deadline)):
            return booking
    if event.sold_out_at is None:
        close(event, lanes, deadline)
    return None


def close(event: Event, lanes: list[Lane], deadline: Deadline) -> Event:
    """Close all lanes, then mark the event as sold out. Raises TryAgain.

    The order matters: a buyer who reads that the event is sold out joins the waiting list, so no lane may sell then.
    Safe to repeat and to stop anywhere, by anyone: each step sets what is not set yet.
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


def buy_from(lane: int, attempt: BookingAttempt, deadline: Deadline, sequence: int | None = None) -> Booking | None:
    """Take a ticket from this lane. Return None if it has none to sell. Raises EventCancelled; NotOnSale; TryAgain.

    A closed lane sells only to an attempt that is first in line: `sequence` is its place (shared/booking/waiting_list).
    """
    while True:
        booking = attempt.with_tickets(sequence)
        refused = dynamodb.commit({"lane": _take(lane, booking), "booking": attempt.put(booking)}, deadline)
        if refused is None:
            return booking
        if current := attempt.refused(refused, moment=booking.created_at):
            return current
        if refused["lane"].refused:
            return None


def _take(lane: int, booking: Booking) -> TransactItem:
    has_tickets = "available >= :quantity"  # P1: never oversell
    is_open = "attribute_not_exists(closedAt) AND " if booking.sequence is None else ""  # P4: no queue jumping
    return {
        "Update": {
            "TableName": items.LANES,
            "Key": items.lane_key(booking.event_id, lane),
            "UpdateExpression": "ADD available :taken, changes :quantity",
            "ConditionExpression": f"{has_tickets} AND {is_open}{sale_window.ON_SALE}",
            "ExpressionAttributeValues": {
                ":quantity": items.number(booking.quantity),
                ":taken": items.number(-booking.quantity),
                ":now": items.text(booking.created_at),
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }
