"""Faults on a real wire: every request of every operation meets every fault on its way to the engine (P7, P8).

The search knows faults as what dynamodb.py makes of them. Here aws_client.py meets them on its socket, so the test
covers what the client raises and what dynamodb.py makes of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pytest

import functions.expire.app
from harness import promises
from harness.gateway import Context, Response
from harness.network import ConnectionClosed, Network, Reply, Sent, Silence, error, network
from harness.office import Event, Office, clock_ahead
from shared import runtime
from shared.booking.expiry import MARGIN_S

HOLD_S = 1
HOLDS = {"holdSeconds": HOLD_S}


@dataclass
class Fault:
    """What the request with this number, from 0, meets."""

    network: Network
    number: int
    meets: Callable[["Fault", Sent], Reply]
    late: list[Sent] = field(default_factory=list)

    def __call__(self, request: Sent) -> Reply | None:
        """Let a request pass, or meet its fault."""
        return self.meets(self, request) if len(self.network.sent) == self.number + 1 else None


Intercepts = Callable[[Fault, Sent], Reply]


def _refused(status: int, code: str) -> Intercepts:
    return lambda _fault, _request: error(status, code)


def _conflict(_: Fault, request: Sent) -> Reply:
    if request.operation == "TransactWriteItems":
        others = [{"Code": "None"}] * (len(request.parameters["TransactItems"]) - 1)
        reasons = [{"Code": "TransactionConflict", "Message": "x"}, *others]
        return error(400, "TransactionCanceledException", CancellationReasons=reasons)
    return error(400, "TransactionConflictException")


def _no_response(how: type[Exception], *, done: bool = False, late: bool = False) -> Intercepts:
    def intercept(fault: Fault, request: Sent) -> Reply:
        if done:
            fault.network.deliver(request)
        if late:
            fault.late.append(request)
        raise how

    return intercept


def _internal_error_done(fault: Fault, request: Sent) -> Reply:
    fault.network.deliver(request)
    return error(500, "InternalServerError")


_FAULTS: dict[str, Intercepts] = {
    "conflict": _conflict,
    "throttled": _refused(400, "ProvisionedThroughputExceededException"),
    "internal error, not done": _refused(500, "InternalServerError"),
    "internal error, done": _internal_error_done,
    "a proxy's page": lambda _fault, _request: (502, b"<html>Bad Gateway</html>"),
    "no connection": _no_response(ConnectionClosed),
    "time-out, not done": _no_response(Silence),
    "time-out, done": _no_response(Silence, done=True),
    "time-out, done late": _no_response(Silence, late=True),
    "connection closed, done": _no_response(ConnectionClosed, done=True),
}
_FAULTS_OF_READS = ("throttled", "internal error, not done", "time-out, not done")
_WRITES = {"TransactWriteItems", "UpdateItem"}


@dataclass(frozen=True)
class Act:
    """One operation: what was before, what is asked, and the status of the right answer."""

    name: str
    before: tuple[Callable[[Event], Response], ...]
    asked: Callable[[Event], Response | None]
    status: int = 0
    terms: Mapping[str, Any] = field(default_factory=dict)  # of the event
    ends: str = ""  # the status of ann's booking in the end, if it matters


def _books(user: str) -> Callable[[Event], Response]:
    return lambda event: event.book(user)


def _cancels(user: str) -> Callable[[Event], Response]:
    return lambda event: event.cancel(user)


def _confirms(user: str) -> Callable[[Event], Response]:
    """Confirm the user's booking, whose id is read past the network."""

    def confirm(event: Event) -> Response:
        bookings = promises.read(event.database, event.event_id).bookings
        [booking] = [one for one in bookings if one["userId"] == user]
        return event.confirm(user, booking["bookingId"], reference="r1")

    return confirm


def _promotes(event: Event) -> None:
    event.promotes()


def _expires(event: Event) -> None:
    """Let the event's hold expire: of the index only its shard is read, which keeps the number of faults small."""
    held = promises.read(event.database, event.event_id)
    [shard] = {one["holdShard"] for one in held.bookings if one["status"] == "HELD"} or {0}

    def only_it(some: Any) -> Any:
        return [shard] if isinstance(some, range) else some

    with clock_ahead(HOLD_S + MARGIN_S + 1), patch.object(runtime.current, "shuffled", only_it):
        functions.expire.app.handler({}, Context())


_SOLD_OUT = (_books("ann"), _books("bob"))  # ann has the ticket, bob waits
_ACTS = (
    Act("take", (), _books("ann"), 201),
    Act("come back", (_books("ann"), _cancels("ann")), _books("ann"), 201),
    Act("close and join", (_books("ann"),), _books("bob"), 202),
    Act("join and be promoted", (*_SOLD_OUT, _cancels("bob"), _cancels("ann")), _books("cat"), 201),
    Act("release", _SOLD_OUT, _cancels("ann"), 200),
    Act("leave", _SOLD_OUT, _cancels("bob"), 200),
    Act("promote", (*_SOLD_OUT, _cancels("ann")), _promotes),
    Act("hold", (), _books("ann"), 201, HOLDS, "HELD"),
    Act("confirm", (_books("ann"),), _confirms("ann"), 200, HOLDS, "CONFIRMED"),
    Act("cancel a hold", _SOLD_OUT, _cancels("ann"), 200, HOLDS, "CANCELLED"),
    Act("expire", _SOLD_OUT, _expires, terms=HOLDS, ends="EXPIRED"),
    Act("offer", (*_SOLD_OUT, _cancels("ann")), _promotes, terms={"offerSeconds": HOLD_S}),
)


@pytest.mark.parametrize("act", _ACTS, ids=lambda act: act.name)
def test_each_request_may_meet_each_fault(office: Office, act: Act) -> None:
    """P7, P8: the answer is the right one, it has one effect, and the same request again gets the same answer."""
    for number, operation in enumerate(_requests_of(office, act)):
        for name in _FAULTS if operation in _WRITES else _FAULTS_OF_READS:
            event = _prepared(office, act)
            with network() as between:
                between.intercept = fault = Fault(between, number, _FAULTS[name])
                answer = act.asked(event)
                where = f"request {number}, {operation}: {name}"
                assert answer is None or answer.status == act.status, where
                for request in fault.late:
                    assert between.deliver(request)[0] in {200, 400}
            again = act.asked(event)
            if answer and again:
                assert again.status == 200, where
                assert again.json["bookingId"] == answer.json["bookingId"], where
                assert again.json["status"] == answer.json["status"], where
            event.promotes()
            found = event.check(drained=True)
            assert act.ends in {"", *(one["status"] for one in found.bookings if one["userId"] == "ann")}, where


def test_a_place_that_became_a_ticket_meanwhile_is_no_new_ticket(office: Office) -> None:
    """P7: the response that is lost said 202, and the booking was announced as waiting: the next one says 200."""
    event = office.opens(1)
    event.books("ann")

    def lost(request: Sent) -> Reply | None:
        if b"joinedAt" not in request.body:
            return None
        between.deliver(request)
        between.intercept = lambda _: None
        raise ConnectionClosed

    def promoted(_: float) -> None:
        """Promote bob during the pause before the request is sent again."""
        event.cancels("ann")
        event.promotes()

    with network() as between, patch.object(runtime.current, "sleep", promoted):
        between.intercept = lost
        answer = event.book("bob")
    assert (answer.status, answer.json["status"]) == (200, "CONFIRMED")


def _prepared(office: Office, act: Act) -> Event:
    event = office.opens(1, **act.terms)
    for step in act.before:
        assert step(event).status < 300
    return event


def _requests_of(office: Office, act: Act) -> list[str]:
    """List the requests of an operation that nothing disturbs."""
    event = _prepared(office, act)
    with network() as between:
        act.asked(event)
    assert between.sent
    return between.sent
