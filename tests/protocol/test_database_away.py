"""The database does not answer at all: every function says "try again", and goes on when it is back."""

import json
from collections.abc import Callable

import pytest

import functions.initialize.app
import functions.promote.app
from harness.gateway import Answer, Context, call
from harness.office import Event, Office
from harness.running import free_port
from shared import runtime
from shared.store.aws_client import Client

BUDGET_S = 0.3

REQUESTS: dict[str, Callable[[Event], Answer]] = {
    "initialize": lambda _: call(functions.initialize.app, {"name": "The concert", "totalTickets": 1}),
    "book": lambda event: event.book("ben"),
    "cancel": lambda event: event.cancel("anna"),
    "status": lambda event: event.status("anna"),
}


@pytest.fixture
def event(office: Office) -> Event:
    """Return an event that the functions know, with one ticket sold."""
    event = office.opens(tickets=2)
    event.books("anna")
    return event


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have every request to the database refused; return what brings it back."""
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{free_port()}")
        nowhere = Client.of_environment()
    monkeypatch.setattr(runtime.current, "client", nowhere)
    for name in ("initialize", "book", "cancel", "status"):
        monkeypatch.setattr(f"functions.{name}.app.REQUEST_BUDGET_S", BUDGET_S)
    return monkeypatch.undo


@pytest.mark.parametrize("name", REQUESTS)
def test_a_refused_connection_is_503_and_then_all_goes_on(event: Event, away: Callable[[], None], name: str) -> None:
    """P7: no false answer; the same request is answered when the database is back."""
    answer = REQUESTS[name](event)
    assert (answer.status, json.loads(answer.text)["code"]) == (503, "try-again")
    assert answer.headers["retry-after"]
    away()
    assert REQUESTS[name](event).status in {200, 201}
    event.check()


def test_the_promoter_fails_its_records(event: Event, away: Callable[[], None]) -> None:
    """P6: what cannot be settled comes again."""
    record = {"dynamodb": {"Keys": {"laneId": {"S": f"{event.event_id}#0"}}, "SequenceNumber": "1"}}
    failed = functions.promote.app.handler({"Records": [record]}, Context(time_left_s=5 + BUDGET_S))
    assert failed == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    away()
    event.check()
