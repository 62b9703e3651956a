"""Faults in the real client: every request of every operation meets every fault on its way to the engine (P7, P8).

The search knows faults as what shared/dynamodb.py makes of them. Here botocore itself meets them, at the moment when it
sends: so that what the SDK raises, and what is made of it, is what is tested.
"""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError, ReadTimeoutError

from shared import dynamodb
from tests.gateway import Answer
from tests.office import Event, Office

Sent = Any  # a signed request
Meeting = Callable[["Wire", Sent], AWSResponse]


@dataclass
class Wire:
    """What is between client and engine: the request with this number, from 0, meets the fault."""

    number: int
    meeting: Meeting | None = None
    sent: list[str] = field(default_factory=list)  # names of operations
    late: list[Sent] = field(default_factory=list)

    def __call__(self, request: Sent, **_: Any) -> AWSResponse | None:
        """Let a request pass, or meet its fault."""
        self.sent.append(request.headers["X-Amz-Target"].decode().rpartition(".")[2])
        if self.meeting and len(self.sent) == self.number + 1:
            return self.meeting(self, request)
        return None

    def deliver(self, request: Sent) -> Any:
        """Bring a request to the engine, past the client."""
        return dynamodb.client._endpoint.http_session.send(request)  # type: ignore[attr-defined]  # noqa: SLF001


def _refused(status: int, code: str) -> Meeting:
    def meeting(_: Wire, request: Sent) -> AWSResponse:
        return _response(request, status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "x"})

    return meeting


def _conflict(_: Wire, request: Sent) -> AWSResponse:
    body = json.loads(request.body)
    if "TransactItems" not in body:
        code = "TransactionConflictException" if "UpdateExpression" in body else "ThrottlingException"
        return _refused(400, code)(_, request)
    reasons = [{"Code": "TransactionConflict", "Message": "x"}, *[{"Code": "None"}] * (len(body["TransactItems"]) - 1)]
    return _response(
        request,
        400,
        {
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "message": "x",
            "CancellationReasons": reasons,
        },
    )


def _raised(error: Callable[..., Exception], *, done: bool = False, late: bool = False) -> Meeting:
    def meeting(wire: Wire, request: Sent) -> AWSResponse:
        if done:
            wire.deliver(request)
        if late:
            wire.late.append(request)
        raise error(endpoint_url=request.url)

    return meeting


def _internal_error_done(wire: Wire, request: Sent) -> AWSResponse:
    wire.deliver(request)
    return _refused(500, "InternalServerError")(wire, request)


_FAULTS = {
    "conflict": _conflict,
    "throttled": _refused(400, "ProvisionedThroughputExceededException"),
    "internal error, not done": _refused(500, "InternalServerError"),
    "internal error, done": _internal_error_done,
    "no connection": _raised(ConnectTimeoutError),
    "time-out, not done": _raised(ReadTimeoutError),
    "time-out, done": _raised(ReadTimeoutError, done=True),
    "time-out, done late": _raised(ReadTimeoutError, late=True),
    "connection closed, done": _raised(ConnectionClosedError, done=True),
}
_FAULTS_OF_READS = ("throttled", "internal error, not done", "time-out, not done")
_WRITES = {"TransactWriteItems", "UpdateItem"}


@dataclass(frozen=True)
class Act:
    """One operation: what was before, what is asked, and the status of the right answer."""

    name: str
    before: tuple[Callable[[Event], Answer], ...]
    asked: Callable[[Event], Answer | None]
    status: int = 0


def _books(user: str) -> Callable[[Event], Answer]:
    return lambda event: event.book(user)


def _cancels(user: str) -> Callable[[Event], Answer]:
    return lambda event: event.cancel(user)


def _promotes(event: Event) -> None:
    event.promotes()


_SOLD_OUT = (_books("ann"), _books("bob"))  # ann has the ticket, bob waits
_ACTS = (
    Act("take", (), _books("ann"), 201),
    Act("come back", (_books("ann"), _cancels("ann")), _books("ann"), 201),
    Act("close and join", (_books("ann"),), _books("bob"), 202),
    Act("join and be promoted", (*_SOLD_OUT, _cancels("bob"), _cancels("ann")), _books("cat"), 201),
    Act("release", _SOLD_OUT, _cancels("ann"), 200),
    Act("leave", _SOLD_OUT, _cancels("bob"), 200),
    Act("promote", (*_SOLD_OUT, _cancels("ann")), _promotes),
)


@pytest.mark.parametrize("act", _ACTS, ids=lambda act: act.name)
def test_each_request_may_meet_each_fault(office: Office, act: Act) -> None:
    """P7, P8: the answer is the right one, it has one effect, and the same request again gets the same answer."""
    for number, operation in enumerate(_requests_of(office, act)):
        for fault in _FAULTS if operation in _WRITES else _FAULTS_OF_READS:
            event = office.opens(1)
            _prepare(event, act)
            with _wired(Wire(number, _FAULTS[fault])) as wire:
                answer = act.asked(event)
            where = f"request {number}, {operation}: {fault}"
            assert answer is None or answer.status == act.status, where
            for request in wire.late:
                assert wire.deliver(request).status_code in {200, 400}
            again = act.asked(event)
            if answer and again:
                assert again.status == 200, where
                assert again.json["bookingId"] == answer.json["bookingId"], where
                assert again.json["status"] == answer.json["status"], where
            event.promotes()
            event.check(drained=True)


def _prepare(event: Event, act: Act) -> None:
    for step in act.before:
        assert step(event).status < 300


def _requests_of(office: Office, act: Act) -> list[str]:
    """List the requests of an operation that nothing disturbs."""
    event = office.opens(1)
    _prepare(event, act)
    with _wired(Wire(0)) as wire:
        act.asked(event)
    assert wire.sent
    return wire.sent


@contextmanager
def _wired(wire: Wire) -> Iterator[Wire]:
    hooks: Any = dynamodb.client.meta.events
    hooks.register("before-send.dynamodb", wire)
    try:
        yield wire
    finally:
        hooks.unregister("before-send.dynamodb", wire)


def _response(request: Sent, status: int, body: dict[str, Any]) -> AWSResponse:
    raw = io.BytesIO(json.dumps(body).encode())
    raw.stream = lambda **_: iter([raw.getvalue()])  # type: ignore[attr-defined]
    headers: Any = {"content-type": "application/x-amz-json-1.0"}
    return AWSResponse(request.url, status, headers, raw)
