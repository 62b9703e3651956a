"""Settling: free tickets go to the head of the waiting list until either runs out.

Everything is read afresh, so anyone may settle at any time, twice, or stop in the middle. Two that race:

    somebody joins           somebody releases a ticket
    1. writes the entry      1. returns the ticket
    2. reads the lanes       2. reads the list

Whoever comes second sees what the first one wrote, so nobody is left waiting beside a free ticket (P6).
"""

from collections import deque
from collections.abc import Sequence

from shared import dynamodb, events, items, telemetry
from shared.dynamodb import Deadline, TransactItem
from shared.model import Entry, Event, Lane, Status, Stuck, now, seconds_between
from shared.telemetry import Metric
from shared.waiting_list import entry_removal, head

HEAD_LENGTH = 25  # entries read at once; one transaction each
FRUITLESS_MAX = 20  # looks in a row that promoted nobody, though there was a ticket and somebody waiting


def settle(event: Event, deadline: Deadline, promotions_max: int | None = None, released_at: Sequence[str] = ()) -> int:
    """Promote from the head of the list while there are tickets, in order; return how many were promoted.

    The order holds although several entries are read at once (P5): whoever should come before one of them stands
    before it on the page, see `head`; and the page ends at the first refusal.

    `released_at` are the moments of cancellations that the caller knows of. Tickets have no identity: the oldest of
    these is taken to be the one that the first promotion waited for, and so on, to measure the time between.

    Raises TryAgain when the deadline passed before the work was done; Stuck.
    """
    promoted = fruitless = 0
    releases = deque(sorted(released_at))
    while promotions_max is None or promoted < promotions_max:
        length = HEAD_LENGTH if promotions_max is None else min(HEAD_LENGTH, promotions_max - promoted)
        entries = head(event.event_id, length, deadline)
        if not entries:
            return promoted
        tickets = _tickets(events.read_lanes(event, deadline))
        if not tickets:
            return promoted
        now_promoted = _promote_in_order(event, entries, tickets, releases, deadline)
        promoted += now_promoted
        fruitless = 0 if now_promoted else fruitless + 1
        if fruitless == FRUITLESS_MAX:
            raise Stuck("settle")
    return promoted


def _tickets(lanes: list[Lane]) -> list[int]:
    """List the lane of each free ticket, taking turns over the lanes, HEAD_LENGTH at the most."""
    turns = max((lane.available for lane in lanes), default=0)
    tickets: list[int] = []
    for turn in range(min(turns, HEAD_LENGTH)):
        tickets += [lane.number for lane in lanes if lane.available > turn]
    return tickets[:HEAD_LENGTH]


def _promote_in_order(
    event: Event, entries: list[Entry], tickets: list[int], releases: deque[str], deadline: Deadline
) -> int:
    """Promote one entry after the other, up to the first refusal; return how many were promoted."""
    promoted = 0
    for entry, lane in zip(entries, tickets, strict=False):
        if dynamodb.commit(_promote(event, entry, lane), deadline):
            break  # somebody was faster: read again
        promoted += 1
        telemetry.outcome(
            Metric.BOOKING_PROMOTED,
            also={Metric.PROMOTION_LATENCY: _ms_since(releases.popleft())} if releases else None,
            event_id=event.event_id,
            user_id=entry.user_id,
            booking_id=entry.booking_id,
        )
    return promoted


def _ms_since(moment: str) -> int:
    return round(seconds_between(moment, now()) * 1000)


def _promote(event: Event, entry: Entry, lane: int) -> list[TransactItem]:
    has_ticket = "available > :none"  # P1: never oversell
    is_waiting = "#status = :waiting"  # P2: not left, not promoted
    in_this_place = "#sequence = :sequence"  # P5, P7: not come back further behind
    moment = items.text(now())
    return [
        {
            "Update": {
                "TableName": items.LANES,
                "Key": items.lane_key(event.event_id, lane),
                "UpdateExpression": "ADD available :less, waiting :less, changes :one",
                "ConditionExpression": has_ticket,
                "ExpressionAttributeValues": {
                    ":none": items.number(0),
                    ":less": items.number(-1),
                    ":one": items.number(1),
                },
            }
        },
        entry_removal(event.event_id, entry.sequence),
        {
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
                    ":now": moment,
                },
            }
        },
    ]
