"""Ending bookings: they return their tickets to a lane (release), or give up their place in the waiting list (leave).

A booking is cancelled by its user, a shop, an organiser, or with its event. A hold that is not confirmed in time
expires: that is a release as well. A user may also keep some of the tickets, or stay in the list and ask for fewer.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared import runtime, telemetry
from shared.booking import catalog
from shared.booking.current import NOT_CHECKED_IN, must_be_meant, read_meant
from shared.booking.waiting_list import entry_removal
from shared.model import Actor, Booking, CheckedIn, Event, Status
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import Name, TransactItem
from shared.telemetry import Metric

BOOKINGS_MAX = 40  # in one transaction, which takes 100 items: at most 2 for each booking, and the lane


def cancel(event_id: str, user_id: str, booking_id: str | None, deadline: Deadline, by: Actor = Actor.BUYER) -> Booking:
    """Cancel the user's booking; with a booking id, only if the booking has that id. Safe to repeat.

    Released tickets go to the head of the waiting list in the background. A booking that has ended stays as it is. The
    first read decides which booking is meant. If another booking replaces it in the meantime, that one stays.

    Raises EventNotFound; BookingNotFound; BookingChanged; CheckedIn; TryAgain.
    """

    def cancelled(booking: Booking) -> Booking:
        moment = runtime.current.now()
        return replace(booking, status=Status.CANCELLED, expires_at=None, cancelled_at=moment, cancelled_by=by)

    event = catalog.read_event(event_id, deadline)
    return _apply(cancelled, event, read_meant(event, user_id, booking_id, deadline), by, deadline)


def reduce(  # noqa: PLR0913, PLR0917  # what a request may name
    event_id: str, user_id: str, booking_id: str | None, keep: int, deadline: Deadline, by: Actor = Actor.BUYER
) -> Booking:
    """Reduce the user's booking to `keep` tickets, at least 1; with a booking id, only if it has that id.

    A booking that waits keeps its place. One that has ended or has no more tickets stays as it is, so this is safe to
    repeat. Which booking is meant is decided as in `cancel`.

    Raises EventNotFound; BookingNotFound; BookingChanged; CheckedIn; TryAgain.
    """

    def reduced(booking: Booking) -> Booking:
        if booking.quantity <= keep:
            return booking
        at_least = min(booking.at_least or 1, keep)
        insists = at_least if at_least > 1 else None
        return replace(booking, quantity=keep, at_least=insists, reduced_at=runtime.current.now(), reduced_by=by)

    event = catalog.read_event(event_id, deadline)
    return _apply(reduced, event, read_meant(event, user_id, booking_id, deadline), by, deadline)


def _apply(
    change: Callable[[Booking], Booking], event: Event, booking: Booking, by: Actor, deadline: Deadline
) -> Booking:
    """Change the booking, which was just read; return it as it is then. A change that changes nothing is done.

    Raises BookingChanged if another booking replaces it; CheckedIn; TryAgain.
    """
    meant = booking.booking_id
    uncertain = False
    while True:
        must_be_meant(booking, meant, uncertain=uncertain)
        if not booking.is_active or (changed := change(booking)) is booking:
            return booking
        if booking.checked_in_at:
            raise CheckedIn(event.event_id, meant, booking.checked_in_at)
        if changed.is_active:
            transaction = _reduce(event, booking, changed)
            metric = Metric.BOOKING_REDUCED if booking.owns_tickets else Metric.WAITING_REDUCED
        else:
            transaction = _end(event, [booking], changed.status, str(changed.cancelled_at), by)
            metric = Metric.BOOKING_CANCELLED if booking.owns_tickets else Metric.WAITING_LEFT
        refused = dynamodb.commit(transaction, deadline)
        if refused is None:
            telemetry.of_booking(metric, booking, by=by)
            return changed
        uncertain = uncertain or refused.uncertain
        stored = refused["booking", booking.user_id].item
        assert stored is not None, "only the booking has a condition, and a booking is never deleted"
        booking = items.to_booking(stored)


def cancel_all(event: Event, bookings: Sequence[Booking], deadline: Deadline) -> int:
    """Cancel 1 to BOOKINGS_MAX bookings of one home lane with their event. Return how many it cancelled.

    Leaves out bookings that end in the meantime. Safe to repeat. Raises TryAgain.
    """
    cancelled = list(bookings)
    while cancelled:
        moment = runtime.current.now()
        refused = dynamodb.commit(_end(event, cancelled, Status.CANCELLED, moment, Actor.EVENT), deadline)
        if refused is None:
            break
        stored = [_stored(booking, refused["booking", booking.user_id].item) for booking in cancelled]
        cancelled = [booking for booking in stored if booking.is_active]
    if cancelled:
        releases = sum(booking.owns_tickets for booking in cancelled)
        left = {Metric.WAITING_LEFT: len(cancelled) - releases}
        telemetry.outcome(Metric.BOOKING_CANCELLED, releases, also=left, event_id=event.event_id, by=Actor.EVENT)
    return len(cancelled)


def expire_all(event: Event, holds: Sequence[Booking], deadline: Deadline, due_at: str) -> int:
    """Expire 1 to BOOKINGS_MAX holds of one home lane that were due at a moment. Return how many it expired.

    They expire at that moment at the earliest: the clock may have been set back since (H1). Leaves out holds that were
    confirmed or have ended: the index they come from is late. Raises TryAgain.
    """
    due = list(holds)
    meant = {hold.booking_id for hold in holds}
    while due:
        moment = max(runtime.current.now(), due_at)
        refused = dynamodb.commit(_end(event, due, Status.EXPIRED, moment), deadline)
        if refused is None:
            break
        stored = [_stored(hold, refused["booking", hold.user_id].item) for hold in due]
        due = [hold for hold in stored if hold.status is Status.HELD and hold.booking_id in meant]
    for hold in due:
        telemetry.of_booking(Metric.HOLD_EXPIRED, hold)
    return len(due)


def _stored(booking: Booking, found: items.Item | None) -> Booking:
    """Return the booking as a refusal shows it; only a refused item is shown."""
    return items.to_booking(found) if found else booking


def _end(
    event: Event, bookings: Sequence[Booking], status: Status, moment: str, by: Actor | None = None
) -> dict[Name, TransactItem]:
    """Return the transaction that ends bookings of one home lane, and counts them all on the lane at once.

    Tickets go back to the home lane, whichever lane they came from: P1 is about the sum. A waiting user leaves with
    booking, entry and count (P3).
    """
    transaction: dict[Name, TransactItem] = {}
    counts: Counter[str] = Counter()
    for booking in bookings:
        transaction["booking", booking.user_id] = _end_booking(event, booking, status, moment, by)
        counts["changes"] += booking.quantity
        if booking.owns_tickets:
            counts["available"] += booking.quantity
            continue
        assert booking.sequence is not None, "a waiting booking has a place"
        transaction["entry", booking.user_id] = entry_removal(event, booking.sequence)
        counts["waiting"] -= 1
    return {**transaction, "lane": _on_home_lane(event, bookings[0], counts)}


def _end_booking(event: Event, booking: Booking, status: Status, moment: str, by: Actor | None) -> TransactItem:
    facts = {
        "status": items.text(status),
        "cancelledAt" if status is Status.CANCELLED else "expiredAt": items.text(moment),
        **({"cancelledBy": items.text(by)} if by else {}),
    }
    return _update_booking(event, booking, facts, ends=True, by_event=by is Actor.EVENT)


def _reduce(event: Event, booking: Booking, reduced: Booking) -> dict[Name, TransactItem]:
    """Return the transaction that leaves a booking with fewer tickets.

    Those that it owned go back to the home lane. A waiting one asks for fewer, with its entry (P3).
    """
    fewer = booking.quantity - reduced.quantity
    wanted: dict[str, Any] = {"quantity": items.number(reduced.quantity)}
    if not booking.owns_tickets:
        wanted["atLeast"] = reduced.at_least and items.number(reduced.at_least)
    when, by = items.text(str(reduced.reduced_at)), items.text(str(reduced.reduced_by))
    transaction: dict[Name, TransactItem] = {
        ("booking", booking.user_id): _update_booking(event, booking, {**wanted, "reducedAt": when, "reducedBy": by})
    }
    counts = {"changes": fewer}
    if booking.owns_tickets:
        counts["available"] = fewer
    else:
        assert booking.sequence is not None, "a waiting booking has a place"
        assign, names, values = items.assignment(wanted)
        transaction["entry"] = {
            "Update": {
                "TableName": items.WAITING_LIST,
                "Key": items.entry_key(event, booking.sequence),
                "UpdateExpression": assign,
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": values,
            }
        }
    return {**transaction, "lane": _on_home_lane(event, booking, counts)}


def _update_booking(
    event: Event, booking: Booking, facts: Mapping[str, Any], *, ends: bool = False, by_event: bool = False
) -> TransactItem:
    """Return the update of a booking that is still as it was read. It may end a hold."""
    is_this_booking = "bookingId = :booking"  # P7: a late try must not touch a newer booking
    has_same_status = "#status = :was"  # P1, P3, H2: it may have been promoted or confirmed, or may have ended
    has_as_many = "#quantity = :many"  # P1: some of its tickets may have been returned, perhaps by this request
    # D1: the tickets may have been used since; only the event's cancellation ends a booking then
    is_unused = "" if booking.status is not Status.CONFIRMED or by_event else f" AND {NOT_CHECKED_IN}"
    assign, names, values = items.assignment(facts)
    return {
        "Update": {
            "TableName": items.BOOKINGS,
            "Key": items.booking_key(event, booking.user_id),
            "UpdateExpression": f"{assign} {items.NO_HOLD}" if ends and booking.status is Status.HELD else assign,
            "ConditionExpression": f"{is_this_booking} AND {has_same_status} AND {has_as_many}{is_unused}",
            "ExpressionAttributeNames": {**names, "#status": "status", "#quantity": "quantity"},
            "ExpressionAttributeValues": {
                **values,
                ":booking": items.text(booking.booking_id),
                ":was": items.text(booking.status),
                ":many": items.number(booking.quantity),
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def _on_home_lane(event: Event, booking: Booking, counts: Mapping[str, int]) -> TransactItem:
    return items.addition_to_lane(event.event_id, event.home_lane(booking.user_id), counts)
