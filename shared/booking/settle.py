"""Settling: free tickets go to the head of the waiting list until either runs out.

Everything is read afresh, so any caller may settle at any time, repeat it, or stop in the middle. Two users who race:

    one joins                the other releases a ticket
    1. writes the entry      1. returns the ticket
    2. settles               2. settles

The user who writes later sees what the other wrote, so no user is left waiting beside a free ticket (P6).
"""

from collections import Counter, deque
from collections.abc import Sequence

from shared import runtime, telemetry
from shared.booking import catalog, sale_window
from shared.booking.waiting_list import entry_removal, head, last_drawn
from shared.model import Entry, Event, Lane, Status, Stuck, later, seconds_between
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import Name, Refused, TransactItem
from shared.telemetry import Metric

PROMOTIONS_MAX = 25  # in one transaction, which takes 100 items: at most 3 for each promotion
FRUITLESS_MAX = 8  # rounds in a row that promote no user, although a ticket is free and a user waits
FRUITLESS_PAUSE_S = (0.05, 2.0)  # first and longest pause after such a round: other settlers work on the same head


def settle(
    event: Event,
    deadline: Deadline,
    promotions_max: int | None = None,
    released_at: Sequence[str] = (),
    fruitless_max: int = FRUITLESS_MAX,
) -> int:
    """Promote users from the head of the list, in order, while there are tickets. Return how many were promoted.

    The order holds although one transaction promotes several users (P5): a page of the list has every entry that should
    come before one of its entries (see `head`), and only a beginning of the page is promoted.

    `released_at` are the moments of cancellations that the caller knows of, to measure how long promotions take.
    Tickets have no identity, so the oldest moment counts as the release of the first promotion's ticket, and so on.

    Several settlers may work on one event at once. A settler that meets another pauses, because two at the same
    head only slow each other down.

    Raises TryAgain if the deadline passes before the work is done; Stuck after `fruitless_max` rounds in a row.
    """
    promoted = fruitless = 0
    releases = deque(sorted(released_at))
    while promotions_max is None or promoted < promotions_max:
        last = last_drawn(event, deadline)
        if not last:
            return promoted  # no user ever waited, or the event is cancelled: one read is enough
        tickets = _tickets(catalog.read_lanes(event, deadline))
        if promotions_max is not None:
            tickets = tickets[: promotions_max - promoted]
        entries = head(event, len(tickets), last, deadline) if tickets else []
        if not entries:
            return promoted
        now_promoted = _promote_in_order(event, entries, tickets, deadline)
        _report(event, entries[:now_promoted], releases)
        promoted += now_promoted
        if now_promoted:
            fruitless = 0
            continue
        fruitless += 1
        if fruitless == fruitless_max:
            raise Stuck("settle")
        dynamodb.pause(fruitless - 1, FRUITLESS_PAUSE_S, deadline)
    return promoted


def _tickets(lanes: list[Lane]) -> list[int]:
    """List the lane of each free ticket, at most PROMOTIONS_MAX, from as few lanes as possible."""
    tickets: list[int] = []
    for lane in sorted(lanes, key=lambda lane: lane.available, reverse=True):
        tickets += [lane.number] * min(lane.available, PROMOTIONS_MAX - len(tickets))
    return tickets


def _promote_in_order(event: Event, entries: list[Entry], tickets: list[int], deadline: Deadline) -> int:
    """Promote the entries before the first refused one, in one transaction. Return how many were promoted.

    Returns 0 after a conflict or if only a lane is refused: another request was faster, so everything must be read
    again. A user who is in the list twice (damaged data) is in a transaction once, since it may not have an item
    twice.
    """
    entries = entries[: _first_repeated(entries)]
    while entries:
        refused = dynamodb.commit(_promote(event, entries, tickets), deadline, yields=True)
        if refused is None:
            break
        entries = entries[: _first_refused(refused, entries)]
    return len(entries)


def _first_refused(refused: Refused, entries: list[Entry]) -> int:
    """Return how many entries come before the first refused one; 0 if no entry was refused."""
    return next((place for place, one in enumerate(entries) if refused["booking", one.user_id].refused), 0)


def _first_repeated(entries: list[Entry]) -> int:
    """Return how many entries come before the first second entry of a user; all if no user has two."""
    users: set[str] = set()
    for place, entry in enumerate(entries):
        if entry.user_id in users:
            return place
        users.add(entry.user_id)
    return len(entries)


def _promote(event: Event, entries: list[Entry], tickets: list[int]) -> dict[Name, TransactItem]:
    """Return the transaction: booking and entry of each promotion, in the order of the list, then the lanes."""
    moment = runtime.current.now()
    transaction: dict[Name, TransactItem] = {}
    for entry in entries:
        transaction["booking", entry.user_id] = _promote_booking(event, entry, moment)
        transaction["entry", entry.user_id] = entry_removal(event, entry.sequence)
    for lane, count in Counter(tickets[: len(entries)]).items():
        transaction["lane", lane] = _take(event, lane, count)
    return transaction


def _promote_booking(event: Event, entry: Entry, moment: str) -> TransactItem:
    """Return the item that gives the booking its ticket: offered for a while, if the event has offers."""
    seconds = event.rules.offer_seconds
    if seconds is None:
        facts = {"status": items.text(Status.CONFIRMED), "bookedAt": items.text(moment)}
    else:
        hold = items.hold(event, entry.user_id, later(moment, seconds))
        facts = {"status": items.text(Status.HELD), "heldAt": items.text(moment), **hold}
    assign, names, values = items.assignment({**facts, "promotedAt": items.text(moment)})
    is_waiting = "#status = :waiting"  # P2: neither cancelled nor promoted
    has_this_place = "#sequence = :sequence"  # P5, P7: the user has not cancelled and joined again further back
    return {
        "Update": {
            "TableName": items.BOOKINGS,
            "Key": items.booking_key(event, entry.user_id),
            "UpdateExpression": assign,
            "ConditionExpression": f"{is_waiting} AND {has_this_place}",
            "ExpressionAttributeNames": {**names, "#sequence": "sequence"},
            "ExpressionAttributeValues": {
                **values,
                ":waiting": items.text(Status.WAITING),
                ":sequence": items.number(entry.sequence),
            },
        }
    }


def _take(event: Event, lane: int, count: int) -> TransactItem:
    has_tickets = "available >= :count"  # P1: never oversell
    return {
        "Update": {
            "TableName": items.LANES,
            "Key": items.lane_key(event.event_id, lane),
            "UpdateExpression": "ADD available :less, waiting :less, changes :count",
            "ConditionExpression": f"{has_tickets} AND {sale_window.NOT_CANCELLED}",
            "ExpressionAttributeValues": {":less": items.number(-count), ":count": items.number(count)},
        }
    }


def _report(event: Event, promoted: list[Entry], releases: deque[str]) -> None:
    offered: dict[Metric, float] = {Metric.BOOKING_OFFERED: 1} if event.rules.offer_seconds else {}
    for entry in promoted:
        latency = {Metric.PROMOTION_LATENCY: _ms_since(releases.popleft())} if releases else {}
        telemetry.outcome(
            Metric.BOOKING_PROMOTED,
            also={**offered, **latency},
            event_id=event.event_id,
            user_id=entry.user_id,
            booking_id=entry.booking_id,
        )


def _ms_since(moment: str) -> int:
    return round(seconds_between(moment, runtime.current.now()) * 1000)
