"""Settling: free tickets go to the head of the waiting list until either runs out.

Everything is read afresh, so anyone may settle at any time, twice, or stop in the middle. Two that race:

    somebody joins           somebody releases a ticket
    1. writes the entry      1. returns the ticket
    2. settles               2. settles

Whoever comes second sees what the first one wrote, so nobody is left waiting beside a free ticket (P6).
"""

from collections import Counter, deque
from collections.abc import Sequence

from shared import runtime, telemetry
from shared.booking import catalog, sale_window
from shared.booking.waiting_list import entry_removal, head, last_drawn
from shared.model import Entry, Event, Lane, Status, Stuck, seconds_between
from shared.store import dynamodb, items
from shared.store.dynamodb import Deadline, Refused, TransactItem
from shared.telemetry import Metric

PROMOTIONS_MAX = 25  # in one transaction: 3 items each at the most, of 100
FRUITLESS_MAX = 8  # looks in a row that promoted nobody, though there was a ticket and somebody waiting
FRUITLESS_PAUSE_S = (0.05, 2.0)  # the first and the longest after such a look: others are at work on the same head


def settle(
    event: Event,
    deadline: Deadline,
    promotions_max: int | None = None,
    released_at: Sequence[str] = (),
    fruitless_max: int = FRUITLESS_MAX,
) -> int:
    """Promote from the head of the list while there are tickets, in order; return how many were promoted.

    The order holds although several are promoted at once (P5): whoever should come before one of them stands before
    it on the page, see `head`; and of a page only a beginning is promoted, in one transaction.

    `released_at` are the moments of cancellations that the caller knows of. Tickets have no identity: the oldest of
    these is taken to be the one that the first promotion waited for, and so on, to measure the time between.

    Many may settle one event at once. Who meets another does not insist: the others do the same work, and so the fewer
    look at the same head the faster they are.

    Raises TryAgain when the deadline passed before the work was done; Stuck after `fruitless_max` looks in vain.
    """
    promoted = fruitless = 0
    releases = deque(sorted(released_at))
    while promotions_max is None or promoted < promotions_max:
        last = last_drawn(event, deadline)
        if not last:
            return promoted  # nobody ever waited, or the event was cancelled: one read tells
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
    """List the lane of each free ticket, PROMOTIONS_MAX at the most, from as few lanes as can be."""
    tickets: list[int] = []
    for lane in sorted(lanes, key=lambda lane: lane.available, reverse=True):
        tickets += [lane.number] * min(lane.available, PROMOTIONS_MAX - len(tickets))
    return tickets


def _promote_in_order(event: Event, entries: list[Entry], tickets: list[int], deadline: Deadline) -> int:
    """Promote the entries up to the first that is refused, all at once; return how many were promoted.

    None where a lane refused, or in a conflict: somebody was faster, and all is to be read again. Who stands in
    the list twice, which is damage, is in a transaction once: it may not have an item twice.
    """
    entries = entries[: _first_repeated(entries)]
    while entries:
        refused = dynamodb.commit(_promote(event, entries, tickets), deadline, yields=True)
        if refused is None:
            break
        entries = entries[: _first_refused(refused, len(entries))]
    return len(entries)


def _first_refused(refused: Refused, entries: int) -> int:
    """Return how many entries stand before the first that was refused; 0 if none was, but a lane."""
    bookings = refused.reasons[: 2 * entries : 2]
    return next((place for place, reason in enumerate(bookings) if reason.refused), 0)


def _first_repeated(entries: list[Entry]) -> int:
    """Return how many entries stand before the first of a user who has one among them already; all if none does."""
    users: set[str] = set()
    for place, entry in enumerate(entries):
        if entry.user_id in users:
            return place
        users.add(entry.user_id)
    return len(entries)


def _promote(event: Event, entries: list[Entry], tickets: list[int]) -> list[TransactItem]:
    """Return the transaction: booking and entry of each, in the order of the list, and then the lanes."""
    moment = runtime.current.now()
    transaction: list[TransactItem] = []
    for entry in entries:
        transaction += [_confirm(event, entry, moment), entry_removal(event, entry.sequence)]
    from_lanes = Counter(tickets[: len(entries)])
    return transaction + [_take(event, lane, count) for lane, count in from_lanes.items()]


def _confirm(event: Event, entry: Entry, moment: str) -> TransactItem:
    is_waiting = "#status = :waiting"  # P2: not left, not promoted
    in_this_place = "#sequence = :sequence"  # P5, P7: not come back further behind
    return {
        "Update": {
            "TableName": items.BOOKINGS,
            "Key": items.booking_key(event, entry.user_id),
            "UpdateExpression": "SET #status = :confirmed, bookedAt = :now, promotedAt = :now",
            "ConditionExpression": f"{is_waiting} AND {in_this_place}",
            "ExpressionAttributeNames": {"#status": "status", "#sequence": "sequence"},
            "ExpressionAttributeValues": {
                ":waiting": items.text(Status.WAITING),
                ":sequence": items.number(entry.sequence),
                ":confirmed": items.text(Status.CONFIRMED),
                ":now": items.text(moment),
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
            "ConditionExpression": f"{has_tickets} AND {sale_window.TAKES_PLACE}",
            "ExpressionAttributeValues": {":less": items.number(-count), ":count": items.number(count)},
        }
    }


def _report(event: Event, promoted: list[Entry], releases: deque[str]) -> None:
    for entry in promoted:
        telemetry.outcome(
            Metric.BOOKING_PROMOTED,
            also={Metric.PROMOTION_LATENCY: _ms_since(releases.popleft())} if releases else None,
            event_id=event.event_id,
            user_id=entry.user_id,
            booking_id=entry.booking_id,
        )


def _ms_since(moment: str) -> int:
    return round(seconds_between(moment, runtime.current.now()) * 1000)
