"""One request's attempt to make a booking.

A user has one booking item per event. It is never deleted: when it has ended and the user books again, the next
generation replaces it. The condition names the generation, so a request that arrives late finds a newer one and does
nothing (P7).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shared import runtime
from shared.booking import sale_window
from shared.model import Actor, Booking, Event, Status, TooManyTickets, TryAgain, later
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import Name, Refused, TransactItem


@dataclass(slots=True)
class BookingAttempt:
    """The booking that a request tries to make, over all its transactions: take here, take there, join.

    The bookingId stays the same, so a transaction that meets the effect of an earlier one recognises it. It wants
    `quantity` tickets and takes as many as are free, but not fewer than `at_least`.
    """

    event: Event
    user_id: str
    booking_id: str
    by: Actor = Actor.BUYER
    quantity: int = 1
    at_least: int = 1
    generation: int = 1
    uncertain: bool = False  # a transaction got no response or a 5xx: it may have happened, or may still happen

    @classmethod
    def of(
        cls, event: Event, user_id: str, by: Actor = Actor.BUYER, quantity: int = 1, at_least: int | None = None
    ) -> "BookingAttempt":
        """Start an attempt. It guesses that this is the user's first booking; a refused condition corrects it.

        Without `at_least`, all of the `quantity` or none. Raises TooManyTickets.
        """
        if quantity > event.rules.tickets_per_booking:
            raise TooManyTickets(event.event_id, event.rules.tickets_per_booking)
        return cls(event, user_id, runtime.current.new_id(), by, quantity, at_least or quantity)

    @property
    def home_lane(self) -> int:
        """Return the number of the user's home lane."""
        return self.event.home_lane(self.user_id)

    def with_tickets(self, quantity: int, sequence: int | None = None) -> Booking:
        """Return the booking with tickets: held for a while, if the event has holds; else confirmed at once."""
        now, seconds = runtime.current.now(), self.event.rules.hold_seconds
        if seconds is None:
            return self._booking(Status.CONFIRMED, quantity, sequence=sequence, booked_at=now)
        return self._booking(Status.HELD, quantity, sequence=sequence, held_at=now, expires_at=later(now, seconds))

    def waiting(self, sequence: int) -> Booking:
        """Return the booking with a place in the waiting list."""
        at_least = self.at_least if self.at_least > 1 else None
        now = runtime.current.now()
        return self._booking(Status.WAITING, self.quantity, sequence=sequence, at_least=at_least, joined_at=now)

    def put(self, booking: Booking) -> TransactItem:
        """Return the transaction's item that writes the booking if the user has no active one (P2)."""
        put = {
            "TableName": items.BOOKINGS,
            "Item": items.booking_item(self.event, booking),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if self.generation == 1:
            return {"Put": put | {"ConditionExpression": "attribute_not_exists(userId)"}}
        # The generation before was seen to have ended, and a booking that has ended never becomes active again.
        no_newer_booking = "generation = :ended"  # P7: a late request meets a later generation
        return {
            "Put": put
            | {
                "ConditionExpression": no_newer_booking,
                "ExpressionAttributeValues": {":ended": items.number(self.generation - 1)},
            }
        }

    def interpret(self, refused: Refused, lanes: Iterable[Name], moment: str) -> Booking | None:
        """Interpret a refused transaction: its item "booking", and those of lanes that `lanes` names.

        Returns the user's booking if it answers this request. Returns None if a lane refused for a reason of its own,
        or if the booking has ended: then `generation` has moved on, and the transaction is worth repeating.

        Raises EventCancelled or NotOnSale if a lane is not on sale at that moment; TryAgain if an earlier transaction
        of this request may have made a booking that has been cancelled since.
        """
        self.uncertain = self.uncertain or refused.uncertain
        booking = refused["booking"]
        if booking.refused and (answer := self.answer_from(items.to_booking(booking.item) if booking.item else None)):
            return answer
        for lane in (refused[name] for name in lanes):
            stored = items.to_lane(lane.item) if lane.refused and lane.item else None
            if stored and (refusal := sale_window.reason_to_refuse(stored, moment)):
                raise refusal
        return None

    def answer_from(self, current: Booking | None) -> Booking | None:
        """Take note of the user's stored booking. Return it if it answers this request."""
        if current is None:
            return None
        if self.made(current) or current.is_active:
            return current
        if self.uncertain and current.generation > self.generation:
            raise TryAgain("uncertain")  # one of the bookings in between may be ours: never make a second one (P7)
        # Otherwise this is the previous booking, and our late transaction may still replace it.
        if current.generation >= self.generation:
            self.generation, self.uncertain = current.generation + 1, False
        return None

    def read(self, deadline: Deadline) -> Booking | None:
        """Read the user's booking, and return it if it answers this request. Raises TryAgain."""
        return self.answer_from(read_booking(self.event, self.user_id, deadline))

    def read_before_refusing(self, deadline: Deadline) -> Booking | None:
        """Read the user's booking, and return it if the request should get that instead of being refused.

        Raises TryAgain if an earlier transaction of this request may still make a booking.
        """
        if current := self.read(deadline):
            return current
        if self.uncertain:
            raise TryAgain("uncertain")
        return None

    def made(self, booking: Booking) -> bool:
        """Tell whether this request made that booking."""
        return booking.booking_id == self.booking_id

    def _booking(self, status: Status, quantity: int, **more: Any) -> Booking:
        event_id = self.event.event_id
        return Booking(
            event_id, self.user_id, self.booking_id, self.generation, status, quantity, booked_by=self.by, **more
        )


def read_booking(event: Event, user_id: str, deadline: Deadline) -> Booking | None:
    """Read a user's booking of an event, strongly consistent. Raises TryAgain."""
    item = dynamodb.get(deadline, items.BOOKINGS, items.booking_key(event, user_id))
    return items.to_booking(item) if item else None
