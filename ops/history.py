"""history EVENT USER: show what happened to a user's booking, as far as it is known.

The tables keep only the current booking: a new booking replaces one that has ended. Of earlier bookings they keep the
number, and the logs keep what happened.
"""

import sys
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

from ops import rows
from ops.logs import Line, lines_of
from shared.booking import waiting_list
from shared.booking.attempt import read_booking
from shared.model import Actor, Booking, BookingNotFound, Event, Status
from shared.telemetry import Metric

_OUTCOMES = (
    Metric.BOOKING_CONFIRMED, Metric.BOOKING_HELD, Metric.WAITING_JOINED, Metric.BOOKING_PROMOTED,
    Metric.HOLD_CONFIRMED, Metric.HOLD_EXPIRED, Metric.BOOKING_REDUCED, Metric.BOOKING_CANCELLED,
    Metric.WAITING_REDUCED, Metric.WAITING_LEFT, Metric.BOOKING_CHECKED_IN, Metric.BOOKING_TRANSFERRED,
)  # fmt: skip


def run(event_id: str, user_id: str, logs: Path | None) -> int:
    """Print what is known; return the exit code. Raises BookingNotFound."""
    event = rows.event(event_id)
    booking = read_booking(event, user_id, rows.deadline())
    if booking is None:
        raise BookingNotFound(event_id, user_id)
    for line in [*_now(event, booking), *_story(booking), *_earlier(booking), *_logged(booking, logs)]:
        sys.stdout.write(f"{line}\n")
    return 0


def _now(event: Event, booking: Booking) -> Iterator[str]:
    yield f"event      {event.event_id} {event.terms.name}"
    if event.cancelled_at:
        yield f"           cancelled at {event.cancelled_at}"
    yield f"user       {booking.user_id}"
    yield f"generation {booking.generation}"
    yield f"booking    {booking.booking_id}"
    yield f"status     {booking.status}"
    yield f"quantity   {booking.quantity}{f', at least {booking.at_least}' if booking.at_least else ''}"
    if position := waiting_list.standing(event, booking, rows.deadline()).position:
        yield f"position   {'at most ' if position.is_estimate else ''}{position.value}"


def _story(booking: Booking) -> Iterator[str]:
    """Yield the events of the current booking in order."""
    yield "This booking:"
    for moment, what in sorted(_steps(booking), key=itemgetter(0)):
        yield f"  {moment} {what}"


def _steps(booking: Booking) -> Iterator[tuple[str, str]]:
    """Yield what happened to the booking, each with its moment."""
    is_one = booking.quantity == 1 and booking.reduced_at is None
    some, them = ("a ticket", "the ticket") if is_one else ("tickets", "the tickets")
    owned_at = booking.promoted_at or booking.held_at or booking.booked_at
    if booking.joined_at:
        yield booking.joined_at, f"joined the waiting list as number {booking.sequence}{_by(booking.booked_by)}"
    if booking.reduced_at and (owned_at is None or booking.reduced_at < owned_at):
        yield booking.reduced_at, f"asked for fewer tickets{_by(booking.reduced_by)}"
    if booking.promoted_at:
        got = f"got {some}" if booking.held_at is None else f"was offered {some}"
        yield booking.promoted_at, f"promoted: {got} from the waiting list"
    elif owned_at:
        got = f"got {some}" if booking.held_at is None else f"held {some}"
        how = f"from {booking.transferred_from}" if booking.transferred_from else "directly"
        yield owned_at, f"{got} {how}{'' if booking.joined_at else _by(booking.booked_by)}"
    if booking.held_at and booking.booked_at:
        reference = f", reference {booking.reference}" if booking.reference else ""
        yield booking.booked_at, f"confirmed{_by(booking.confirmed_by)}{reference}"
    if booking.reduced_at and owned_at and booking.reduced_at >= owned_at:
        yield booking.reduced_at, f"returned some of the tickets{_by(booking.reduced_by)}"
    if booking.expires_at:
        yield booking.expires_at, "expires, if it is not confirmed"
    yield from _uses_and_ends(booking, them)


def _uses_and_ends(booking: Booking, them: str) -> Iterator[tuple[str, str]]:
    if booking.checked_in_at:
        yield booking.checked_in_at, f"checked in{_by(booking.checked_in_by)}"
    if booking.transferred_at:
        yield booking.transferred_at, f"transferred to {booking.transferred_to}{_by(booking.transferred_by)}"
    if booking.cancelled_at:
        left = "left the waiting list" if booking.was is Status.WAITING else f"returned {them}"
        yield booking.cancelled_at, f"{left}{_by(booking.cancelled_by)}"
    if booking.expired_at:
        yield booking.expired_at, "expired: it was not confirmed in time"


def _by(actor: Actor | None) -> str:
    """Say who acted, if it was not the buyer."""
    if actor is Actor.EVENT:
        return ", because the event was cancelled"
    return f", by the {actor}" if actor and actor is not Actor.BUYER else ""


def _earlier(booking: Booking) -> Iterator[str]:
    if booking.generation == 1:
        yield "Earlier bookings: none."
        return
    yield f"Earlier bookings: {booking.generation - 1}, all ended. The tables do not keep them."


def _logged(booking: Booking, logs: Path | None) -> Iterator[str]:
    """Yield the lines of the logs on one machine, or the query that finds them on AWS."""
    if logs is None:
        yield "Logs (kept LogRetentionDays): run this CloudWatch Logs Insights query on the stack's LogGroup"
        yield (
            "  fields @timestamp, message, booking_id"
            f" | filter event_id = {_quoted(booking.event_id)} and user_id = {_quoted(booking.user_id)}"
            f" and message in [{', '.join(map(_quoted, _OUTCOMES))}] | sort @timestamp"
        )
        return
    found = lines_of(logs, booking.event_id, booking.user_id, _OUTCOMES)
    yield f"Logs (since the last start; a killed process may have lost lines): {len(found)} lines"
    yield from (_logged_line(line) for line in found)


def _logged_line(line: Line) -> str:
    return f"  {line.moment} {line.message} {line.booking_id}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
