"""The whole office against a model of it: whatever users ask for in whatever order, it answers as the model does.

A failure is shrunk to the shortest history, and printed with what replays it. PROOF_EXAMPLES=300 looks longer.
"""

import os
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import boto3
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from harness.office import Event, Office
from shared.booking import catalog, list_limit

EXAMPLES = int(os.environ.get("PROOF_EXAMPLES", "0"))  # 0: few, and the same in every run
PAST, FUTURE = "2000-01-01T00:00:00.000Z", "2999-12-31T00:00:00.000Z"
MOMENTS = st.sampled_from([None, None, PAST, FUTURE])
USERS = st.sampled_from(["ann", "bob", "cat", "dan", "eve"])


@dataclass
class Model:
    """What the office must know, in the simplest form."""

    free: int
    opens_at: str | None = None
    closes_at: str | None = None
    list_limit: int | None = None
    sold_out: bool = False
    confirmed: dict[str, str] = field(default_factory=dict)  # user -> bookingId
    waiting: dict[str, str] = field(default_factory=dict)  # the same, in order
    cancelled: dict[str, Any] = field(default_factory=dict)  # user -> the answer to the cancellation

    def books(self, user: str) -> str:
        """Return what a user who has no booking gets: a status, or the code of a refusal."""
        on_sale = (self.opens_at, self.closes_at) in {(None, None), (PAST, None), (None, FUTURE), (PAST, FUTURE)}
        if not self.sold_out and not on_sale:
            return "not-on-sale"
        if not self.sold_out and self.free:
            return "CONFIRMED"
        self.sold_out = True
        if self.list_limit is not None and len(self.waiting) - self.free >= self.list_limit:
            return "waiting-list-full"
        if not on_sale:
            return "not-on-sale"
        return "CONFIRMED" if self.free and not self.waiting else "WAITING"

    def promotes(self) -> None:
        """Hand free tickets to the first of the list."""
        while self.free and self.waiting:
            user = next(iter(self.waiting))
            self.confirmed[user] = self.waiting.pop(user)
            self.free -= 1

    @property
    def bookings(self) -> dict[str, str]:
        """Return all active bookings."""
        return self.confirmed | self.waiting


class OfficeMachine(RuleBasedStateMachine):
    """One event, five users, one request after the other; the stream is delivered when it pleases."""

    event: Event
    model: Model

    @initialize(tickets=st.integers(1, 3), lanes=st.integers(1, 2), stripes=st.integers(1, 3))
    def opens(self, tickets: int, lanes: int, stripes: int) -> None:
        """Open the event, with lanes and stripes although it is small."""
        fewer, more = (lambda _: min(lanes, tickets)), (lambda _: stripes)
        with patch.object(catalog, "lanes_for", fewer), patch.object(catalog, "stripes_for", more):
            self.event = Office(boto3.client("dynamodb")).opens(tickets)
        self.model = Model(tickets)

    @rule(user=USERS)
    def book(self, user: str) -> None:
        """Book: a new booking, or the one that is there (P2, P7)."""
        with patch.object(list_limit, "COUNT_AGE_MAX_S", -1):  # it counts each time
            answer = self.event.book(user)
        if user in self.model.bookings:
            assert (answer.status, answer.json["bookingId"]) == (200, self.model.bookings[user])
            assert answer.json["status"] == self._status(user)
            return
        status = self.model.books(user)
        if status.islower():
            assert (answer.status, answer.json["code"]) == (409, status)
            return
        assert (answer.status, answer.json["status"]) == (201 if status == "CONFIRMED" else 202, status)
        self.model.cancelled.pop(user, None)
        if status == "CONFIRMED":
            self.model.free -= 1
            self.model.confirmed[user] = answer.json["bookingId"]
        else:
            self.model.waiting[user] = answer.json["bookingId"]
            assert answer.json["position"] == len(self.model.waiting)

    @rule(user=USERS, by_id=st.booleans())
    def cancel(self, user: str, by_id: bool) -> None:
        """Cancel: the ticket, the place, or the same answer again (P7)."""
        booking_id = self.model.bookings.get(user) or self.model.cancelled.get(user, {}).get("bookingId")
        answer = self.event.cancel(user, booking_id if by_id else None)
        if booking_id is None:
            assert (answer.status, answer.json["code"]) == (404, "booking-not-found")
        elif user in self.model.cancelled:
            assert (answer.status, answer.json) == (200, self.model.cancelled[user])
        else:
            assert (answer.status, answer.json["bookingId"]) == (200, booking_id)
            assert answer.json["was"] == self._status(user)
            self.model.free += user in self.model.confirmed
            self.model.confirmed.pop(user, None)
            self.model.waiting.pop(user, None)
            self.model.cancelled[user] = answer.json

    @precondition(lambda self: self.model.bookings)
    @rule(user=USERS)
    def cancel_another(self, user: str) -> None:
        """Cancel with a bookingId of somebody else, or of long ago: nothing happens."""
        if user in self.model.bookings:
            answer = self.event.cancel(user, "of-long-ago")
            assert (answer.status, answer.json["code"]) == (409, "booking-changed")

    @rule()
    def promote(self) -> None:
        """Let the promoter have the stream (P5, P6)."""
        self.event.promotes()
        self.model.promotes()
        self.event.check(drained=True)

    @rule(total=st.integers(1, 6))
    def change_total(self, total: int) -> None:
        """Add tickets or take free ones away; never one that somebody has (P1)."""
        answer = self.event.change(totalTickets=total)
        booked = len(self.model.confirmed)
        if booked > total:
            assert (answer.status, answer.json["code"]) == (409, "tickets-booked")
            assert (answer.json["bookedTickets"], answer.json["totalTickets"]) == (booked, booked + self.model.free)
        else:
            assert (answer.status, answer.json["totalTickets"]) == (200, total)
            self.model.free = total - booked

    @rule(opens_at=MOMENTS, closes_at=MOMENTS)
    def change_moments(self, opens_at: str | None, closes_at: str | None) -> None:
        """Change when it is on sale (O1)."""
        answer = self.event.change(opensAt=opens_at, closesAt=closes_at)
        if opens_at and closes_at and opens_at >= closes_at:
            assert (answer.status, answer.json["code"]) == (422, "invalid-request")
        else:
            assert answer.status == 200
            self.model.opens_at, self.model.closes_at = opens_at, closes_at

    @rule(most=st.none() | st.integers(0, 2))
    def change_limit(self, most: int | None) -> None:
        """Change how many may wait; who waits already stays."""
        self.event.changes(waitingListLimit=most)
        self.model.list_limit = most

    @rule(user=USERS)
    def ask(self, user: str) -> None:
        """Ask for the status of the event and a booking."""
        shown = self.event.status(user).json
        counts = (shown["availableTickets"], shown["bookedTickets"], shown["waitingListCount"])
        assert counts == (self.model.free, len(self.model.confirmed), len(self.model.waiting))
        if user in self.model.waiting:
            assert shown["booking"]["position"] == [*self.model.waiting].index(user) + 1
        if user in self.model.bookings:
            assert shown["booking"]["status"] == self._status(user)

    @invariant()
    def tables_keep_the_promises(self) -> None:
        """P1 to P4, and exactly those have tickets and places whom the model gives them."""
        if hasattr(self, "event"):
            found = self.event.check()
            assert found.confirmed == set(self.model.confirmed)
            assert found.waiting == [*self.model.waiting]

    def _status(self, user: str) -> str:
        return "CONFIRMED" if user in self.model.confirmed else "WAITING"


TestOffice = OfficeMachine.TestCase
TestOffice.settings = settings(
    max_examples=EXAMPLES or 20,
    stateful_step_count=40,
    derandomize=not EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
