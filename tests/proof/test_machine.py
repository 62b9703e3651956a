"""The whole office against a model of it: whatever users request in whatever order, it responds as the model does.

The clock is part of it: holds and offers fall due as time passes. A failure is shrunk to the shortest history, and
printed with what replays it. PROOF_EXAMPLES=300 looks longer.
"""

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from unittest.mock import patch

import boto3
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import functions.book.app
import functions.cancel.app
from harness.gateway import Response, call, organiser, shop
from harness.office import Event, Office
from shared import runtime
from shared.booking import catalog, expiry, list_limit
from shared.model import as_moment

EXAMPLES = int(os.environ.get("PROOF_EXAMPLES", "0"))  # 0: few, and the same in every run
PAST, FUTURE = "2000-01-01T00:00:00.000Z", "2999-12-31T00:00:00.000Z"
MOMENTS = st.sampled_from([None, None, PAST, FUTURE])
USERS = st.sampled_from(["ann", "bob", "cat", "dan", "eve"])
BEGIN = datetime(2026, 5, 1, 18, tzinfo=UTC)
HOLD_S, OFFER_S = 60, 30
NO_HOLDS: tuple[dict[str, Any], ...] = ({},)
HOLDS: tuple[dict[str, Any], ...] = (
    {"holdSeconds": HOLD_S, "offerSeconds": OFFER_S, "confirmedBy": "buyer"},
    {"offerSeconds": OFFER_S, "confirmedBy": "shop"},
    {"holdSeconds": HOLD_S},
)
GROUPS: tuple[dict[str, Any], ...] = tuple(
    {"ticketsPerBooking": 3} | rules for rules in ({}, {"holdSeconds": HOLD_S}, {"offerSeconds": OFFER_S})
)
CLAIMS = {"buyer": None, "shop": shop(), "organiser": organiser("olga")}
OWNING, ENDED = {"HELD", "CONFIRMED"}, {"CANCELLED", "EXPIRED", "TRANSFERRED"}
REASONS = {"EXPIRED": "hold-expired", "CANCELLED": "booking-cancelled", "TRANSFERRED": "booking-transferred"}
ROLES = ("bookedBy", "confirmedBy", "cancelledBy")


@dataclass
class Booked:
    """One user's booking, as the model knows it."""

    booking_id: str
    status: str
    roles: dict[str, str]  # bookedBy, confirmedBy, cancelledBy
    quantity: int = 1
    at_least: int = 1
    expires_s: int | None = None
    reference: str | None = None
    was_used: bool = False  # checked in
    ended: dict[str, Any] = field(default_factory=dict)  # the response to a cancellation after its end

    @property
    def is_active(self) -> bool:
        """Tell whether it has a ticket or a place."""
        return self.status not in ENDED


@dataclass
class Model:
    """What the office must know, in the simplest form."""

    free: int
    lanes: int = 1
    rules: dict[str, Any] = field(default_factory=dict)
    now_s: int = 0  # since BEGIN
    opens_at: str | None = None
    closes_at: str | None = None
    list_limit: int | None = None
    sold_out: bool = False
    bookings: dict[str, Booked] = field(default_factory=dict)  # by user, in the order in which they were made

    @property
    def taken(self) -> int:
        """Return how many tickets have a user."""
        return sum(self.bookings[user].quantity for user in self.of(*OWNING))

    def books(self, quantity: int, at_least: int) -> str:
        """Return what a user without an active booking gets: a status, or the code of a refusal."""
        on_sale = (self.opens_at, self.closes_at) in {(None, None), (PAST, None), (None, FUTURE), (PAST, FUTURE)}
        ticket = "HELD" if "holdSeconds" in self.rules else "CONFIRMED"
        if not self.sold_out and not on_sale:
            return "not-on-sale"
        has_enough = self.free >= at_least
        if not self.sold_out and self.free:
            return ticket if has_enough else "too-few-tickets"
        self.sold_out = True
        waiting = self.of("WAITING")
        if has_enough and not waiting:
            return ticket if on_sale else "not-on-sale"
        served = self.free if self.rules.get("ticketsPerBooking", 1) == 1 else 0
        if self.list_limit is not None and len(waiting) - served >= self.list_limit:
            return "waiting-list-full"
        return "WAITING" if on_sale else "not-on-sale"

    def promotes(self) -> None:
        """Give free tickets to the first of the list, as long as they are enough: offered for a while, or at once."""
        offer_s = self.rules.get("offerSeconds", self.rules.get("holdSeconds"))
        for user in self.of("WAITING"):
            booked = self.bookings[user]
            if self.free < booked.at_least:
                return
            booked.quantity = min(booked.quantity, self.free)
            booked.status = "HELD" if offer_s else "CONFIRMED"
            booked.expires_s = self.now_s + offer_s if offer_s else None
            self.free -= booked.quantity
        self.reopens()

    def reopens(self) -> None:
        """Put the event back on sale, if nobody waits and there is a ticket for each lane."""
        if self.free >= self.lanes and not self.of("WAITING"):
            self.sold_out = False

    def expires(self) -> set[str]:
        """End the holds that are due, and return their users."""
        due_s = self.now_s - expiry.MARGIN_S
        due = {user for user in self.of("HELD") if (self.bookings[user].expires_s or 0) <= due_s}
        for user in due:
            booked = self.bookings[user]
            booked.status, booked.ended = "EXPIRED", {"status": "EXPIRED", "bookingId": booked.booking_id}
            self.free += booked.quantity
        return due

    def refuses_to_confirm(self, user: str, by: str, booking_id: str) -> tuple[int, str] | None:
        """Return the refusal of a confirmation, if it is refused."""
        has_holds = not self.rules.keys().isdisjoint({"holdSeconds", "offerSeconds"})
        if self.rules.get("confirmedBy", "shop" if has_holds else "") == "shop" and by == "buyer":
            return 403, "shop-only"
        if user not in self.bookings:
            return 404, "booking-not-found"
        booked = self.bookings[user]
        if booked.booking_id != booking_id:
            return 409, "booking-changed"
        codes = {"WAITING": "not-held", **REASONS}
        return (409, codes[booked.status]) if booked.status in codes else None

    def refuses_to_use(self, user: str) -> str | None:
        """Return the code with which a transfer or check-in of a user's booking is refused; None if it is confirmed."""
        status = self.bookings[user].status
        return None if status == "CONFIRMED" else REASONS.get(status, "not-confirmed")

    def of(self, *statuses: str) -> list[str]:
        """Return the users with such bookings, in order."""
        return [user for user, one in self.bookings.items() if one.status in statuses]

    def active(self, user: str) -> Booked | None:
        """Return the user's booking, if it has not ended."""
        booked = self.bookings.get(user)
        return booked if booked and booked.is_active else None


class OfficeMachine(RuleBasedStateMachine):
    """One event, five users, one request after the other; stream and expiry come whenever Hypothesis wants."""

    rules_of_events = NO_HOLDS
    event: Event
    model: Model

    def __init__(self) -> None:
        """Let the office's clock be the model's."""
        super().__init__()
        self._clock = patch.object(runtime.current, "now", self._now)
        self._clock.start()

    def _now(self) -> str:
        seconds = self.model.now_s if hasattr(self, "model") else 0
        return as_moment(BEGIN + timedelta(seconds=seconds))

    def teardown(self) -> None:
        """Let the clock go on."""
        self._clock.stop()

    @initialize(tickets=st.integers(1, 3), lanes=st.integers(1, 2), stripes=st.integers(1, 3), which=st.integers(0, 2))
    def opens(self, tickets: int, lanes: int, stripes: int, which: int) -> None:
        """Open the event, with lanes and stripes although it is small."""
        rules = self.rules_of_events[which % len(self.rules_of_events)]
        fewer, more = (lambda _: min(lanes, tickets)), (lambda _: stripes)
        with patch.object(catalog, "lanes_for", fewer), patch.object(catalog, "stripes_for", more):
            self.event = Office(boto3.client("dynamodb")).opens(tickets, **rules)
        self.model = Model(tickets, min(lanes, tickets), rules)

    @rule(user=USERS, by=st.sampled_from(["buyer", "shop"]), quantity=st.integers(1, 3), least=st.integers(0, 3))
    def book(self, user: str, by: str, quantity: int, least: int) -> None:
        """Book: a new booking, or the one that is there (P2, P7)."""
        quantity = min(quantity, self.model.rules.get("ticketsPerBooking", 1))
        at_least = min(least, quantity) or quantity
        wanted = {"quantity": quantity, **({"atLeast": at_least} if least else {})}
        with patch.object(list_limit, "COUNT_AGE_S_MAX", -1):  # it counts each time
            answer = self._call(functions.book.app, by, userId=user, **wanted)
        if booked := self.model.active(user):
            assert (answer.status, answer.json["bookingId"]) == (200, booked.booking_id)
            assert answer.json["status"] == booked.status
            return
        status = self.model.books(quantity, at_least)
        if status.islower():
            assert (answer.status, answer.json["code"]) == (409, status)
            assert answer.json.get("availableTickets", self.model.free) == self.model.free
            return
        assert (answer.status, answer.json["status"]) == (201 if status in OWNING else 202, status)
        self.model.bookings.pop(user, None)  # the order is that of the last bookings
        booked = Booked(answer.json["bookingId"], status, {"bookedBy": by}, quantity, at_least)
        self.model.bookings[user] = booked
        if status == "WAITING":
            assert answer.json["position"] == len(self.model.of("WAITING"))
            return
        booked.quantity = min(quantity, self.model.free)
        self.model.free -= booked.quantity
        if status == "HELD":
            booked.expires_s = self.model.now_s + HOLD_S
            assert answer.json["expiresAt"] == as_moment(BEGIN + timedelta(seconds=booked.expires_s))

    @precondition(lambda self: self.model.bookings)
    @rule(which=st.integers(0, 4), by=st.sampled_from(["shop", "shop", "buyer"]), reference=st.sampled_from("xyz"))
    def confirm(self, which: int, by: str, reference: str) -> None:
        """Confirm: the hold, or what is confirmed already, with its first reference; or nothing (H2)."""
        users = [*self.model.bookings]
        user = users[which % len(users)]
        booked = self.model.bookings[user]
        booking_id = booked.booking_id
        answer = self.event.confirm(user, booking_id, by_shop=by == "shop", reference=reference)
        if refusal := self.model.refuses_to_confirm(user, by, booking_id):
            assert (answer.status, answer.json["code"]) == refusal
            return
        if booked.status == "HELD":
            booked.status, booked.reference = "CONFIRMED", reference
            booked.roles["confirmedBy"] = by
        assert (answer.status, answer.json["status"]) == (200, "CONFIRMED")
        assert (answer.json["bookingId"], answer.json.get("reference")) == (booking_id, booked.reference)

    @precondition(lambda self: self.model.of("HELD"))
    @rule(user=USERS, by=st.sampled_from(["shop", "buyer"]))
    def confirm_another(self, user: str, by: str) -> None:
        """Confirm a booking of another user, or of long ago: nothing happens."""
        answer = self.event.confirm(user, "of-long-ago", by_shop=by == "shop")
        assert (answer.status, answer.json["code"]) == self.model.refuses_to_confirm(user, by, "of-long-ago")

    @precondition(lambda self: self.model.of("HELD"))
    @rule(late_s=st.sampled_from([2, 1, -1]))
    def expire(self, late_s: int) -> None:
        """Let time pass until about when the next hold is due, and then the schedule come: only that ends (H1, H3)."""
        next_s = min(self.model.bookings[user].expires_s or 0 for user in self.model.of("HELD"))
        self.model.now_s = max(self.model.now_s, next_s + late_s)
        assert self.event.expires() == self.model.expires()

    @rule(user=USERS, by_id=st.booleans(), by=st.sampled_from([*CLAIMS]), keep=st.sampled_from([None, None, 1, 2]))
    def cancel(self, user: str, by_id: bool, by: str, keep: int | None) -> None:
        """Cancel: the tickets, some of them, the place, or the same response again (P7)."""
        booked = self.model.bookings.get(user)
        more = {"bookingId": booked.booking_id} if booked and by_id else {}
        answer = self._call(functions.cancel.app, by, userId=user, **more, **({"keep": keep} if keep else {}))
        if booked is None:
            assert (answer.status, answer.json["code"]) == (404, "booking-not-found")
            return
        if booked.was_used and not (keep and keep >= booked.quantity):
            assert (answer.status, answer.json["code"]) == (409, "checked-in")
            return
        assert (answer.status, answer.json["bookingId"]) == (200, booked.booking_id)
        assert booked.ended.items() <= answer.json.items()
        if booked.is_active and keep:
            fewer = max(0, booked.quantity - keep)
            booked.quantity, booked.at_least = booked.quantity - fewer, min(booked.at_least, keep)
            assert (answer.json["status"], answer.json["quantity"]) == (booked.status, booked.quantity)
            self.model.free += fewer if booked.status in OWNING else 0
        elif booked.is_active:
            assert (answer.json["was"], answer.json["cancelledBy"]) == (booked.status, by)
            self.model.free += booked.quantity if booked.status in OWNING else 0
            booked.status, booked.ended = "CANCELLED", answer.json
            booked.roles["cancelledBy"] = by

    @precondition(lambda self: self.model.of("HELD", "CONFIRMED", "WAITING"))
    @rule(user=USERS)
    def cancel_another(self, user: str) -> None:
        """Cancel with a bookingId of another user, or of long ago: nothing happens."""
        if self.model.active(user):
            answer = self.event.cancel(user, "of-long-ago")
            assert (answer.status, answer.json["code"]) == (409, "booking-changed")

    @precondition(lambda self: self.model.of("CONFIRMED"))
    @rule(which=st.integers(0, 4), to=USERS)
    def transfer(self, which: int, to: str) -> None:
        """Transfer: to a user without an active booking, once (T1)."""
        users = [*self.model.bookings]
        user = users[which % len(users)]
        if user == to:
            return
        booked = self.model.bookings[user]
        answer = self.event.transfer(user, booked.booking_id, to)
        if booked.ended.get("transferredTo") == to:
            assert (answer.status, answer.json) == (200, booked.ended)
            return
        refusal = self.model.refuses_to_use(user) or ("checked-in" if booked.was_used else None)
        if refusal or self.model.active(to):
            assert (answer.status, answer.json["code"]) == (409, refusal or "recipient-has-booking")
            return
        assert (answer.status, answer.json["status"]) == (200, "TRANSFERRED")
        booked.status, booked.ended = "TRANSFERRED", answer.json
        got = self.event.status(to).json["booking"]
        self.model.bookings.pop(to, None)
        self.model.bookings[to] = Booked(
            got["bookingId"], "CONFIRMED", {"bookedBy": "buyer"}, booked.quantity, reference=booked.reference
        )

    @precondition(lambda self: self.model.of("CONFIRMED"))
    @rule(which=st.integers(0, 4))
    def check_in(self, which: int) -> None:
        """Check in: once, and again as often as one likes (D1)."""
        users = [*self.model.bookings]
        user = users[which % len(users)]
        booked = self.model.bookings[user]
        answer = self.event.check_in(user, booked.booking_id)
        if refusal := self.model.refuses_to_use(user):
            assert (answer.status, answer.json["code"]) == (409, refusal)
            return
        assert (answer.status, answer.json["again"], answer.json["quantity"]) == (200, booked.was_used, booked.quantity)
        booked.was_used = True

    @rule()
    def promote(self) -> None:
        """Let the promoter have the stream (P5, P6)."""
        self.event.promotes()
        self.model.promotes()
        self.event.check(drained=True)

    @rule(total=st.integers(1, 6))
    def change_total(self, total: int) -> None:
        """Add tickets or take free ones away; never one that a user has (P1)."""
        answer = self.event.change(totalTickets=total)
        booked = self.model.taken
        if booked > total:
            assert (answer.status, answer.json["code"]) == (409, "tickets-booked")
            assert (answer.json["bookedTickets"], answer.json["totalTickets"]) == (booked, booked + self.model.free)
        else:
            assert (answer.status, answer.json["totalTickets"]) == (200, total)
            self.model.free = total - booked
            self.model.reopens()

    @rule(opens_at=MOMENTS, closes_at=MOMENTS)
    def change_moments(self, opens_at: str | None, closes_at: str | None) -> None:
        """Change when it is on sale (O1)."""
        answer = self.event.change(opensAt=opens_at, closesAt=closes_at)
        if opens_at and closes_at and opens_at >= closes_at:
            assert (answer.status, answer.json["code"]) == (422, "invalid-request")
        else:
            assert answer.status == 200
            self.model.opens_at, self.model.closes_at = opens_at, closes_at
            self.model.reopens()

    @rule(most=st.none() | st.integers(0, 2))
    def change_limit(self, most: int | None) -> None:
        """Change how many may wait; users who wait already stay."""
        self.event.changes(waitingListLimit=most)
        self.model.list_limit = most
        self.model.reopens()

    @rule(user=USERS)
    def ask(self, user: str) -> None:
        """Request the status of the event and a booking."""
        shown, waiting = self.event.status(user).json, self.model.of("WAITING")
        counts = (shown["availableTickets"], shown["bookedTickets"], shown["waitingListCount"])
        assert counts == (self.model.free, self.model.taken, len(waiting))
        assert ("soldOutAt" in shown) == self.model.sold_out
        used = sum(one.quantity for one in self.model.bookings.values() if one.was_used)
        assert shown.get("checkedInTickets", 0) == used
        if user in waiting:
            assert shown["booking"]["position"] == waiting.index(user) + 1
        booked = self.model.bookings.get(user)
        assert (shown["booking"] and shown["booking"]["status"]) == (booked and booked.status)

    @invariant()
    def tables_keep_the_promises(self) -> None:
        """P1 to P4, and exactly those users have tickets and places to whom the model gives them."""
        if not hasattr(self, "event"):
            return
        found = self.event.check()
        assert found.confirmed == set(self.model.of("CONFIRMED"))
        assert found.held == set(self.model.of("HELD"))
        assert found.waiting == self.model.of("WAITING")
        for one in found.bookings:
            booked = self.model.bookings[one["userId"]]
            assert {name: one[name] for name in ROLES if name in one} == booked.roles
            assert not booked.is_active or one["quantity"] == booked.quantity

    def _call(self, function: ModuleType, by: str, **body: str | int) -> Response:
        return call(function, {**body, "eventId": self.event.event_id}, claims=CLAIMS[by])


class HoldsMachine(OfficeMachine):
    """The same for events with holds, with offers, or with both."""

    rules_of_events = HOLDS


class GroupsMachine(OfficeMachine):
    """The same for events that sell up to three tickets in one booking."""

    rules_of_events = GROUPS


SETTINGS = settings(
    max_examples=EXAMPLES or 8,
    stateful_step_count=40,
    derandomize=not EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestOffice, TestHolds, TestGroups = OfficeMachine.TestCase, HoldsMachine.TestCase, GroupsMachine.TestCase
TestOffice.settings = TestHolds.settings = TestGroups.settings = SETTINGS
