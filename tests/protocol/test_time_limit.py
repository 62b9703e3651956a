"""A response takes at most REQUEST_BUDGET_S and one CALL_TIMEOUT_S, whatever the database does.

The clock is simulated: each wait moves it on, so the tests measure no real time and take none.
"""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import functions.book.app
import functions.bookings.app
import functions.cancel.app
import functions.cancel_event.app
import functions.change.app
import functions.event_bookings.app
import functions.events.app
import functions.initialize.app
import functions.status.app
import functions.waiting_list.app
from harness.gateway import Response, call
from harness.office import Event, Office
from shared import runtime
from shared.model import REQUEST_BUDGET_S, STATUS_BUDGET_S
from shared.store import aws_client, dynamodb
from shared.store.aws_client import CALL_TIMEOUT_S, Client, NoResponse, RequestFailed
from shared.store.signing import Credentials

LIMIT_S = REQUEST_BUDGET_S + CALL_TIMEOUT_S
ADDRESSES = 4  # of one host
ROOT = Path(__file__).resolve().parents[2]


class Clock:
    """A clock that moves only when the code waits."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        """Return the current time."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the client and the retries a simulated clock, and draw the longest pause each time."""
    clock = Clock()
    monkeypatch.setattr(runtime.current, "monotonic_s", clock.monotonic)
    monkeypatch.setattr(runtime.current, "time_s", clock.monotonic)
    monkeypatch.setattr(runtime.current, "sleep", clock.sleep)
    monkeypatch.setattr(runtime.current, "uniform", lambda _low, high: high)
    return clock


# ------------------------------------------------------------------ one call


class Silent:
    """A socket whose other end stops taking part at some stage; every operation waits as long as it may."""

    def __init__(self, clock: Clock, stage: str) -> None:
        self._clock, self._stage = clock, stage
        self._timeout_s = 0.0
        self.settimeout = lambda seconds: setattr(self, "_timeout_s", seconds)
        self.setsockopt = self.close = lambda *_: None

    def connect(self, _address: Any) -> None:
        """Connect at the last moment, or not at all."""
        self._wait(ends=self._stage == "connect")

    def wrap_socket(self, connected: Any, **_: Any) -> Any:
        """Return the socket; it shakes hands when it is told to."""
        return connected

    def do_handshake(self) -> None:
        """Shake hands at the last moment, or not at all."""
        self._wait(ends=self._stage == "handshake")

    def sendall(self, _request: bytes) -> None:
        """Send the request at the last moment, or not at all."""
        self._wait(ends=self._stage == "send")

    def recv(self, _bytes: int) -> bytes:
        """Receive one byte at the last moment, or none."""
        self._wait(ends=self._stage == "receive")
        return b"H"

    def _wait(self, *, ends: bool) -> None:
        self._clock.sleep(self._timeout_s if ends else self._timeout_s * 0.9)
        if ends:
            raise TimeoutError


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("stage", ["connect", "handshake", "send", "receive", "drip"])
def test_one_call_ends_within_its_time(clock: Clock, monkeypatch: pytest.MonkeyPatch, stage: str, scheme: str) -> None:
    """Connecting to each address, the handshake, the request and the response share one limit."""
    one = Silent(clock, stage)
    network = SimpleNamespace(
        socket=lambda *_: Silent(clock, stage),
        getaddrinfo=lambda *_, **__: [(2, 1, 6, "", ("192.0.2.1", 443))] * ADDRESSES,
        SOCK_STREAM=1, IPPROTO_TCP=6, TCP_NODELAY=1,
    )  # fmt: skip
    client = Client(f"{scheme}://dynamodb.example", "x", lambda: Credentials("a", "s", None))
    monkeypatch.setattr(aws_client, "socket", network)
    if scheme == "https":
        monkeypatch.setattr(client.connection, "_tls", one)
    began_s = clock.now_s
    with pytest.raises(NoResponse):
        client.call("GetItem", {})
    assert clock.now_s - began_s <= CALL_TIMEOUT_S + 1e-6


# ------------------------------------------------------------------ one request


REQUESTS: dict[str, Callable[[Event], Response]] = {
    "initialize": lambda _: call(functions.initialize.app, {"name": "The concert", "totalTickets": 1}),
    "book": lambda event: event.book("ben"),
    "cancel": lambda event: event.cancel("anna"),
    "status": lambda event: event.status("anna"),
    "bookings": lambda _: call(functions.bookings.app, query={"userId": "anna"}),
    "booking": lambda event: call(functions.bookings.app, query={"userId": "anna", "eventId": event.event_id}),
    "events": lambda _: call(functions.events.app),
    "event bookings": lambda event: event.bookings(),
    "waiting list": lambda event: event.waiting_list(),
    "change": lambda event: event.change(totalTickets=5),
    "cancel event": lambda event: call(functions.cancel_event.app, event_id=event.event_id),
}


class Slow:
    """A client whose calls each take some time, and near the deadline as long as a call may take.

    After that, a call gets no response, is throttled, or goes to the engine.
    """

    def __init__(self, clock: Clock, behind: Any, call_s: float, what: str, budget_s: float) -> None:
        self._clock, self._behind, self._call_s, self._what = clock, behind, call_s, what
        self._slower_at_s = clock.now_s + budget_s - dynamodb.BACKOFF_S[1]
        self.connection = behind.connection

    def call(self, operation: str, request: Any) -> Any:
        """Let the call's time pass, then fail or send the request."""
        self._clock.sleep(self._call_s if self._clock.now_s < self._slower_at_s else CALL_TIMEOUT_S)
        if self._what == "silent":
            raise NoResponse(operation, "TimeoutError")
        if self._what == "throttling" and operation == "BatchGetItem":
            return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]}
        if self._what == "throttling":
            raise RequestFailed(operation, 400, "ProvisionedThroughputExceededException")
        return self._behind.call(operation, request)


@pytest.mark.parametrize(
    "trouble", list(product(["silent", "throttling", "slow"], [0.25, CALL_TIMEOUT_S - 0.1, CALL_TIMEOUT_S])), ids=str
)
@pytest.mark.parametrize("name", REQUESTS)
def test_a_response_comes_in_time(
    office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch, name: str, trouble: tuple[str, float]
) -> None:
    """Even if the database is silent, throttles every request, or responds to each at the last moment."""
    what, call_s = trouble
    budget_s = STATUS_BUDGET_S if name == "status" else REQUEST_BUDGET_S
    event = office.opens(tickets=151)  # on several lanes
    event.books("anna")
    with monkeypatch.context() as patch:
        patch.setattr(runtime.current, "client", Slow(clock, dynamodb.client(), call_s, what, budget_s))
        began_s = clock.now_s
        response = REQUESTS[name](event)
        took_s = clock.now_s - began_s
    assert response.status == 503 if what != "slow" else response.status in {200, 201, 202, 503}
    assert took_s <= LIMIT_S + 1e-6
    if response.status == 503:
        assert budget_s <= took_s <= budget_s + CALL_TIMEOUT_S + 1e-6  # it did not give up early
        assert REQUESTS[name](event).status in {200, 201, 202}  # the same request completes the work


def test_the_pages_state_the_limit() -> None:
    """In seconds, as clients read it."""
    assert f"within {LIMIT_S:.0f} seconds" in (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
