"""Every request gets a response that docs/api.md declares: its status, its fields, and never a 5xx.

Random requests, from well-formed to arbitrary bytes, through the functions' entry points, on the real engine. A
failure prints the request, made as small as possible.
"""

import base64
import json
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

import functions.book.app
import functions.bookings.app
import functions.cancel.app
import functions.change.app
import functions.event_bookings.app
import functions.events.app
import functions.initialize.app
import functions.status.app
import functions.waiting_list.app
from harness.gateway import Response, call
from harness.office import Office
from shared.edge import contract, pages

POSTS = [functions.initialize.app, functions.book.app, functions.cancel.app]
MODELS: dict[str, dict[int, Any]] = {
    "initialize": {201: contract.EventResponse},
    "book": {200: contract.BookingResponse, 201: contract.ConfirmedResponse, 202: contract.WaitingResponse},
    "cancel": {200: contract.CancelledResponse},
    "status": {200: contract.EventResponse | contract.StatusResponse},
    "bookings": {200: pages.BookingsPage},
    "events": {200: pages.EventsPage},
    "event_bookings": {200: pages.EventBookingsPage},
    "waiting_list": {200: pages.WaitingListPage},
    "change": {200: contract.EventResponse},
}
DECLARED = {name: {status: TypeAdapter(one) for status, one in of.items()} for name, of in MODELS.items()}
PROBLEMS = {
    400: {"malformed-json"},
    404: {"event-not-found", "booking-not-found"},
    409: {"booking-changed", "not-on-sale", "waiting-list-full", "tickets-booked"},
    413: {"body-too-large"},
    422: {"invalid-request", "idempotency-key-reused"},
}
SAID_BESIDES = {
    "invalid-request": {"errors"},
    "not-on-sale": {"opensAt", "closesAt"},
    "waiting-list-full": {"waitingListLimit"},
    "tickets-booked": {"totalTickets", "bookedTickets"},
}
FIELDS = {"type", "title", "status", "detail", "instance", "code", "requestId"}

many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

some_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=140),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
ids = st.text(max_size=140) | st.integers() | some_json
names = st.sampled_from(["userId", "eventId", "bookingId", "name", "totalTickets", "user_id", ""])
page_names = st.sampled_from(["userId", "eventId", "limit", "cursor", "status", "user_id", ""])
page_values = st.text(max_size=140) | st.sampled_from(["1", "100", "CONFIRMED", "WAITING"])
moments = st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat()) | st.none() | some_json
changes = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(max_size=210) | some_json, "totalTickets": st.integers(-1, 1_000_001) | some_json,
        "opensAt": moments, "closesAt": moments, "waitingListLimit": st.integers(-1, 3) | some_json,
        "eventId": some_json,
    },
)  # fmt: skip


def _assert_declared(function: ModuleType, answer: Response) -> None:
    name = function.__name__.split(".")[1]
    if answer.status in DECLARED[name]:
        assert answer.headers["content-type"] == "application/json"
        DECLARED[name][answer.status].validate_json(answer.text, by_alias=True, by_name=False)
        return
    problem = answer.json
    assert problem["code"] in PROBLEMS.get(answer.status, set()), answer
    assert answer.headers["content-type"] == "application/problem+json"
    besides = problem.keys() - FIELDS
    assert problem.keys() >= FIELDS
    assert besides <= SAID_BESIDES.get(problem["code"], set())
    assert bool(besides) == (problem["code"] in SAID_BESIDES)


@pytest.mark.parametrize("function", POSTS)
@many
@given(body=st.dictionaries(names, ids, max_size=5) | some_json)
def test_any_json_gets_a_declared_response(function: ModuleType, body: Any) -> None:
    """Fields of any type, missing and unknown ones, and values other than objects."""
    _assert_declared(function, call(function, body))


@pytest.mark.parametrize("function", POSTS)
@many
@given(body=st.text(max_size=300) | st.binary(max_size=300))
def test_any_bytes_get_a_declared_response(function: ModuleType, body: str | bytes) -> None:
    """Text other than JSON, and base64 of bytes other than text."""
    if isinstance(body, bytes):
        _assert_declared(function, call(function, raw=base64.b64encode(body).decode(), base64=True))
    else:
        _assert_declared(function, call(function, raw=body))


@many
@given(wanted=st.lists(changes | some_json, min_size=1, max_size=4), users=st.integers(0, 3))
def test_any_changes_get_declared_responses_and_keep_the_promises(
    office: Office, wanted: list[Any], users: int
) -> None:
    """P1 to P4, O2: between bookings, with fields of any type and times of any year and zone."""
    event = office.opens(tickets=2)
    for number, one in enumerate(wanted):
        _assert_declared(functions.change.app, call(functions.change.app, one, event_id=event.event_id))
        for user in range(users):
            _assert_declared(functions.book.app, event.book(f"user-{number}-{user}"))
    event.check()
    office.events.clear()  # it is checked


@many
@given(event_id=st.text(min_size=1, max_size=140), query=st.dictionaries(names, st.text(max_size=140), max_size=2))
def test_any_path_and_query_get_a_declared_response(event_id: str, query: dict[str, str]) -> None:
    """Ids of any characters, and parameters of any name."""
    _assert_declared(functions.status.app, call(functions.status.app, event_id=event_id, query=query))


@pytest.mark.parametrize("function", [functions.event_bookings.app, functions.waiting_list.app])
@many
@given(event_id=st.text(max_size=140), query=st.dictionaries(page_names, page_values, max_size=3))
def test_any_request_for_a_list_of_an_event_gets_a_declared_response(
    office: Office, function: ModuleType, event_id: str, query: dict[str, str]
) -> None:
    """For existing events too."""
    [event] = office.events or [office.opens(tickets=1)]
    for one in filter(None, (event_id, event.event_id)):
        _assert_declared(function, call(function, event_id=one, query=query))


@pytest.mark.parametrize("function", [functions.bookings.app, functions.events.app])
@many
@given(query=st.dictionaries(page_names, page_values, max_size=4))
def test_any_request_for_a_list_gets_a_declared_response(function: ModuleType, query: dict[str, str]) -> None:
    """Parameters of any name, with any text."""
    _assert_declared(function, call(function, query=query))
    if function is functions.bookings.app:
        _assert_declared(function, call(function, query={"userId": "anna", **query}))


@many
@given(
    requests=st.lists(
        st.tuples(st.sampled_from(["book", "cancel", "status"]), st.sampled_from(["anna", "ben", 7, "ü", " "])),
        min_size=1,
        max_size=12,
    )
)
def test_any_sequence_of_requests_gets_declared_responses_and_keeps_the_promises(
    office: Office, requests: list[tuple[str, str | int]]
) -> None:
    """P1 to P4 after any well-formed requests of several users."""
    event = office.opens(tickets=2)
    for name, user in requests:
        if name == "status":
            answer = event.status(str(user))
        else:
            answer = event.book(user) if name == "book" else event.cancel(user)
        function = {"book": functions.book.app, "cancel": functions.cancel.app, "status": functions.status.app}[name]
        _assert_declared(function, answer)
    event.check()
    office.events.clear()  # it is checked


@many
@given(key=st.text(max_size=260), tickets=st.integers(min_value=1, max_value=1_000_000))
def test_any_idempotency_key_gets_a_declared_response(key: str, tickets: int) -> None:
    """A key of any characters opens one event, or is refused."""
    body = json.loads(json.dumps({"name": "The concert", "totalTickets": tickets}))
    answers = [call(functions.initialize.app, body, headers={"idempotency-key": key}) for _ in range(2)]
    for answer in answers:
        _assert_declared(functions.initialize.app, answer)
    assert answers[0].status == answers[1].status
    if answers[0].status == 201:
        assert answers[0].json == answers[1].json
