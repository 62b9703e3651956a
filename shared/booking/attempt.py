"""Bookings: one booking per user and event, and how a user comes by a new one.

A booking is never deleted. Coming back after a cancellation replaces it, with the next booking number; since the
condition names the number, a request that arrives late finds its number gone by and does nothing (P7).
"""

from dataclasses import dataclass

from shared import runtime
from shared.model import Booking, Event, Status, TicketOfficeError, TryAgain
from shared.store import dynamodb, items
from shared.store.dynamodb import Deadline, Refused, TransactItem


@dataclass(slots=True)
class BookingAttempt:
    """The booking that one request tries to make, over all its tries: take here, take there, join.

    It keeps one bookingId, so that a try that meets the effect of an earlier one knows it for its own.
    """

    event: Event
    user_id: str
    booking_id: str
    number: int = 1
    uncertain: bool = False  # a try got no answer: it may have happened, or may yet

    @classmethod
    def of(cls, event: Event, user_id: str) -> "BookingAttempt":
        """Begin a booking, guessing that it is the user's first: the database says if it is not."""
        return cls(event, user_id, runtime.current.new_id())

    @property
    def home_lane(self) -> int:
        """Return the number of the user's home lane."""
        return self.event.home_lane(self.user_id)

    def confirmed(self) -> Booking:
        """Return the booking that a ticket would make it."""
        return self._booking(Status.CONFIRMED, booked_at=runtime.current.now())

    def waiting(self, sequence: int) -> Booking:
        """Return the booking that a place in the waiting list would make it."""
        return self._booking(Status.WAITING, sequence=sequence, joined_at=runtime.current.now())

    def put(self, booking: Booking) -> TransactItem:
        """Return the item that makes it so, if the user has no active booking (P2)."""
        put = {
            "TableName": items.BOOKINGS,
            "Item": items.booking_item(self.event, booking),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if self.number == 1:
            return {"Put": put | {"ConditionExpression": "attribute_not_exists(userId)"}}
        # A booking of this generation was seen cancelled, and a cancelled booking never comes back.
        nobody_came_between = "generation = :cancelled"  # P7: a late try meets a later booking
        return {
            "Put": put
            | {
                "ConditionExpression": nobody_came_between,
                "ExpressionAttributeValues": {":cancelled": items.number(self.number - 1)},
            }
        }

    def refused_by(self, refused: Refused, position: int) -> Booking | None:
        """Say what the booking at this position of the transaction refused: the user's standing booking.

        Returns None where the booking was not what refused, or where it is a cancelled one; then `number` has
        moved on and the try is worth repeating.

        Raises TryAgain when an unanswered try of this request may have made a booking that is gone by now.
        """
        self.uncertain = self.uncertain or refused.uncertain
        reason = refused.reasons[position]
        if not reason.refused:
            return None
        return self.met(items.to_booking(reason.item) if reason.item else None)

    def met(self, current: Booking | None) -> Booking | None:
        """Take note of the user's booking as it is: return it if it answers this request."""
        if current is None:
            return None
        if current.booking_id == self.booking_id or current.is_active:
            return current
        if self.uncertain and current.generation > self.number:
            raise TryAgain("uncertain")  # one of the bookings between may have been ours: never make a second (P7)
        self.number, self.uncertain = current.generation + 1, False  # what may still arrive finds its number gone by
        return None

    def is_mine(self, booking: Booking) -> bool:
        """Tell whether this request made that booking."""
        return booking.booking_id == self.booking_id

    def _booking(
        self, status: Status, sequence: int | None = None, booked_at: str | None = None, joined_at: str | None = None
    ) -> Booking:
        event_id = self.event.event_id
        return Booking(event_id, self.user_id, self.booking_id, self.number, status, sequence, booked_at, joined_at)


def active_booking_or_raise(attempt: BookingAttempt, refusal: TicketOfficeError, deadline: Deadline) -> Booking:
    """Return the user's active booking, with which they are answered whatever refuses another; else raise the refusal.

    It is looked for after what refused was seen: so one that is not there now was not there then.

    Raises TryAgain, too, where an earlier try of this request may still be let in.
    """
    if current := attempt.met(read_booking(attempt.event, attempt.user_id, deadline)):
        return current
    if attempt.uncertain:
        raise TryAgain("uncertain")
    raise refusal


def read_booking(event: Event, user_id: str, deadline: Deadline) -> Booking | None:
    """Read a user's booking of an event, strongly consistent. Raises TryAgain."""
    item = dynamodb.get(deadline, items.BOOKINGS, items.booking_key(event, user_id))
    return items.to_booking(item) if item else None
