"""Bad input is refused, never read as something else: bodies, queries and headers that a route does not take."""

from datetime import UTC, datetime, timedelta
from types import ModuleType
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
from harness.gateway import Response, call, organiser
from harness.office import Office
from tests.http.test_contract import assert_problem

CONCERT = {"name": "The concert", "totalTickets": 5}
WITHOUT_BODY = [
    functions.cancel_event.app, functions.status.app, functions.event_bookings.app, functions.waiting_list.app,
    functions.events.app, functions.bookings.app,
]  # fmt: skip
WITH_BODY: dict[ModuleType, dict[str, Any]] = {
    functions.initialize.app: CONCERT,
    functions.book.app: {"userId": "anna", "eventId": "e"},
    functions.cancel.app: {"userId": "anna", "eventId": "e"},
    functions.change.app: {"name": "Encore"},
}
WITH_QUERY = [function for function in WITHOUT_BODY if function is not functions.cancel_event.app]


def _fields(answer: Response) -> list[str]:
    return [error["field"] for error in assert_problem(answer, 422, "invalid-request")["errors"]]


def _in(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize("raw", ['{"userId": "anna"}', "{}", "null", " ", "x", "\u0000", "eyJ9"])
@pytest.mark.parametrize("function", WITHOUT_BODY)
def test_a_route_without_a_body_refuses_one(function: ModuleType, raw: str) -> None:
    """Its body may have meant only a part of the effect, such as one booking of an event."""
    for base64 in (False, True):
        query = {"userId": "anna"} if function is functions.bookings.app else None
        answer = call(function, raw=raw, base64=base64, event_id="e", query=query, claims=organiser("olga"))
        assert _fields(answer) == ["body"]


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "deflate", "gzip, gzip", "identity, gzip", "x", "zstd"])
@pytest.mark.parametrize("function", WITH_BODY)
def test_a_compressed_body_is_415(function: ModuleType, encoding: str) -> None:
    """With any content. The response names the accepted encodings."""
    answer = call(function, WITH_BODY[function], event_id="e", headers={"Content-Encoding": encoding})
    assert_problem(answer, 415, "unsupported-encoding")
    assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("encoding", ["identity", "Identity", " identity ", ""])
def test_the_identity_encoding_is_accepted(encoding: str) -> None:
    """The control of the test above."""
    assert call(functions.initialize.app, CONCERT, headers={"Content-Encoding": encoding}).status == 201


# ---------------------------------------------------------------- queries


@pytest.mark.parametrize("query", ["userId=ben", "bookingId=b", "x", "=", "eventId=e", "userId=a&userId=b", "%ff"])
@pytest.mark.parametrize("function", WITH_BODY)
def test_a_route_with_a_body_refuses_a_query(function: ModuleType, query: str) -> None:
    """`POST /cancel?bookingId=B` would cancel any booking of the user."""
    event_id = "e" if function is functions.change.app else None
    assert _fields(call(function, WITH_BODY[function], event_id=event_id, query=query, claims=organiser("anna")))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("userId=anna&userId=ben", "userId"), ("userId=anna&userId=anna", "userId"),
        ("userId=anna&userId=", "userId"), ("userId=anna&limit=5&userId=ben", "userId"),
        ("userId=anna&%75serId=ben", "userId"), ("userId=anna&userId", "userId"), ("limit=1&limit=2", "limit"),
        ("userId=anna&cursor=a&cursor=b", "cursor"), ("x=1&x=2", "x"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("function", WITH_QUERY)
def test_a_repeated_parameter_is_refused(function: ModuleType, query: str, field: str) -> None:
    """API Gateway joins its values with a comma, which would be another user."""
    assert _fields(call(function, event_id="e", query=query, claims=organiser("anna,ben"))) == [field]


def test_a_comma_in_a_parameter_is_part_of_it(office: Office) -> None:
    """The control of the test above: a user whose id has a comma, sent once."""
    event = office.opens(tickets=1)
    event.books("anna,ben")
    for query in ("userId=anna,ben", "userId=anna%2Cben"):
        assert call(functions.status.app, event_id=event.event_id, query=query).json["booking"]["status"] == "CONFIRMED"


BAD_ESCAPES = [
    "%ff", "%C3", "%C3%28", "%ED%A0%80", "%F4%90%80%80", "%C0%AF", "%E2%82", "a%ffb", "%", "%4", "%zz", "a%", "%u00e9",
    "ä", "\u00ff", "a b", "%FE%FF",
]  # fmt: skip


@pytest.mark.parametrize("value", BAD_ESCAPES)
@pytest.mark.parametrize("function", WITH_QUERY)
def test_a_query_that_is_not_utf8_is_refused(function: ModuleType, value: str) -> None:
    """In values and in names. It is not read with U+FFFD, nor as raw bytes."""
    for query in (f"userId={value}", f"userId=anna&{value}=1"):
        assert _fields(call(function, event_id="e", query=query, claims=organiser("olga"))) == ["query"]


@pytest.mark.parametrize(("value", "user"), [("%C3%A4", "ä"), ("a+b", "a b"), ("a%2Bb", "a+b"), ("%F0%9D%84%9E", "𝄞")])
def test_a_query_in_utf8_is_read(office: Office, value: str, user: str) -> None:
    """The control of the test above."""
    event = office.opens(tickets=1)
    event.books(user)
    answer = call(functions.status.app, event_id=event.event_id, query=f"userId={value}")
    assert answer.json["booking"]["userId"] == user


def test_an_id_must_not_contain_the_replacement_character() -> None:
    """API Gateway decodes paths, and puts U+FFFD for bytes that are not UTF-8; it may do so in a query."""
    assert _fields(call(functions.status.app, event_id="caf\ufffd")) == ["eventId"]
    assert _fields(call(functions.status.app, event_id="e", query="userId=%EF%BF%BD")) == ["userId"]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("userId=", ["userId"]), ("userId", ["userId"]), ("user=anna", ["user"]), ("USERID=anna", ["USERID"]),
        ("=anna", [""]), ("limit", ["limit"]), ("userId=%20anna", ["userId"]), ("userId=anna+", ["userId"]),
        ("userId=an%E2%80%8Bna", ["userId"]), ("userId[]=anna", ["userId[]"]), ("userId=anna;limit=5", []),
        ("userId=a%00b", ["userId"]), (f"userId={'x' * 129}", ["userId"]),
    ],
)  # fmt: skip
def test_empty_and_unknown_parameters_are_refused(query: str, fields: list[str]) -> None:
    """The response names each. A semicolon is no separator."""
    answer = call(functions.status.app, event_id="e", query=query, claims=organiser("olga"))
    if fields:
        assert set(fields) <= set(_fields(answer))
    else:
        assert_problem(answer, 404, "event-not-found")


def test_a_query_with_too_many_parameters_is_refused() -> None:
    """Parsing stops at the limit."""
    query = "&".join(f"x{number}=1" for number in range(1000))
    assert _fields(call(functions.events.app, query=query)) == ["query"]


# ---------------------------------------------------------------- headers


@pytest.mark.parametrize(
    "key",
    ["a,b", "a, b", ",", "a,", "opening-night,opening-night", "", " ", "é", "a\tb", "\u007f", "a\u200b", "x" * 256],
)
def test_an_idempotency_key_is_sent_once_in_printable_ascii(key: str) -> None:
    """API Gateway joins two headers with a comma, so a comma may be two keys."""
    assert _fields(call(functions.initialize.app, CONCERT, headers={"Idempotency-Key": key})) == ["Idempotency-Key"]


@pytest.mark.parametrize(
    "key", ["a", "opening night", '"quoted"', "5751a70c-1218-5e16-829f-0b051b72445c", "~!@#", "x" * 255]
)
def test_other_idempotency_keys_are_accepted(key: str) -> None:
    """The control of the test above."""
    assert call(functions.initialize.app, CONCERT, headers={"Idempotency-Key": key}).status == 201


PROGRAM = {"scope": "organiser", "aud": "office"}
HOLDERS = [
    {"sub": "a"}, {"client_id": "a"}, {"azp": "a"}, {"sub": "b"}, {"client_id": "b"}, {"sub": "client_id"},
    {"sub": "", "client_id": "c"}, {"client_id": "d", "azp": "a"},
]  # fmt: skip


def test_programs_do_not_share_idempotency_keys() -> None:
    """Not with other programs, and not with users of the same name. Each gets its own event again."""
    headers = {"Idempotency-Key": "shared"}
    first, again = (
        [call(functions.initialize.app, CONCERT, headers=headers, claims=PROGRAM | one).json for one in HOLDERS]
        for _ in range(2)
    )
    assert first == again
    assert len({event["eventId"] for event in first}) == len(HOLDERS)


@pytest.mark.parametrize("claims", [{}, {"sub": ""}, {"client_id": "", "azp": ""}, {"email": "olga@example.org"}])
def test_a_token_that_names_no_holder_has_no_idempotency_keys(claims: dict[str, str]) -> None:
    """Another program's event would be the response; without a key it opens events."""
    key = {"Idempotency-Key": "nobody's"}
    assert _fields(call(functions.initialize.app, CONCERT, headers=key, claims=PROGRAM | claims)) == ["Idempotency-Key"]
    assert call(functions.initialize.app, CONCERT, claims=PROGRAM | claims).status == 201


# ---------------------------------------------------------------- times


@pytest.mark.parametrize(
    "moment",
    [
        "1000-01-01T00:00:00+14:00",
        "1000-01-01T00:00:00+00:01",
        "1000-01-01T13:59:59+14:00",
        "9999-12-31T23:59:59-00:01",
    ],
)
@pytest.mark.parametrize("field", ["opensAt", "closesAt"])
def test_a_time_that_could_not_be_sent_back_is_refused(field: str, moment: str) -> None:
    """In UTC its year is 999 or 10000."""
    assert _fields(call(functions.initialize.app, {**CONCERT, field: moment})) == [field]


@pytest.mark.parametrize(
    "moment", ["1000-01-01T00:00:00Z", "1000-01-01T14:00:00+14:00", "2999-12-31T23:59:59.999999999-12:00"]
)
def test_a_time_in_a_response_is_accepted_in_a_request(office: Office, moment: str) -> None:
    """As PATCH takes it; the control of the test above."""
    event = office.opens(tickets=1, opensAt=moment)
    returned = event.status().json["opensAt"]
    assert event.change(opensAt=returned).json["opensAt"] == returned


@pytest.mark.parametrize("hours", [-0.0001, -1, -24, -24 * 365])
def test_an_event_is_not_opened_after_its_sale(hours: float) -> None:
    """With an Idempotency-Key, too, if it has opened nothing."""
    for headers in ({}, {"Idempotency-Key": f"too late by {-hours}"}):
        for more in ({}, {"opensAt": _in(hours - 1)}):
            answer = call(functions.initialize.app, {**CONCERT, "closesAt": _in(hours), **more}, headers=headers)
            assert _fields(answer) == ["closesAt"]


def test_a_request_is_repeated_after_the_sale(monkeypatch: pytest.MonkeyPatch) -> None:
    """P7: the response that was lost is returned, and another body is still another request."""
    body, headers = {**CONCERT, "closesAt": _in(1)}, {"Idempotency-Key": "closes soon"}
    first = call(functions.initialize.app, body, headers=headers)
    later = datetime.now(UTC) + timedelta(hours=2)
    monkeypatch.setattr("shared.runtime.current.now", lambda: later.isoformat(timespec="milliseconds")[:23] + "Z")
    again = call(functions.initialize.app, body, headers=headers)
    assert (first.status, again.status, again.json) == (201, 201, first.json)
    other = call(functions.initialize.app, {**body, "totalTickets": 6}, headers=headers)
    assert_problem(other, 422, "idempotency-key-reused")


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("event_id", "instance"),
    [
        ("a b", "/status/a%20b"), ("ä", "/status/%C3%A4"), ("a%b", "/status/a%25b"), ("a?b#c", "/status/a%3Fb%23c"),
        ('"<>\\^`{|}', "/status/%22%3C%3E%5C%5E%60%7B%7C%7D"), ("a:b@c;d=e,f", "/status/a:b@c;d=e,f"),
        ("[x]", "/status/%5Bx%5D"), ("a\nb", "/status/a%0Ab"), ("\ud800", "/status/%3F"), ("e~-._", "/status/e~-._"),
    ],
    ids=ascii,
)  # fmt: skip
def test_the_instance_of_an_error_is_a_uri(event_id: str, instance: str) -> None:
    """API Gateway decodes the path; RFC 9457 wants a URI reference."""
    assert call(functions.status.app, event_id=event_id).json["instance"] == instance
