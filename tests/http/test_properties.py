"""Every request gets a response that the description has: its status, its fields, and never a 5xx.

Random requests, from well-formed to arbitrary bytes, through the functions' entry points, on the real engine. A
failure prints the request, made as small as possible. tests/description/test_schemathesis.py sends what the description
leads to; here is what it does not lead to.
"""

import base64
from types import ModuleType
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
from tests.description.reading import check

WITH_BODY = {
    functions.initialize.app: "POST /initialize",
    functions.book.app: "POST /book",
    functions.cancel.app: "POST /cancel",
    functions.change.app: "PATCH /events/{eventId}",
}
LISTS = {
    functions.bookings.app: "GET /bookings",
    functions.events.app: "GET /events",
    functions.event_bookings.app: "GET /events/{eventId}/bookings",
    functions.waiting_list.app: "GET /events/{eventId}/waiting-list",
}

many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

some_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=140),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
moments = st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat())
fields = {
    "userId": st.text(max_size=140) | st.integers(), "eventId": st.text(max_size=140) | st.integers(),
    "bookingId": st.text(max_size=140), "name": st.text(max_size=210), "totalTickets": st.integers(-1, 1_000_001),
    "opensAt": moments, "closesAt": moments, "waitingListLimit": st.integers(-1, 3), "user_id": st.text(),
    "": st.text(),
}  # fmt: skip
bodies = st.fixed_dictionaries({}, optional={name: one | some_json for name, one in fields.items()}) | some_json
parameters = st.dictionaries(
    st.sampled_from(["userId", "eventId", "limit", "cursor", "status", "user_id", ""]),
    st.text(max_size=140) | st.sampled_from(["1", "100", "CONFIRMED", "WAITING"]),
    max_size=4,
)


def _is_described(route: str, answer: Response) -> None:
    assert answer.status < 500, answer
    check(route, httpx.Response(answer.status, headers=answer.headers, text=answer.text))


@pytest.mark.parametrize("function", WITH_BODY)
@many
@given(body=bodies)
def test_any_json_gets_a_described_response(office: Office, function: ModuleType, body: Any) -> None:
    """Fields of any type, missing and unknown ones, times of any year and zone, and values other than objects."""
    [event] = office.events or [office.opens(tickets=1)]
    event_id = event.event_id if function is functions.change.app else None
    _is_described(WITH_BODY[function], call(function, body, event_id=event_id))


@many
@given(body=st.text(max_size=300) | st.binary(max_size=300))
def test_any_bytes_get_a_described_response(body: str | bytes) -> None:
    """Text other than JSON, and base64 of bytes other than text."""
    raw = body if isinstance(body, str) else base64.b64encode(body).decode()
    _is_described("POST /book", call(functions.book.app, raw=raw, base64=isinstance(body, bytes)))


@many
@given(event_id=st.text(min_size=1, max_size=140), query=parameters)
def test_any_path_and_query_get_a_described_response(event_id: str, query: dict[str, str]) -> None:
    """Ids of any characters, and parameters of any name."""
    _is_described("GET /status/{eventId}", call(functions.status.app, event_id=event_id, query=query))


@pytest.mark.parametrize("function", LISTS)
@many
@given(query=parameters)
def test_any_request_for_a_list_gets_a_described_response(
    office: Office, function: ModuleType, query: dict[str, str]
) -> None:
    """Parameters of any name, with any text."""
    [event] = office.events or [office.opens(tickets=1)]
    event_id = event.event_id if "{" in LISTS[function] else None
    _is_described(LISTS[function], call(function, event_id=event_id, query=query))


@many
@given(key=st.text(max_size=260), tickets=st.integers(min_value=1, max_value=1_000_000))
def test_any_idempotency_key_gets_a_described_response(key: str, tickets: int) -> None:
    """P7: a key of any characters opens one event, or is refused."""
    body = {"name": "The concert", "totalTickets": tickets}
    first, again = (call(functions.initialize.app, body, headers={"idempotency-key": key}) for _ in range(2))
    _is_described("POST /initialize", first)
    assert (first.status, first.json.get("eventId")) == (again.status, again.json.get("eventId"))
