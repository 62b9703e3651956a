"""The database is unreachable: every function returns 503, and works again when the database is back."""

import json
from collections.abc import Callable

import pytest

import functions.initialize.app
import functions.promote.app
from harness.gateway import Context, Response, call
from harness.office import Event, Office
from harness.running import free_port
from shared import runtime
from shared.store.aws_client import Client

BUDGET_S = 0.3

REQUESTS: dict[str, Callable[[Event], Response]] = {
    "initialize": lambda _: call(functions.initialize.app, {"name": "The concert", "totalTickets": 1}),
    "book": lambda event: event.book("ben"),
    "cancel": lambda event: event.cancel("anna"),
    "status": lambda event: event.status("anna"),
}


@pytest.fixture
def event(office: Office) -> Event:
    """Return an event with one of two tickets sold, which the functions have cached."""
    event = office.opens(tickets=2)
    event.books("anna")
    return event


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Refuse every connection to the database. Return a function that ends this."""
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{free_port()}")
        nowhere = Client.of_environment()
    monkeypatch.setattr(runtime.current, "client", nowhere)
    for name in ("initialize", "book", "cancel"):
        monkeypatch.setattr(f"functions.{name}.app.REQUEST_BUDGET_S", BUDGET_S)
    monkeypatch.setattr(functions.status.app, "STATUS_BUDGET_S", BUDGET_S)
    return monkeypatch.undo


@pytest.mark.parametrize("name", REQUESTS)
def test_a_refused_connection_is_503_and_the_same_request_works_later(
    event: Event, away: Callable[[], None], name: str
) -> None:
    """P7: the 503 is honest, and the request succeeds when the database is back."""
    response = REQUESTS[name](event)
    assert (response.status, json.loads(response.text)["code"]) == (503, "try-again")
    assert response.headers["retry-after"]
    away()
    assert REQUESTS[name](event).status in {200, 201}
    event.check()


def test_the_promoter_reports_its_records_as_failed(event: Event, away: Callable[[], None]) -> None:
    """P6: Lambda repeats the records of an event that cannot be settled."""
    record = {"dynamodb": {"Keys": {"laneId": {"S": f"{event.event_id}#0"}}, "SequenceNumber": "1"}}
    failed = functions.promote.app.handler({"Records": [record]}, Context(time_left_s=5 + BUDGET_S))
    assert failed == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    away()
    event.check()
