"""Settling: free tickets go to the head of the waiting list until either runs out.

The head is served as soon as `at_least` of the tickets that it wants are free, and gets as many of them as are free.
Until then it waits, and so does everyone behind it, whatever they want (P5): tickets may lie idle beside a user who
insists on several. When no user waits any more, and there are tickets, the event is put back on sale (sale.py).

Everything is read afresh, so any caller may settle at any time, repeat it, or stop in the middle. Two users who race:

    one joins                the other releases a ticket
    1. writes the entry      1. returns the ticket
    2. settles               2. settles

The user who writes later sees what the other wrote, so no user is left waiting beside enough free tickets (P6). The
same goes for a user who leaves, or asks for fewer, and for those behind them.
"""

from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

from shared import runtime, telemetry
from shared.booking import catalog, sale, sale_window
from shared.booking.waiting_list import entry_removal, head, read_with_end
from shared.model import Entry, Event, Lane, Status, Stuck, later, seconds_between
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import Name, Refused, TransactItem
from shared.telemetry import Metric

PROMOTIONS_PER_TRANSACTION_MAX = 25  # users in one transaction, which takes 100 items: 2 for each of them
TICKETS_AT_ONCE_MAX = 50  # in one transaction: at most as many lanes
FRUITLESS_MAX = 8  # rounds in a row that promote no user, although there are tickets for the head
FRUITLESS_PAUSE_S = (0.05, 2.0)  # first and longest pause after such a round: other settlers work on the same head


class _Promotion(NamedTuple):
    """An entry, and the lanes of the tickets that its user gets: one for each ticket."""

    entry: Entry
    tickets: list[int]


def settle(
    event: Event,
    deadline: Deadline,
    promotions_max: int | None = None,
    released_at: Sequence[str] = (),
    fruitless_max: int = FRUITLESS_MAX,
) -> int:
    """Promote users from the head of the list, in order, while there are tickets. Return how many were promoted.

    The order holds although one transaction promotes several users (P5): a page of the list has every entry that should
    come before one of its entries (see `head`), and only its first entries, without a gap, are promoted.

    An event that is on sale has no list, so only the event and the end of its list are read, in one request.

    `released_at` are the moments of cancellations that the caller knows of, to measure how long promotions take.
    Tickets have no identity, so the oldest moment counts as the release of the first promotion's tickets, and so on.

    An event has one settler at a time (note.py); now and then the sweep or an operator settles it, too. A settler that
    meets another pauses, because two at the same head only slow each other down.

    Raises TryAgain if the deadline passes before the work is done; Stuck after `fruitless_max` rounds in a row.
    """
    promoted = fruitless = 0
    releases = deque(sorted(released_at))
    while promotions_max is None or promoted < promotions_max:
        event, last = read_with_end(event, deadline)
        if event.sold_out_at is None or event.cancelled_at:
            return promoted
        lanes = catalog.read_lanes(event, deadline)
        left = sum(lane.available for lane in lanes)
        wanted = left if promotions_max is None else promotions_max - promoted
        length = min(left, wanted, PROMOTIONS_PER_TRANSACTION_MAX)
        entries = head(event, length, last, deadline) if length and last else []
        promotions = _promotions(entries, lanes)
        if not promotions:
            if entries:
                return promoted  # the head of the list needs more tickets
            if sale.reopen(event, lanes, deadline) is not None:
                return promoted  # no tickets are left, or the list is empty
        now_promoted = _promote_in_order(event, promotions, deadline)
        _report(event, promotions[:now_promoted], releases)
        promoted += now_promoted
        if now_promoted:
            fruitless = 0
            continue
        fruitless += 1
        if fruitless == fruitless_max:
            raise Stuck("settle")
        dynamodb.pause(fruitless - 1, FRUITLESS_PAUSE_S, deadline)
    return promoted


def _promotions(entries: list[Entry], lanes: list[Lane]) -> list[_Promotion]:
    """Give each entry its tickets in order, as far as they go. A user who is in the list twice (damage) comes once."""
    tickets = _tickets(lanes)
    is_all = len(tickets) == sum(lane.available for lane in lanes)
    promotions: list[_Promotion] = []
    for entry in entries[: _first_repeated(entries)]:
        # If TICKETS_AT_ONCE_MAX cut some off, a group that would get fewer than are free waits for the next round.
        if len(tickets) < (entry.at_least or 1) or (len(tickets) < entry.quantity and not is_all):
            break
        promotions.append(_Promotion(entry, tickets[: entry.quantity]))
        tickets = tickets[entry.quantity :]
    return promotions


def _tickets(lanes: list[Lane]) -> list[int]:
    """List the lane of each free ticket, at most TICKETS_AT_ONCE_MAX, from as few lanes as possible."""
    tickets: list[int] = []
    for lane in sorted(lanes, key=lambda lane: lane.available, reverse=True):
        tickets += [lane.number] * min(lane.available, TICKETS_AT_ONCE_MAX - len(tickets))
    return tickets


def _promote_in_order(event: Event, promotions: list[_Promotion], deadline: Deadline) -> int:
    """Promote the entries before the first refused one, in one transaction. Return how many were promoted.

    Returns 0 after a conflict or if only a lane is refused: another request was faster, so everything must be read
    again.
    """
    while promotions:
        refused = dynamodb.commit(_promote(event, promotions), deadline, retry_conflicts=False)
        if refused is None:
            break
        promotions = promotions[: _first_refused(refused, promotions)]
    return len(promotions)


def _first_refused(refused: Refused, promotions: list[_Promotion]) -> int:
    """Return how many promotions come before the first one whose booking refused; 0 if none did."""
    bookings = (refused["booking", entry.user_id] for entry, _ in promotions)
    return next((before for before, booking in enumerate(bookings) if booking.refused), 0)


def _first_repeated(entries: list[Entry]) -> int:
    """Return how many entries come before the first second entry of a user; all if no user has two."""
    users: set[str] = set()
    for before, entry in enumerate(entries):
        if entry.user_id in users:
            return before
        users.add(entry.user_id)
    return len(entries)


def _promote(event: Event, promotions: list[_Promotion]) -> dict[Name, TransactItem]:
    """Return the transaction: booking and entry of each promotion, in the order of the list, then the lanes."""
    moment = runtime.current.now()
    transaction: dict[Name, TransactItem] = {}
    for entry, tickets in promotions:
        transaction["booking", entry.user_id] = _promote_booking(event, entry, len(tickets), moment)
        transaction["entry", entry.user_id] = entry_removal(event, entry.sequence)
    users = Counter(tickets[0] for _, tickets in promotions)  # each leaves the list's count on one lane
    for lane, count in Counter(lane for _, tickets in promotions for lane in tickets).items():
        transaction["lane", lane] = _take(event, lane, count, users[lane])
    return transaction


def _promote_booking(event: Event, entry: Entry, quantity: int, moment: str) -> TransactItem:
    """Return the item that gives the booking its tickets: offered for a while, if the event has offers."""
    seconds = event.rules.offer_seconds
    if seconds is None:
        facts = {"status": items.text(Status.CONFIRMED), "bookedAt": items.text(moment)}
    else:
        hold = items.hold(event, entry.user_id, later(moment, seconds))
        facts = {"status": items.text(Status.HELD), "heldAt": items.text(moment), **hold}
    facts |= {"promotedAt": items.text(moment), "quantity": items.number(quantity)}
    assign, names, values = items.assignment({**facts, "atLeast": None})
    is_waiting = "#status = :waiting"  # P2: neither cancelled nor promoted
    has_this_place = "#sequence = :sequence"  # P5, P7: the user has not cancelled and joined again further back
    wants_as_many = "#quantity = :wanted"  # P7: the user has not asked for fewer
    return {
        "Update": {
            "TableName": items.BOOKINGS,
            "Key": items.booking_key(event, entry.user_id),
            "UpdateExpression": assign,
            "ConditionExpression": f"{is_waiting} AND {has_this_place} AND {wants_as_many}",
            "ExpressionAttributeNames": {**names, "#sequence": "sequence"},
            "ExpressionAttributeValues": {
                **values,
                ":waiting": items.text(Status.WAITING),
                ":sequence": items.number(entry.sequence),
                ":wanted": items.number(entry.quantity),
            },
        }
    }


def _take(event: Event, lane: int, count: int, users: int) -> TransactItem:
    has_tickets = "available >= :count"  # P1: never oversell
    return items.addition_to_lane(
        event.event_id,
        lane,
        {"available": -count, "waiting": -users, "changes": count},
        f"{has_tickets} AND {sale_window.NOT_CANCELLED}",
        count=items.number(count),
    )


def _report(event: Event, promotions: list[_Promotion], releases: deque[str]) -> None:
    offered: dict[Metric, float] = {Metric.BOOKING_OFFERED: 1} if event.rules.offer_seconds else {}
    for entry, _ in promotions:
        latency = {Metric.PROMOTION_LATENCY: _ms_since(releases.popleft())} if releases else {}
        telemetry.of_booking(Metric.BOOKING_PROMOTED, entry, also={**offered, **latency})


def _ms_since(moment: str) -> int:
    return round(seconds_between(moment, runtime.current.now()) * 1000)
