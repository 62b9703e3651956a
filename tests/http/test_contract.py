"""Every row of the HTTP contract, through the functions' entry points with API Gateway's payloads."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
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
from harness.gateway import Context, Response, call, organiser
from harness.office import Office
from shared import model
from shared.model import BODY_BYTES_MAX, TryAgain
from shared.store import dynamodb
from tests.conftest import LogLines

BOOK, CANCEL, INITIALIZE, STATUS = (
    functions.book.app,
    functions.cancel.app,
    functions.initialize.app,
    functions.status.app,
)
POSTS = [INITIALIZE, BOOK, CANCEL]
ORGANISERS = [
    functions.cancel_event.app,
    functions.change.app,
    functions.event_bookings.app,
    functions.waiting_list.app,
]
ROOT = Path(__file__).resolve().parents[2]
CONCERT = {"name": "The concert", "totalTickets": 5}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def _is_time(value: str) -> bool:

    return re.fullmatch(TIME, value) is not None


def assert_problem(answer: Response, status: int, code: str) -> dict[str, Any]:
    """Assert an RFC 9457 response with exactly the contract's members; return it."""
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json
    errors = {"errors"} if code == "invalid-request" else set()
    assert problem.keys() == {"type", "title", "status", "detail", "instance", "code", "requestId"} | errors
    assert problem["type"].endswith(code)
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["requestId"]
    return problem


def test_initialize_returns_201_with_the_event_and_its_address() -> None:
    """The event has all its tickets. Location is the address of its status."""
    answer = call(INITIALIZE, CONCERT)
    event = answer.json
    assert answer.status == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["location"] == f"/status/{event['eventId']}"
    assert _is_time(event.pop("createdAt"))
    assert isinstance(event.pop("eventId"), str)
    assert event == {
        **CONCERT,
        "availableTickets": 5,
        "bookedTickets": 0,
        "waitingListCount": 0,
        "ticketsPerBooking": 1,
    }


def test_the_same_idempotency_key_and_body_return_the_same_event() -> None:
    """P7: after a lost response, a repetition opens no second event."""
    headers = {"idempotency-key": "first-night"}
    first, again = call(INITIALIZE, CONCERT, headers=headers), call(INITIALIZE, CONCERT, headers=headers)
    assert (first.status, again.status) == (201, 201)
    assert first.json == again.json
    call(BOOK, {"userId": "anna", "eventId": first.json["eventId"]})
    assert call(INITIALIZE, CONCERT, headers=headers).json == first.json


def test_the_same_idempotency_key_with_another_body_is_422() -> None:
    """A key belongs to one request."""
    headers = {"idempotency-key": "second-night"}
    call(INITIALIZE, CONCERT, headers=headers)
    assert_problem(call(INITIALIZE, {**CONCERT, "totalTickets": 6}, headers=headers), 422, "idempotency-key-reused")
    assert_problem(call(INITIALIZE, {**CONCERT, "name": "Other"}, headers=headers), 422, "idempotency-key-reused")


def test_without_an_idempotency_key_each_request_opens_an_event() -> None:
    """Two concerts may have the same name and size."""
    assert call(INITIALIZE, CONCERT).json["eventId"] != call(INITIALIZE, CONCERT).json["eventId"]


@pytest.mark.parametrize("tickets", [True, 1.5, 1.0, "5", 0, -1, 1_000_001, None, [], {}])
def test_total_tickets_is_an_integer_from_1_to_a_million(tickets: Any) -> None:
    """Nothing else is read as a number, and the response names the field."""
    problem = assert_problem(call(INITIALIZE, {**CONCERT, "totalTickets": tickets}), 422, "invalid-request")
    assert [error["field"] for error in problem["errors"]] == ["totalTickets"]


@pytest.mark.parametrize("tickets", [1, 1_000_000])
def test_the_smallest_and_the_largest_event_can_be_opened(tickets: int) -> None:
    """The bounds are allowed."""
    assert call(INITIALIZE, {**CONCERT, "totalTickets": tickets}).json["availableTickets"] == tickets


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\u0000b", "a\nb", 5, None])
def test_a_name_is_1_to_200_printable_characters(name: Any) -> None:
    """A name that cannot be shown is refused."""
    problem = assert_problem(call(INITIALIZE, {**CONCERT, "name": name}), 422, "invalid-request")
    assert [error["field"] for error in problem["errors"]] == ["name"]


def test_one_response_names_every_wrong_field() -> None:
    """Including missing and unknown fields."""
    problem = assert_problem(call(INITIALIZE, {"totalTickets": 0, "colour": "red"}), 422, "invalid-request")
    assert sorted(error["field"] for error in problem["errors"]) == ["colour", "name", "totalTickets"]
    assert all(error["detail"] for error in problem["errors"])


def test_a_ticket_is_201(office: Office) -> None:
    """CONFIRMED, with exactly these fields."""
    event = office.opens(tickets=1)
    answer = event.book("anna")
    assert answer.status == 201
    assert answer.json.keys() == {"status", "bookingId", "eventId", "userId", "quantity", "bookedAt"}
    assert _is_time(answer.json["bookedAt"])
    assert (answer.json["status"], answer.json["eventId"], answer.json["userId"]) == (
        "CONFIRMED",
        event.event_id,
        "anna",
    )


def test_a_place_in_the_waiting_list_is_202(office: Office) -> None:
    """WAITING, with exactly these fields."""
    event = office.opens(tickets=1)
    event.books("anna")
    event.books("ben")
    answer = event.book("cleo")
    assert answer.status == 202
    names = {"status", "bookingId", "eventId", "userId", "quantity", "atLeast", "position", "joinedAt"}
    assert answer.json.keys() == names
    assert _is_time(answer.json["joinedAt"])
    assert (answer.json["status"], answer.json["position"]) == ("WAITING", 2)


def test_an_active_booking_is_200_with_its_current_state(office: Office) -> None:
    """A waiting user who has been promoted learns it by booking again; it is the same booking, now of a ticket."""
    event = office.opens(tickets=1)
    event.books("anna")
    waiting = event.book("ben").json
    event.cancels("anna")
    event.promotes()
    answer = event.book("ben")
    assert (answer.status, answer.json["status"]) == (200, "CONFIRMED")
    assert answer.json["bookingId"] == waiting["bookingId"]
    assert event.cancel("ben").json["was"] == "CONFIRMED"


def test_only_one_response_says_that_a_booking_was_created(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """P7: a user cancels and books again while an earlier request of theirs is unanswered; the earlier returns 200."""
    event = office.opens(tickets=1)
    later = []

    def cancel_and_book_again() -> None:
        event.cancels("anna")
        later.append(event.book("anna"))

    _lose_a_response(monkeypatch, cancel_and_book_again)
    earlier = event.book("anna")
    [second] = later
    assert (earlier.status, second.status) == (200, 201)
    assert earlier.json == second.json


def test_a_user_who_waited_is_not_told_that_the_ticket_was_booked_directly(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request joined the list, and before it was answered the user was promoted: 200, as for any later request."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben"):
        event.books(user)
    event.cancels("ben")

    def promote() -> None:
        event.cancels("anna")
        event.promotes()

    _lose_a_response(monkeypatch, promote)
    answer = event.book("cleo")
    assert (answer.status, answer.json["status"]) == (200, "CONFIRMED")
    [booking] = [one for one in event.check(drained=True).bookings if one["userId"] == "cleo"]
    assert {"joinedAt", "promotedAt"} <= booking.keys()


def _lose_a_response(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None]) -> None:
    """Let the next transaction succeed, something happen, and the transaction be sent once more."""
    commit = dynamodb.commit

    def lost(transaction: Any, deadline: Any, **more: Any) -> Any:
        monkeypatch.setattr(dynamodb, "commit", commit)
        assert commit(transaction, deadline, **more) is None
        meanwhile()
        return commit(transaction, deadline, **more)

    monkeypatch.setattr(dynamodb, "commit", lost)


def test_cancelling_returns_what_was_cancelled(office: Office) -> None:
    """CANCELLED, with exactly these fields."""
    event = office.opens(tickets=1)
    booking = event.book("anna").json
    answer = event.cancel("anna", booking_id=booking["bookingId"])
    assert answer.status == 200
    names = {"status", "bookingId", "eventId", "userId", "quantity", "cancelledAt", "cancelledBy", "was"}
    assert answer.json.keys() == names
    assert _is_time(answer.json["cancelledAt"])
    assert (answer.json["status"], answer.json["was"]) == ("CANCELLED", "CONFIRMED")
    assert answer.json["bookingId"] == booking["bookingId"]


def test_cancelling_without_a_booking_is_404(office: Office) -> None:
    """The event exists, the booking does not."""
    assert_problem(office.opens(tickets=1).cancel("anna"), 404, "booking-not-found")


def test_cancelling_another_than_the_current_booking_is_409(office: Office) -> None:
    """The request names an earlier booking."""
    event = office.opens(tickets=1)
    event.books("anna")
    assert_problem(event.cancel("anna", booking_id="another"), 409, "booking-changed")
    event.cancels("anna")
    assert_problem(event.cancel("anna", booking_id="another"), 409, "booking-changed")


def test_status_returns_the_event_and_with_a_user_their_booking(office: Office) -> None:
    """The same event; booking is null for a user who never booked."""
    event = office.opens(tickets=1)
    plain = event.status()
    assert plain.status == 200
    assert plain.json.keys() == {
        "eventId", "name", "totalTickets", "availableTickets", "bookedTickets", "waitingListCount", "createdAt", "asOf",
        "ticketsPerBooking",
    }  # fmt: skip
    confirmed, waiting = event.book("anna").json, event.book("ben").json
    assert event.status("anna").json["booking"] == confirmed
    assert event.status("ben").json["booking"] == waiting
    cancelled = event.cancel("ben").json
    plain = event.status()
    assert event.status_again("ben").json == {**plain.json, "booking": cancelled}
    assert event.status_again("nobody").json == {**plain.json, "booking": None}


def test_integers_are_ids_and_returned_as_strings(office: Office) -> None:
    """The original contract has "userId": 1; 1 and "1" are the same user."""
    event = office.opens(tickets=1)
    assert event.book(1).json["userId"] == "1"
    assert event.book("1").status == 200
    assert event.status("1").json["booking"]["userId"] == "1"
    assert event.cancel(1).json["userId"] == "1"


@pytest.mark.parametrize("user", ["x", "x" * 128, "ü" * 128, "𝄞" * 128, "a#b", "a b", "ünï", "../x", "' OR 1=1", 0, -7])
def test_any_printable_id_of_128_characters_can_book(office: Office, user: Any) -> None:
    """Callers choose ids, and no character in them is special."""
    event = office.opens(tickets=1)
    assert event.books(user) == 201
    assert event.status(str(user)).json["booking"]["userId"] == str(user)
    event.check()


BAD_IDS = ["", "x" * 129, "a\u0000b", "\u0007", "a\u007fb", "a\u0085b", True, 1.5, None, [], {}, 10**200]


@pytest.mark.parametrize("function", [BOOK, CANCEL])
@pytest.mark.parametrize("field", ["userId", "eventId"])
@pytest.mark.parametrize("value", BAD_IDS)
def test_a_malformed_id_is_422_with_its_field(function: ModuleType, field: str, value: Any) -> None:
    """Wrong types, lengths, and control characters."""
    problem = assert_problem(call(function, {"userId": "u", "eventId": "e", field: value}), 422, "invalid-request")
    assert [error["field"] for error in problem["errors"]] == [field]


@pytest.mark.parametrize("value", [value for value in BAD_IDS if value is not None])
def test_a_booking_id_is_an_id(value: Any) -> None:
    """If it is given."""
    answer = call(CANCEL, {"userId": "u", "eventId": "e", "bookingId": value})
    assert_problem(answer, 422, "invalid-request")


@pytest.mark.parametrize("function", [BOOK, CANCEL])
def test_missing_and_unknown_fields_are_422(function: ModuleType) -> None:
    """The response names each."""
    problem = assert_problem(call(function, {"eventid": "e"}), 422, "invalid-request")
    assert sorted(error["field"] for error in problem["errors"]) == ["eventId", "eventid", "userId"]


@pytest.mark.parametrize(
    ("function", "body"),
    [
        (INITIALIZE, {"name": "The concert", "total_tickets": 5}),
        (BOOK, {"user_id": "u", "event_id": "e"}),
        (CANCEL, {"user_id": "u", "event_id": "e"}),
    ],
)
def test_names_are_camel_case_only(function: ModuleType, body: dict[str, Any]) -> None:
    """Any other spelling is an unknown field."""
    assert_problem(call(function, body), 422, "invalid-request")


def test_the_query_cannot_name_another_event(office: Office) -> None:
    """The path names the event, and a second name is refused."""
    first, second = office.opens(tickets=1), office.opens(tickets=1)
    answer = call(STATUS, event_id=first.event_id, query={"eventId": second.event_id})
    assert_problem(answer, 422, "invalid-request")


@pytest.mark.parametrize("event_id", ["no-such-event", "a#0", 'a"b', "%41", "a/b", "a b", "é"])
def test_an_unknown_event_is_404(event_id: str) -> None:
    """Even with an unusual id."""
    assert_problem(call(STATUS, event_id=event_id), 404, "event-not-found")
    assert_problem(call(BOOK, {"userId": "anna", "eventId": event_id}), 404, "event-not-found")
    assert_problem(call(CANCEL, {"userId": "anna", "eventId": event_id}), 404, "event-not-found")


@pytest.mark.parametrize("event_id", ["no-such-event", "a#0", 'a"b', "a/b", "\\", "𝄞", "\ufffd", "a\nb", "x" * 129])
@pytest.mark.parametrize("function", ORGANISERS)
def test_an_unusual_id_does_not_change_the_checks(function: ModuleType, event_id: str) -> None:
    """The caller is checked first. Then an organiser learns that the event is unknown, or the id malformed."""
    body = {"name": "Other"} if function is functions.change.app else None
    assert_problem(call(function, body, event_id=event_id, claims={"sub": "anna"}), 403, "organisers-only")
    answer = call(function, body, event_id=event_id, claims=organiser("olga"))
    if event_id in {"\ufffd", "a\nb", "x" * 129}:
        assert_problem(answer, 422, "invalid-request")
    else:
        assert_problem(answer, 404, "event-not-found")


@pytest.mark.parametrize("event_id", ["x" * 129, "a\nb", "a\u0000b"])
def test_a_malformed_event_id_is_422_in_status(event_id: str) -> None:
    """A path follows the same rules as a body."""
    assert_problem(call(STATUS, event_id=event_id), 422, "invalid-request")


MALFORMED = [
    "{", "", " ", "[]", "null", "5", '"text"', "{'name': 1}", '{"name": "a",}', "\ufeff{}",
    '{"userId": "\\ud800", "eventId": "e", "name": "x", "totalTickets": 1}',
    '{"userId": "\ud800", "eventId": "e", "name": "x", "totalTickets": 1}',
    '{"userId": NaN}', "[" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("function", POSTS)
@pytest.mark.parametrize("raw", MALFORMED)
def test_a_body_other_than_a_json_object_is_400(function: ModuleType, raw: str) -> None:
    """So are lone surrogates, escaped or not."""
    assert_problem(call(function, raw=raw), 400, "malformed-json")


@pytest.mark.parametrize("function", POSTS)
def test_a_missing_body_is_400(function: ModuleType) -> None:
    """API Gateway then leaves out the field."""
    assert_problem(call(function), 400, "malformed-json")


@pytest.mark.parametrize("raw", ["%%%", "YQ", "ü", base64.b64encode(b"\xff\xfe{}").decode(), "", "e30=%", "\ud800"])
def test_a_base64_body_other_than_utf8_json_is_400(raw: str) -> None:
    """API Gateway encodes bodies that are not text."""
    assert_problem(call(BOOK, raw=raw, base64=True), 400, "malformed-json")


def test_a_base64_body_is_read(office: Office) -> None:
    """So a client may send application/octet-stream."""
    event_id = office.opens(tickets=1).event_id
    raw = base64.b64encode(json.dumps({"userId": "änna", "eventId": event_id}).encode()).decode()
    assert call(BOOK, raw=raw, base64=True, claims=organiser("änna")).json["userId"] == "änna"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_the_content_type_does_not_matter(office: Office, content_type: str) -> None:
    """A body is JSON, or it is refused."""
    body = {"userId": "anna", "eventId": office.opens(tickets=1).event_id}
    assert call(BOOK, body, headers={"content-type": content_type}).status == 201


@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY"])
def test_header_names_are_case_insensitive(name: str) -> None:
    """API Gateway writes them in lower case, `sam local` does not."""
    assert_problem(call(INITIALIZE, CONCERT, headers={name: ""}), 422, "invalid-request")


@pytest.mark.parametrize("left_out", ["headers", "rawQueryString", "pathParameters", "body", "isBase64Encoded"])
@pytest.mark.parametrize("is_null", [False, True])
def test_missing_and_null_fields_of_a_payload_mean_the_same(left_out: str, is_null: bool) -> None:
    """The request does not have that part."""
    for function, status in (
        (functions.events.app, 200),
        (functions.bookings.app, 422 if left_out == "rawQueryString" else 200),
        (INITIALIZE, 400 if left_out == "body" else 201),
        (functions.waiting_list.app, 422 if left_out == "pathParameters" else 404),
    ):
        room = function.__name__.split(".")[1]
        payload = json.loads((ROOT / "events" / f"{room}.json").read_text())
        payload["requestContext"]["authorizer"]["jwt"]["claims"] |= organiser("ada")
        if "pathParameters" in payload:
            payload["pathParameters"] = {"eventId": "nowhere"}
        payload.pop(left_out, None)
        assert function.handler(payload | ({left_out: None} if is_null else {}), Context())["statusCode"] == status


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("function", POSTS)
def test_a_body_over_10_kb_is_413(function: ModuleType, encoded: bool) -> None:
    """Before it is parsed. The size is that of the bytes sent."""
    for size in (BODY_BYTES_MAX + 1, 50 * BODY_BYTES_MAX):
        raw = base64.b64encode(b" " * size).decode() if encoded else " " * size
        assert_problem(call(function, raw=raw, base64=encoded), 413, "body-too-large")
    assert_problem(call(function, raw="%" * 50 * BODY_BYTES_MAX, base64=encoded), 413, "body-too-large")


@pytest.mark.parametrize("encoded", [False, True])
def test_a_body_of_exactly_10_kb_is_read(office: Office, encoded: bool) -> None:
    """The bound is allowed, and counts bytes, not characters."""
    body = json.dumps({"userId": "anna", "eventId": office.opens(tickets=1).event_id})
    body += " " * (BODY_BYTES_MAX - len(body))
    raw = base64.b64encode(body.encode()).decode() if encoded else body
    assert call(BOOK, raw=raw, base64=encoded, claims=organiser("anna")).status == 201
    assert_problem(call(BOOK, raw='{"userId": "' + "ü" * 5200 + '"}'), 413, "body-too-large")


def test_contention_past_the_deadline_is_503_with_retry_after(
    office: Office, monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    """It is never a false "sold out", and the same request succeeds after the contention."""
    event = office.opens(tickets=1)

    def conflict(*_: Any) -> None:
        raise TryAgain("TransactionConflict")

    with monkeypatch.context() as storm:
        storm.setattr(dynamodb, "commit", conflict)
        answer = event.book("anna")
    assert_problem(answer, 503, "try-again")
    assert answer.headers["retry-after"] == str(model.RETRY_AFTER_S)
    [line] = [line for line in log_lines() if line["message"] == "TryAgain"]
    assert (line["TryAgain"], line["cause"]) == (1, "TransactionConflict")
    assert event.books("anna") == 201


def test_an_unexpected_error_is_500_without_details_and_logged_with_its_request_id(
    office: Office, monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    """The response reveals nothing of the code; the log has the traceback."""
    event = office.opens(tickets=1)

    def fail(*_: Any) -> None:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(dynamodb, "commit", fail)
    answer = event.book("anna")
    problem = assert_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    [line] = [line for line in log_lines() if line["level"] == "ERROR"]
    assert line["correlation_id"] == problem["requestId"]
    assert "the secret inside" in line["exception"]


def test_other_responses_must_not_be_cached(office: Office) -> None:
    """Only a status may be, for a second (test_status.py)."""
    event = office.opens(tickets=1)
    assert event.bookings().headers["cache-control"] == "no-store"
    assert event.cancel("nobody").headers["cache-control"] == "no-store"
