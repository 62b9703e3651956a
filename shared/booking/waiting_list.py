"""The waiting list: joining it, the place in it, and its head.

A place is a sequence number that the list's tail, an item of its own, hands out in order. It is handed out before
the entry is written, so entries may appear a little out of order; but whoever has been told "waiting" is in the list
before anybody who asks afterwards gets a number, and that is P5.

The entries of a list lie in stripes, each a partition of its own, in turns: number n in stripe n modulo their count.
"""

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from shared import runtime
from shared.booking import list_limit, sale_window
from shared.booking.attempt import BookingAttempt, active_booking_or_raise, read_booking
from shared.booking.cache import Cache
from shared.model import POSITION_EXACT_MAX, Booking, Entry, Event, Position, Standing, Status, Tail
from shared.store import dynamodb, items
from shared.store.dynamodb import Deadline, TransactItem

FRONT_AGE_MAX_S = 1.0  # for so long a warm function takes the front of a list for what it was
FRONTS_MAX = 1_000  # lists whose front a warm function keeps in mind


class _Front(NamedTuple):
    """The first numbers of a list when it was long: that of its head, and that behind which no place is exact."""

    first: int
    last_exact: int
    read_at_s: float  # on the monotonic clock


_fronts: Cache[_Front] = Cache("fronts", FRONTS_MAX)


def join(attempt: BookingAttempt, deadline: Deadline) -> Booking:
    """Put the booking at the end of the list, or return the booking the user has already.

    Only for an event that is known to be sold out, which means that all its lanes are closed (P4). The booking
    is read first, so that people who ask again cost the list's one counter nothing.

    Raises EventCancelled; NotOnSale; WaitingListFull; TryAgain.
    """
    if standing := attempt.met(read_booking(attempt.event, attempt.user_id, deadline)):
        return standing
    while True:
        if refusal := list_limit.known_refusal(attempt.event):
            raise refusal
        tail = _draw(attempt.event, deadline)
        if refusal := list_limit.refusal(attempt.event, tail, deadline):
            return active_booking_or_raise(attempt, refusal, deadline)
        booking = attempt.waiting(tail.last_sequence)
        refused = dynamodb.commit(_join(attempt, booking), deadline)
        if refused is None:
            list_limit.count(attempt.event)
            return booking
        if standing := attempt.refused_by(refused, position=0):
            return standing
        if standing := sale_window.standing_or_refused(attempt, refused.reasons[2], booking.joined_at or "", deadline):
            return standing


def position_of(event: Event, booking: Booking, deadline: Deadline) -> Position:
    """Count who is ahead of a waiting booking. Raises TryAgain.

    Exact up to POSITION_EXACT_MAX ahead. Beyond that it is the distance of the numbers from that of the head, which
    is an upper bound: numbers of those who left, or never arrived, are counted too. Since most of a long list stands
    there, its front is read once a second, and not for each of them: docs/decisions/0007.
    """
    mine = _sequence(booking)
    front = _fronts.get(event.event_id)
    if front is None or runtime.current.monotonic_s() > front.read_at_s + FRONT_AGE_MAX_S or mine <= front.last_exact:
        ahead = list(_entries(event, POSITION_EXACT_MAX + 1, ("<", mine), deadline))
        if len(ahead) <= POSITION_EXACT_MAX:
            return Position(len(ahead) + 1)
        front = _Front(ahead[0].sequence, ahead[-1].sequence, runtime.current.monotonic_s())
        _fronts.keep(event.event_id, front)
    return Position(mine - front.first + 1, is_estimate=True)


def standing(event: Event, booking: Booking, deadline: Deadline, is_new: bool = False) -> Standing:
    """Return where a booking stands, which of one that waits is its position. Raises TryAgain."""
    position = position_of(event, booking, deadline) if booking.status is Status.WAITING else None
    return Standing(booking, position, is_new)


def last_drawn(event: Event, deadline: Deadline) -> int:
    """Read the last number that the list handed out. Raises TryAgain.

    0 if nobody ever joined, and where the event was cancelled: nobody is promoted any more.
    """
    item = dynamodb.get(deadline, items.WAITING_LIST, items.tail_key(event))
    tail = items.to_tail(item) if item else Tail(0)
    return 0 if tail.cancelled_at else tail.last_sequence


def head(event: Event, length: int, last: int, deadline: Deadline) -> list[Entry]:
    """Read the first entries of the list, strongly consistent, in their order, none beyond the number `last`.

    Nobody who is told "waiting" before another of them asked can be missing before that one (P5), if `last` was the
    last number drawn before this began. A query is not a snapshot: what is committed while it runs may show in its
    later part and not in its earlier. So nobody who drew their number later is on the page.

    Raises TryAgain.
    """
    return list(_entries(event, length, ("<=", last), deadline))


def entries_after(event: Event, sequence: int, length: int, deadline: Deadline) -> list[Entry]:
    """Read the entries that follow a number, in their order, strongly consistent. Raises TryAgain."""
    return list(_entries(event, length, (">", sequence), deadline))


def entry_removal(event: Event, sequence: int) -> TransactItem:
    """Return the item that takes an entry out of the list. It needs no condition: its booking's speaks for it (P3)."""
    return {"Delete": {"TableName": items.WAITING_LIST, "Key": items.entry_key(event, sequence)}}


def _entries(event: Event, length: int, bound: tuple[str, int], deadline: Deadline) -> Iterator[Entry]:
    """Yield the first entries whose number is within the bound, such as ("<", 7), from all stripes, in their order."""
    comparison, number = bound
    pages = []
    for stripe in range(event.stripes):
        page = dynamodb.query(
            deadline,
            TableName=items.WAITING_LIST,
            KeyConditionExpression=f"stripeId = :stripe AND #sequence {comparison} :number",
            ExpressionAttributeNames={"#sequence": "sequence"},
            ExpressionAttributeValues={
                ":stripe": items.text(items.stripe_id(event.event_id, stripe)),
                ":number": items.number(number),
            },
            Limit=length,
            ConsistentRead=True,
        )
        pages.append(map(items.to_entry, page["Items"]))
    in_order = heapq.merge(*pages, key=lambda entry: entry.sequence)
    yield from (entry for _, entry in zip(range(length), in_order, strict=False))


def _draw(event: Event, deadline: Deadline) -> Tail:
    """Draw the next number, which tells the limit, too. A draw that got no answer leaves a gap, which harms nothing."""
    drawn = dynamodb.update(
        deadline,
        TableName=items.WAITING_LIST,
        Key=items.tail_key(event),
        UpdateExpression="ADD lastSequence :one",
        ExpressionAttributeValues={":one": items.number(1)},
        ReturnValues="ALL_NEW",
    )
    return items.to_tail(drawn)


def _join(attempt: BookingAttempt, booking: Booking) -> list[TransactItem]:
    """Write booking, entry and count together (P3), if the booking's condition holds and the home lane's does."""
    entry = Entry(
        booking.event_id, _sequence(booking), booking.user_id, booking.booking_id, joined_at=booking.joined_at or ""
    )
    return [
        attempt.put(booking),
        {"Put": {"TableName": items.WAITING_LIST, "Item": items.entry_item(attempt.event, entry)}},
        {
            "Update": {
                "TableName": items.LANES,
                "Key": items.lane_key(booking.event_id, attempt.home_lane),
                "UpdateExpression": "ADD waiting :one, changes :one",
                "ConditionExpression": sale_window.ON_SALE,
                "ExpressionAttributeValues": {":one": items.number(1), ":now": items.text(entry.joined_at)},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        },
    ]


def _sequence(booking: Booking) -> int:
    assert booking.sequence is not None, "a booking that waits has a place"
    return booking.sequence
