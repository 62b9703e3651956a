"""The sale: tickets go straight from the lanes to buyers until there are none. Then the lanes close.

Buyers own the tickets at once, or hold them for a while first (Rules in shared/model.py). A booking of several tickets
takes them from one lane if one has them, else from several in one transaction: all that it takes, or none.

    buyer         home lane         other lanes                           event
      │── take ──────▶ │
      │◀─ too few ──── │
      │── read ─────────────────────▶ │ ──────────────────────────────────▶ │
      │── take from what has tickets ▶ │       (one transaction each, until one succeeds)
      │── close each open lane ──────▶ │
      │── sold out ───────────────────────────────────────────────────────▶ │
      └─ then the waiting list

Buyers join the waiting list only after every lane is closed, and a closed lane sells nothing (P4).

A lane that is not on sale (sale_window.py) ends the search, whatever it has: another lane would refuse as well, and the
event is not sold out.

A sold-out event that has tickets again, and no user waiting for them, is put back on sale: one transaction opens all
its lanes, on the condition that no user has joined since they were read. Each such sale has a number. A request that
closes lanes or joins the list names the sale that it means, so what arrives late from an earlier sale is refused:
docs/decisions/0023.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from shared import runtime, telemetry
from shared.booking import catalog, sale_window
from shared.booking.attempt import BookingAttempt
from shared.model import Booking, Event, EventCancelled, Lane, TooFewTickets, TryAgain
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import Name, TransactItem

LOOKS_MAX = 8  # reads that find too few free tickets while bookings move

Shares = Mapping[int, int]  # number of a lane -> how many tickets it gives


def buy(attempt: BookingAttempt, deadline: Deadline) -> Booking | None:
    """Take tickets, or return the active booking that the user already has.

    Returns None when there is no ticket, or when others are closing the lanes. Then `attempt.event` is the event as it
    is now: sold out, unless a later sale has begun.

    Raises EventCancelled; NotOnSale; TooFewTickets, if two reads in a row found the same lanes with too few; TryAgain,
    also after LOOKS_MAX reads of lanes that changed each time.
    """
    home = attempt.home_lane
    found = _take(attempt, {home: attempt.quantity}, deadline)
    if isinstance(found, Booking):
        return found
    looked: list[int] = []
    for _ in range(LOOKS_MAX):
        attempt.event, lanes = catalog.read_with_lanes(attempt.event, deadline)
        if attempt.event.cancelled_at:  # empty lanes of a cancelled event are not sold out
            raise EventCancelled(attempt.event.event_id, attempt.event.cancelled_at)
        if attempt.event.sold_out_at:
            return None
        earlier, looked = looked, [lane.changes for lane in lanes]
        if booking := take_from(lanes, attempt, deadline):
            return booking
        left = sum(lane.available for lane in lanes)
        if left == 0 or not all(lane.is_open for lane in lanes):
            attempt.event = close(attempt.event, lanes, deadline)
            return None
        if looked == earlier:  # no lane changed in between, so this was true at one moment (docs/decisions/0023)
            raise TooFewTickets(attempt.event.event_id, left)
    raise TryAgain("lanes")


def take_from(
    lanes: list[Lane], attempt: BookingAttempt, deadline: Deadline, sequence: int | None = None
) -> Booking | None:
    """Take as many tickets as the attempt wants and these lanes have, from open lanes only; from one lane if possible.

    With `sequence`, the first place in line, take from closed lanes instead. Returns None if they have fewer tickets
    than the user takes at least. `lanes` is every lane of the event by its number, and is updated in place: a lane that
    turns out to have fewer tickets is replaced. So each refusal leaves less to try, and the search ends.

    Raises EventCancelled; NotOnSale; TryAgain.
    """
    while shares := _shares(lanes, attempt, is_open=sequence is None):
        found = _take(attempt, shares, deadline, sequence)
        if isinstance(found, Booking):
            return found
        for lane in found:
            lanes[lane.number] = lane
    return None


def close(event: Event, lanes: list[Lane], deadline: Deadline) -> Event:
    """Close all lanes, then mark the event as sold out; return it as it is then. Raises TryAgain.

    The order matters: a buyer who reads that the event is sold out joins the waiting list, so no lane may sell then.
    Safe to repeat, to stop anywhere, by anyone, and to come late: a later sale is not closed.
    """
    moment = runtime.current.now()
    for lane in lanes:
        if lane.is_open:
            lane_key = items.lane_key(event.event_id, lane.number)
            dynamodb.update_if(deadline, **_end(event, items.LANES, lane_key, "closedAt", moment))
    event_key = items.event_key(event.event_id)
    if dynamodb.update_if(deadline, **_end(event, items.EVENTS, event_key, "soldOutAt", moment)) != {}:
        return catalog.read_anew(event.event_id, deadline)  # others were faster, or a later sale has begun
    telemetry.outcome(telemetry.Metric.SOLD_OUT, event_id=event.event_id)
    return catalog.remember(replace(event, sold_out_at=moment))


def reopen(event: Event, lanes: list[Lane], deadline: Deadline) -> Event | None:
    """Put a sold-out event that was just read back on sale, if no user waits; return it as it is then.

    That is worth its transaction once there is a free ticket for each lane, on average. With fewer, each buyer in turn
    is first in line and takes one, and the event stays as it is. Returns None if a user waits, or has joined or left
    since the lanes were read.

    Raises TryAgain.
    """
    left, waiting = sum(lane.available for lane in lanes), sum(lane.waiting for lane in lanes)
    if event.sold_out_at is None or event.cancelled_at or left < len(lanes):
        return event
    if waiting:
        return None
    transaction: dict[Name, TransactItem] = {"event": _reopen_event(event)}
    transaction |= {("lane", lane.number): _reopen_lane(lane) for lane in lanes}
    if dynamodb.commit(transaction, deadline) is not None:
        return None
    telemetry.outcome(telemetry.Metric.BACK_ON_SALE, event_id=event.event_id)
    return catalog.remember(replace(event, sold_out_at=None, sale=event.sale + 1))


def _shares(lanes: Iterable[Lane], attempt: BookingAttempt, *, is_open: bool) -> Shares:
    """Choose what to take: all from one lane, if one has enough, else from several; nothing if there are too few.

    From the home lane on, so that buyers of the last tickets spread over the lanes.
    """
    count, home = attempt.event.lanes, attempt.home_lane
    in_turn = sorted(lanes, key=lambda lane: (lane.number - home) % count)
    free = {lane.number: lane.available for lane in in_turn if lane.available > 0 and lane.is_open is is_open}
    left = min(attempt.quantity, sum(free.values()))
    if left < attempt.at_least:
        return {}
    enough = next((number for number, available in free.items() if available >= left), None)
    if enough is not None:
        return {enough: left}
    shares = {}
    for number, available in free.items():
        shares[number] = min(left, available)
        left -= shares[number]
    return {number: share for number, share in shares.items() if share}


def _take(
    attempt: BookingAttempt, shares: Shares, deadline: Deadline, sequence: int | None = None
) -> Booking | list[Lane]:
    """Take these tickets, or return the lanes that refused, as they are. Raises EventCancelled; NotOnSale; TryAgain.

    Returns the booking, or the active one that the user already has. An open lane sells to buyers, a closed one only
    to the first in line: `sequence` is the place (shared/booking/waiting_list.py).
    """
    while True:
        booking = attempt.with_tickets(sum(shares.values()), sequence)
        transaction: dict[Name, TransactItem] = {
            ("lane", lane): _take_from(lane, share, booking) for lane, share in shares.items()
        }
        transaction["booking"] = attempt.put(booking)
        refused = dynamodb.commit(transaction, deadline)
        if refused is None:
            return booking
        lanes = [("lane", lane) for lane in shares]
        if current := attempt.interpret(refused, lanes, moment=booking.created_at):
            return current
        if found := [items.to_lane(one.item) for one in map(refused.__getitem__, lanes) if one.refused and one.item]:
            return found


def _take_from(lane: int, share: int, booking: Booking) -> TransactItem:
    has_tickets = "available >= :share"  # P1: never oversell
    is_open = "attribute_not_exists(closedAt) AND " if booking.sequence is None else ""  # P4: no queue jumping
    return items.addition_to_lane(
        booking.event_id,
        lane,
        {"available": -share, "changes": share},
        f"{has_tickets} AND {is_open}{sale_window.ON_SALE}",
        share=items.number(share),
        now=items.text(booking.created_at),
    )


def _end(event: Event, table: str, key: items.Item, attribute: str, moment: str) -> dict[str, Any]:
    """Return the UpdateItem that ends this sale of the event, or of a lane. It returns what was set before, if it was.

    If the first response is lost, no caller learns that it was first.
    """
    is_this_sale = "sale = :sale"  # P4: a late one must not end the next sale
    return {
        "TableName": table,
        "Key": key,
        "UpdateExpression": f"SET {attribute} = if_not_exists({attribute}, :moment)",
        "ConditionExpression": is_this_sale,
        "ExpressionAttributeValues": {":moment": items.text(moment), ":sale": items.number(event.sale)},
        "ReturnValues": "UPDATED_OLD",
    }


def _reopen_event(event: Event) -> TransactItem:
    same_sale = "sale = :sale"  # P7: of two who put it back on sale, one does: each sale is announced
    not_cancelled = "attribute_not_exists(cancelledAt)"  # O3: a cancelled event stays as it was
    return {
        "Update": {
            "TableName": items.EVENTS,
            "Key": items.event_key(event.event_id),
            "UpdateExpression": "REMOVE soldOutAt ADD sale :one",
            "ConditionExpression": f"{same_sale} AND {not_cancelled}",
            "ExpressionAttributeValues": {":sale": items.number(event.sale), ":one": items.number(1)},
        }
    }


def _reopen_lane(lane: Lane) -> TransactItem:
    no_user_joined = "waiting = :waiting"  # P4: together the lanes say that no user waits
    return {
        "Update": {
            "TableName": items.LANES,
            "Key": items.lane_key(lane.event_id, lane.number),
            "UpdateExpression": "REMOVE closedAt ADD sale :one",
            "ConditionExpression": no_user_joined,
            "ExpressionAttributeValues": {":waiting": items.number(lane.waiting), ":one": items.number(1)},
        }
    }
