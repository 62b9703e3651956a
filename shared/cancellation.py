"""Cancelling: a ticket goes back to its lane (release), or a place in the waiting list is given up (leave)."""

from dataclasses import replace

from shared import dynamodb, items, telemetry
from shared.claims import read_booking
from shared.dynamodb import Deadline, TransactItem
from shared.model import Booking, BookingChanged, BookingNotFound, Event, Status, now
from shared.telemetry import Metric
from shared.waiting_list import entry_removal


def cancel(event: Event, user_id: str, booking_id: str | None, deadline: Deadline) -> Booking:
    """Cancel the user's booking, if it is the one with this id where one is given; repeating it is harmless.

    Which booking is meant is settled at the first look: should another take its place meanwhile, that one stays.

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
        cancelled = replace(booking, status=Status.CANCELLED, cancelled_at=now())
        transaction = _release if booking.status is Status.CONFIRMED else _leave
        refused = dynamodb.commit(transaction(event, booking, cancelled), deadline)
        if refused is None:
            metric = Metric.BOOKING_CANCELLED if booking.status is Status.CONFIRMED else Metric.WAITING_LEFT
            telemetry.outcome(metric, event_id=event.event_id, user_id=user_id, booking_id=meant)
            return cancelled
        met = refused.reasons[0].item
        assert met is not None, "only the booking has a condition, and a booking is never deleted"
        booking = items.to_booking(met)


def _release(event: Event, booking: Booking, cancelled: Booking) -> list[TransactItem]:
    """Give the ticket back to the home lane, whichever lane it came from: P1 is about the sum."""
    still_this_booking = "bookingId = :booking"  # P7: a late try must not cancel a newer claim
    still_confirmed = "#status = :was"
    return [
        _cancel_booking(event, booking, cancelled, f"{still_this_booking} AND {still_confirmed}"),
        _on_home_lane(event, booking, "ADD available :one, changes :one", {":one": items.number(1)}),
    ]


def _leave(event: Event, booking: Booking, cancelled: Booking) -> list[TransactItem]:
    """Take booking, entry and count out of the list together (P3)."""
    assert booking.sequence is not None, "a claim that waits has a place"
    still_this_booking = "bookingId = :booking"  # P7, and so the same place in the list
    still_waiting = "#status = :was"  # it may have been promoted
    one_less = {":less": items.number(-1), ":one": items.number(1)}
    return [
        _cancel_booking(event, booking, cancelled, f"{still_this_booking} AND {still_waiting}"),
        entry_removal(event, booking.sequence),
        _on_home_lane(event, booking, "ADD waiting :less, changes :one", one_less),
    ]


def _cancel_booking(event: Event, booking: Booking, cancelled: Booking, condition: str) -> TransactItem:
    return {
        "Update": {
            "TableName": items.BOOKINGS,
            "Key": items.booking_key(event, booking.user_id),
            "UpdateExpression": "SET #status = :cancelled, cancelledAt = :now",
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {
                ":booking": items.text(booking.booking_id),
                ":was": items.text(booking.status),
                ":cancelled": items.text(Status.CANCELLED),
                ":now": items.text(cancelled.cancelled_at or ""),
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def _on_home_lane(event: Event, booking: Booking, change: str, values: dict[str, dict[str, str]]) -> TransactItem:
    return {
        "Update": {
            "TableName": items.LANES,
            "Key": items.lane_key(event.event_id, event.home_lane(booking.user_id)),
            "UpdateExpression": change,
            "ExpressionAttributeValues": values,
        }
    }
