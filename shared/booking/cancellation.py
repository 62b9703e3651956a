"""Cancelling: a booking returns its ticket to a lane (release), or gives up its place in the waiting list (leave)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from shared import runtime, telemetry
from shared.booking.attempt import read_booking
from shared.booking.waiting_list import entry_removal
from shared.model import Booking, BookingChanged, BookingNotFound, Event, Status
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import Refused, TransactItem
from shared.telemetry import Metric

BOOKINGS_MAX = 40  # in one transaction, which takes 100 items: at most 2 for each booking, and the lane


def cancel(event: Event, user_id: str, booking_id: str | None, deadline: Deadline) -> Booking:
    """Cancel the user's booking; with a booking id, only if the booking has that id. Safe to repeat.

    The first read decides which booking is meant. If another booking replaces it in the meantime, that one stays.

    Raises BookingNotFound; BookingChanged; TryAgain.
    """
    booking = read_booking(event, user_id, deadline)
    if booking is None:
        raise BookingNotFound(event.event_id, user_id)
    meant = booking_id or booking.booking_id
    while True:
        if booking.booking_id != meant:
            raise BookingChanged(event.event_id, user_id, booking.booking_id)
        if not booking.is_active:
            return booking
        moment = runtime.current.now()
        refused = dynamodb.commit(_give_back(event, [booking], moment), deadline)
        if refused is None:
            metric = Metric.BOOKING_CANCELLED if booking.status is Status.CONFIRMED else Metric.WAITING_LEFT
            telemetry.outcome(metric, event_id=event.event_id, user_id=user_id, booking_id=meant)
            return replace(booking, status=Status.CANCELLED, cancelled_at=moment)
        stored = refused.reasons[0].item
        assert stored is not None, "only the booking has a condition, and a booking is never deleted"
        booking = items.to_booking(stored)


def cancel_all(event: Event, bookings: Sequence[Booking], deadline: Deadline) -> int:
    """Cancel 1 to BOOKINGS_MAX bookings of one home lane in one transaction. Return how many it cancelled.

    Leaves out bookings that their users cancel in the meantime. Safe to repeat. Raises TryAgain.
    """
    bookings = list(bookings)
    while bookings:
        refused = dynamodb.commit(_give_back(event, bookings, runtime.current.now()), deadline)
        if refused is None:
            break
        bookings = _still_active(bookings, refused)
    tickets = sum(booking.status is Status.CONFIRMED for booking in bookings)
    if bookings:
        left = {Metric.WAITING_LEFT: len(bookings) - tickets}
        telemetry.outcome(Metric.BOOKING_CANCELLED, tickets, also=left, event_id=event.event_id)
    return len(bookings)


def _still_active(bookings: Sequence[Booking], refused: Refused) -> list[Booking]:
    """Return the bookings that are still active, as the refusal shows them. At least one has changed since it was read.

    The transaction has one item for a confirmed booking, and two for a waiting one: the booking and its entry.
    """
    active = []
    place = 0
    for booking in bookings:
        reason = refused.reasons[place]
        stored = items.to_booking(reason.item) if reason.refused and reason.item else booking
        if stored.is_active:
            active.append(stored)
        place += 1 if booking.status is Status.CONFIRMED else 2
    return active


def _give_back(event: Event, bookings: Sequence[Booking], moment: str) -> list[TransactItem]:
    """Return the transaction that cancels bookings of one home lane, and counts them all on the lane at once.

    A ticket goes back to the home lane, whichever lane it came from: P1 is about the sum. A waiting user leaves with
    booking, entry and count (P3).
    """
    transaction: list[TransactItem] = []
    counts: Counter[str] = Counter()
    for booking in bookings:
        transaction.append(_cancel_booking(event, booking, moment))
        counts["changes"] += 1
        if booking.status is Status.CONFIRMED:
            counts["available"] += 1
            continue
        assert booking.sequence is not None, "a waiting booking has a place"
        transaction.append(entry_removal(event, booking.sequence))
        counts["waiting"] -= 1
    return [*transaction, _count_on_home_lane(event, bookings[0], counts)]


def _cancel_booking(event: Event, booking: Booking, moment: str) -> TransactItem:
    is_this_booking = "bookingId = :booking"  # P7: a late try must not cancel a newer booking
    has_same_status = "#status = :was"  # the user may have been promoted, or may have cancelled already
    return {
        "Update": {
            "TableName": items.BOOKINGS,
            "Key": items.booking_key(event, booking.user_id),
            "UpdateExpression": "SET #status = :cancelled, cancelledAt = :now",
            "ConditionExpression": f"{is_this_booking} AND {has_same_status}",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {
                ":booking": items.text(booking.booking_id),
                ":was": items.text(booking.status),
                ":cancelled": items.text(Status.CANCELLED),
                ":now": items.text(moment),
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def _count_on_home_lane(event: Event, booking: Booking, counts: Mapping[str, int]) -> TransactItem:
    return {
        "Update": {
            "TableName": items.LANES,
            "Key": items.lane_key(event.event_id, event.home_lane(booking.user_id)),
            "UpdateExpression": "ADD " + ", ".join(f"{name} :{name}" for name in sorted(counts)),
            "ExpressionAttributeValues": {f":{name}": items.number(count) for name, count in counts.items()},
        }
    }
