"""The waiting list: joining it, positions in it, and its head.

A place is a sequence number. The list's tail, an item of its own, hands the numbers out in order. A number is handed
out before its entry is written, so entries may appear slightly out of order. But a user who has been told "waiting" is
in the list before anyone who asks later gets a number, and that is P5.

The entries lie in stripes, each a partition of its own: entry n is in stripe n modulo the number of stripes.
"""

import heapq
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from shared import runtime
from shared.booking import catalog, list_limit, sale, sale_window
from shared.booking.attempt import BookingAttempt
from shared.booking.cache import Cache
from shared.model import POSITION_EXACT_MAX, Booking, Entry, Event, Position, Standing, Status, Tail
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import Name, TransactItem

FRONT_AGE_S_MAX = 1.0  # for this long a warm function trusts its cached front of a list
FRONTS_MAX = 1_000  # fronts that a warm function caches
COMEBACK_AGE_S = 10.0  # after a user has come back, a warm function reads each user's booking first for this long
COMEBACKS_MAX = 1_000  # lists for which a warm function remembers when that was


class _Front(NamedTuple):
    """The front of a long list: the number of its head, and the last number whose position is counted exactly."""

    first: int
    last_exact: int
    read_at_s: float  # on the monotonic clock


_fronts: Cache[_Front] = Cache("fronts", FRONTS_MAX)
_comebacks: Cache[float] = Cache("comebacks", COMEBACKS_MAX)  # when a user last came back, on the monotonic clock


def join(attempt: BookingAttempt, deadline: Deadline) -> Standing | None:
    """Put the booking at the end of the list, or return the booking that the user already has.

    Only for an event that is known to be sold out: then all its lanes are closed (P4). Returns None if it is back on
    sale. A request of a user who already has a booking, or had one, draws a number that is never used, and the tail is
    the one item that hands out numbers. So for a while after such a request, each user's booking is read first.

    If no user is ahead and enough tickets are free, the booking gets them instead: as if it had joined and been
    promoted at once, in one transaction. A user who was told "waiting" before this request began has an earlier place,
    and would be ahead (P5).

    Raises EventCancelled; NotOnSale; WaitingListFull; TryAgain.
    """
    event = attempt.event
    if _do_users_come_back(event) and (current := attempt.read(deadline)):
        return _answer_join(attempt, current, deadline)
    while True:
        tail = _draw(event, deadline)
        position = _position(event, tail.last_sequence, deadline)
        lanes = catalog.read_lanes(event, deadline) if position.value == 1 else []
        if any(lane.sale != event.sale for lane in lanes):
            return None
        if current := sale.take_from(lanes, attempt, deadline, tail.last_sequence):
            return _answer_join(attempt, current, deadline)
        if refusal := list_limit.refusal(event, tail, deadline):
            raise refusal
        booking = attempt.waiting(tail.last_sequence)
        refused = dynamodb.commit(_join(attempt, booking), deadline)
        if refused is None:
            list_limit.count(event)
            return Standing(booking, position, is_new=True)
        if current := attempt.interpret(refused, ["lane"], moment=booking.created_at):
            return _answer_join(attempt, current, deadline)
        if refused["lane"].refused:
            return None
        remember_comeback(event.event_id)


def remember_comeback(event_id: str) -> None:
    """Remember that a user of this list has come back."""
    _comebacks.keep(event_id, runtime.current.monotonic_s())


def standing(event: Event, booking: Booking, deadline: Deadline) -> Standing:
    """Return a booking with its position, if it waits. Raises TryAgain."""
    is_waiting = booking.status is Status.WAITING
    return Standing(booking, _position(event, _sequence(booking), deadline) if is_waiting else None)


def standing_of(attempt: BookingAttempt, booking: Booking, deadline: Deadline) -> Standing:
    """Return the booking that answers an attempt: it is new if this attempt made it (P7). Raises TryAgain."""
    return replace(standing(attempt.event, booking, deadline), is_new=attempt.made(booking))


def _do_users_come_back(event: Event) -> bool:
    """Tell whether a user of this list has come back lately."""
    at_s = _comebacks.get(event.event_id)
    return at_s is not None and runtime.current.monotonic_s() <= at_s + COMEBACK_AGE_S


def _answer_join(attempt: BookingAttempt, booking: Booking, deadline: Deadline) -> Standing:
    """Return the booking that answers an attempt to join; remember that its user came back if another request made it.

    Raises TryAgain.
    """
    if not attempt.made(booking):
        remember_comeback(attempt.event.event_id)
    return standing_of(attempt, booking, deadline)


def _position(event: Event, sequence: int, deadline: Deadline) -> Position:
    """Count the entries ahead of a place. Raises TryAgain.

    Exact up to POSITION_EXACT_MAX ahead. Further back it is the distance from the head's number, which is an upper
    bound: it counts numbers of users who left, and numbers that were never used. Most users of a long list are that far
    back, so its front is read once a second and not for each (docs/decisions/0007).
    """
    front = _fronts.get(event.event_id)
    is_old = front is None or runtime.current.monotonic_s() > front.read_at_s + FRONT_AGE_S_MAX
    if front is None or is_old or sequence <= front.last_exact:
        ahead = list(_entries(event, POSITION_EXACT_MAX + 1, ("<", sequence), deadline))
        if len(ahead) <= POSITION_EXACT_MAX:
            return Position(len(ahead) + 1)
        front = _Front(ahead[0].sequence, ahead[-1].sequence, runtime.current.monotonic_s())
        _fronts.keep(event.event_id, front)
    return Position(sequence - front.first + 1, is_estimate=True)


def read_with_end(event: Event, deadline: Deadline) -> tuple[Event, int]:
    """Read an event again, and the last number that its list handed out: 0 before the first. Raises TryAgain."""
    keys = {items.EVENTS: [items.event_key(event.event_id)], items.WAITING_LIST: [items.tail_key(event)]}
    found = dynamodb.get_all(deadline, keys)
    tails = [items.to_tail(item) for item in found[items.WAITING_LIST]]
    return catalog.remember(items.to_event(found[items.EVENTS][0])), tails[0].last_sequence if tails else 0


def head(event: Event, length: int, last: int, deadline: Deadline) -> list[Entry]:
    """Read the first entries of the list, strongly consistent, in order, up to the number `last`.

    If `last` was the last number drawn before this read began, the result keeps P5: it never has an entry without also
    having every entry whose user was told "waiting" before that entry's user asked. A query is not a snapshot:
    something committed while it runs may show in its later part and not in its earlier part. So entries with later
    numbers are left out.

    Raises TryAgain.
    """
    return list(_entries(event, length, ("<=", last), deadline))


def entries_after(event: Event, sequence: int, length: int, deadline: Deadline) -> list[Entry]:
    """Read the entries after a number, in order, strongly consistent. Raises TryAgain."""
    return list(_entries(event, length, (">", sequence), deadline))


def entry_removal(event: Event, sequence: int) -> TransactItem:
    """Return the transaction's item that removes an entry. The condition on its booking covers it (P3)."""
    return {"Delete": {"TableName": items.WAITING_LIST, "Key": items.entry_key(event, sequence)}}


def _entries(event: Event, length: int, bound: tuple[str, int], deadline: Deadline) -> Iterator[Entry]:
    """Yield the first entries whose number is within a bound, such as ("<", 7), from all stripes, in order."""
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
    """Draw the next number; the tail also holds the limit. A draw without a response leaves a harmless gap."""
    drawn = dynamodb.update(
        deadline,
        TableName=items.WAITING_LIST,
        Key=items.tail_key(event),
        UpdateExpression="ADD lastSequence :one",
        ExpressionAttributeValues={":one": items.number(1)},
        ReturnValues="ALL_NEW",
    )
    return items.to_tail(drawn)


def _join(attempt: BookingAttempt, booking: Booking) -> dict[Name, TransactItem]:
    """Write booking, entry and count together (P3).

    Only if the user has no active booking, and no sale has begun on the lane since the one that is known to be over.
    """
    entry = Entry(
        booking.event_id,
        _sequence(booking),
        booking.user_id,
        booking.booking_id,
        booking.created_at,
        booking.quantity,
        booking.at_least,
    )
    same_sale = "sale = :sale"  # P4: the event has not been put back on sale since
    return {
        "booking": attempt.put(booking),
        "entry": {"Put": {"TableName": items.WAITING_LIST, "Item": items.entry_item(attempt.event, entry)}},
        "lane": items.addition_to_lane(
            booking.event_id,
            attempt.home_lane,
            {"waiting": 1, "changes": 1},
            f"{same_sale} AND {sale_window.ON_SALE}",
            now=items.text(entry.joined_at),
            sale=items.number(attempt.event.sale),
        ),
    }


def _sequence(booking: Booking) -> int:
    assert booking.sequence is not None, "a waiting booking has a place"
    return booking.sequence
