"""The payloads of events/, sent to their functions in the order of a booking's life.

Each function runs in a process of its own, with the environment that template.yaml gives it.
"""

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import deployment
from local import engine
from local.database import Database
from local.template import load
from shared.booking.expiry import MARGIN_S
from shared.store import items
from tests.template.stack import deployed, folder_of

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = sorted(load().functions)
STOP_S_MAX = 10

Payload = dict[str, Any]


class Functions:
    """The functions, started at their first call. Notes the requests of each to AWS."""

    def __init__(self, endpoint: str, processes: ExitStack) -> None:
        self._endpoint = endpoint
        self._processes = processes
        self._aws = processes.enter_context(deployment.stand_in(self._as_lambda))
        self._running: dict[str, subprocess.Popen[str]] = {}
        self.used: dict[str, set[tuple[str, str]]] = {name: set() for name in FUNCTIONS}

    def invoke(self, name: str, payload: Payload) -> dict[str, Any]:
        """Send a payload to a function and return its answer."""
        process = self._running.get(name) or self._start(name)
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(payload) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"{name} died"
        result = json.loads(line)
        self.used[name] |= {(action, resource) for action, resource in result["requests"]}
        answer: dict[str, Any] = result["answer"]
        return answer

    def _as_lambda(self, name: str, request: Payload) -> Payload:
        """Answer one function that invokes another; when that has cancelled, the stream's record comes, too."""
        answer = self.invoke(name, request)
        if name == "CancelFunction" and answer["statusCode"] == 200:
            lane = {"laneId": {"S": f"{json.loads(request['body'])['eventId']}#0"}}
            self.invoke("PromoteFunction", {"Records": [{"dynamodb": {"Keys": lane, "SequenceNumber": "1"}}]})
        return answer

    def _start(self, name: str) -> subprocess.Popen[str]:
        function = load().functions[name]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.artifact.invoke", function.handler],
            cwd=ROOT,
            env={
                "PATH": os.defpath,
                **function.environment,
                **Database.embedded(self._endpoint).environment,
                "AWS_ENDPOINT_URL_LAMBDA": self._aws.url,
                "AWS_ENDPOINT_URL_CODEDEPLOY": self._aws.url,
                "AWS_ENDPOINT_URL_S3": self._aws.url,
                "AWS_ENDPOINT_URL_EVENTBRIDGE": self._aws.url,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running[name] = process
        self._processes.callback(_stop, process)
        return process


def _stop(process: subprocess.Popen[str]) -> None:
    """End a function: it stops when it gets no more payloads."""
    assert process.stdin
    assert process.stdout
    process.stdin.close()
    try:
        process.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def payload(name: str) -> Payload:
    """Read events/<name>.json."""
    found: Payload = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return found


def by(user_id: str, request: Payload) -> Payload:
    """Return the request as another user would send it."""
    context = request["requestContext"]
    bookings = context["authorizer"]["jwt"]["claims"] | {"sub": user_id}
    request = request | {"requestContext": context | {"authorizer": {"jwt": {"claims": bookings, "scopes": None}}}}
    if "body" in request:
        return request | {"body": json.dumps(json.loads(request["body"]) | {"userId": user_id})}
    return request | {"rawQueryString": f"userId={user_id}", "queryStringParameters": {"userId": user_id}}


INITIALIZE, BOOK, CONFIRM, CANCEL, STATUS = map(payload, ("initialize", "book", "confirm", "cancel", "status"))
BOOKINGS, EVENTS, EVENT_BOOKINGS, WAITING_LIST = map(payload, ("bookings", "events", "event_bookings", "waiting_list"))
PROMOTE, ANNOUNCE, EXPIRE, SWEEP, CHECK = map(payload, ("promote", "announce", "expire", "sweep", "check"))
CHANGE, CANCEL_EVENT, FOLLOW = map(payload, ("change", "cancel_event", "follow"))
TRANSFER, CHECK_IN = payload("transfer"), payload("check_in")
EVENT_ID, KEY = STATUS["pathParameters"]["eventId"], INITIALIZE["headers"]["idempotency-key"]


def of_another(request: Payload, key: str = "another") -> Payload:
    """Return the request as one about another event, whose id follows from another key."""
    organiser = INITIALIZE["requestContext"]["authorizer"]["jwt"]["claims"]["sub"]
    event_id = uuid.uuid5(uuid.UUID("6c0b5c62-5d5a-4f0e-9d7e-0f6a3f5a7a11"), f"{organiser}\n{key}")
    about: Payload = json.loads(json.dumps(request).replace(EVENT_ID, str(event_id)).replace(KEY, key))
    return about


def with_body(request: Payload, **fields: Any) -> Payload:
    """Return the request with more fields in its body."""
    return request | {"body": json.dumps(json.loads(request["body"]) | fields)}


HOLD_S = 2
HOLDING = with_body(of_another(INITIALIZE, "holds"), totalTickets=2, holdSeconds=HOLD_S)

FOR_GROUPS = with_body(of_another(INITIALIZE, "groups"), totalTickets=2, ticketsPerBooking=2)
ON_LANES = with_body(of_another(INITIALIZE, "lanes"), totalTickets=51, ticketsPerBooking=20)  # two lanes
_NOTE = {"laneId": {"S": f"{EVENT_ID}#note"}, "userId": {"S": "note"}}
NOTE = of_another({"Records": [{"dynamodb": {"Keys": _NOTE, "SequenceNumber": "1"}}]}, "lanes")
# Of a change that was cut short, of the waiting list's limit or of several lanes: no payload leaves one.
FINISHES_CHANGES = {
    "FollowFunction": {("dynamodb:UpdateItem", "WaitingListTable")},
    "SweepFunction": {("dynamodb:UpdateItem", "WaitingListTable")},
}

# Function, payload, and what the answer must hold. There is one ticket.
LIFE: list[tuple[str, Payload, dict[str, Any]]] = [
    # ada gets it, grace waits; who asks again gets the same answer.
    ("InitializeFunction", INITIALIZE, {"statusCode": 201, "name": "Opening night", "availableTickets": 1}),
    ("InitializeFunction", INITIALIZE, {"statusCode": 201, "name": "Opening night", "availableTickets": 1}),
    ("BookFunction", BOOK, {"statusCode": 201, "status": "CONFIRMED", "userId": "ada"}),
    ("BookFunction", BOOK, {"statusCode": 200, "status": "CONFIRMED", "userId": "ada"}),
    ("BookFunction", by("grace", BOOK), {"statusCode": 202, "status": "WAITING", "userId": "grace", "position": 1}),
    ("StatusFunction", STATUS, {"statusCode": 200, "availableTickets": 0, "waitingListCount": 1}),
    ("StatusFunction", by("grace", STATUS), {"booking.status": "WAITING", "booking.position": 1}),
    ("BookingsFunction", BOOKINGS, {"statusCode": 200, "listed": ["ada CONFIRMED"]}),
    ("BookingsFunction", by("grace", BOOKINGS), {"statusCode": 200, "listed": ["grace WAITING"]}),
    ("EventsFunction", EVENTS, {"statusCode": 200, "listed": ["Opening night"]}),
    ("EventBookingsFunction", EVENT_BOOKINGS, {"statusCode": 200, "listed": ["ada CONFIRMED"]}),
    ("WaitingListFunction", WAITING_LIST, {"statusCode": 200, "listed": ["grace WAITING"]}),
    ("DescribeFunction", payload("describe"), {"statusCode": 200, "openapi": "3.1.0"}),
    # ada gives it back, the stream's records come, grace has it.
    ("CancelFunction", CANCEL, {"statusCode": 200, "status": "CANCELLED", "was": "CONFIRMED"}),
    ("PromoteFunction", PROMOTE, {"batchItemFailures": []}),
    ("AnnounceFunction", ANNOUNCE, {"batchItemFailures": []}),
    ("StatusFunction", by("grace", STATUS), {"booking.status": "CONFIRMED", "waitingListCount": 0}),
    # ada waits and leaves; grace gives the ticket back while nobody waits; ada books it in one request.
    ("BookFunction", BOOK, {"statusCode": 202, "status": "WAITING"}),
    ("CancelFunction", CANCEL, {"statusCode": 200, "status": "CANCELLED", "was": "WAITING"}),
    ("CancelFunction", by("grace", CANCEL), {"statusCode": 200, "was": "CONFIRMED"}),
    ("BookFunction", BOOK, {"statusCode": 201, "status": "CONFIRMED"}),
    # A record that never comes: the sweep finds who was left waiting beside a free ticket.
    ("BookFunction", by("grace", BOOK), {"statusCode": 202, "status": "WAITING"}),
    ("CancelFunction", CANCEL, {"statusCode": 200, "was": "CONFIRMED"}),
    ("SweepFunction", SWEEP, {"swept": 1}),
    ("StatusFunction", by("grace", STATUS), {"booking.status": "CONFIRMED", "availableTickets": 0}),
    # There is a second ticket, for ada, who waits; then all is off: nobody gets one, and the background cancels all.
    ("BookFunction", BOOK, {"statusCode": 202, "status": "WAITING"}),
    ("ChangeFunction", CHANGE, {"statusCode": 200, "totalTickets": 2}),
    ("ChangeFunction", CHANGE | {"body": '{"waitingListLimit": 9}'}, {"statusCode": 200, "waitingListLimit": 9}),
    ("FollowFunction", FOLLOW, {"batchItemFailures": []}),
    ("StatusFunction", STATUS, {"booking.status": "CONFIRMED", "availableTickets": 0}),
    ("CancelEventFunction", CANCEL_EVENT, {"statusCode": 202, "bookedTickets": 2}),
    ("BookFunction", by("alan", BOOK), {"statusCode": 409, "code": "event-cancelled"}),
    ("FollowFunction", FOLLOW, {"batchItemFailures": []}),
    ("CancelEventFunction", CANCEL_EVENT, {"statusCode": 200, "bookedTickets": 0}),
    ("StatusFunction", STATUS, {"booking.status": "CANCELLED", "booking.was": "CONFIRMED"}),
    # Another is cancelled, and its record never comes: the sweep does it.
    ("InitializeFunction", of_another(INITIALIZE), {"statusCode": 201, "availableTickets": 1}),
    ("BookFunction", of_another(BOOK), {"statusCode": 201, "status": "CONFIRMED"}),
    ("CancelEventFunction", of_another(CANCEL_EVENT), {"statusCode": 202, "bookedTickets": 1}),
    ("SweepFunction", SWEEP, {"swept": 2}),
    ("CancelEventFunction", of_another(CANCEL_EVENT), {"statusCode": 200, "bookedTickets": 0}),
    # A third has holds: the shop confirms ada's, who comes, and grace's expires.
    ("InitializeFunction", HOLDING, {"statusCode": 201, "holdSeconds": HOLD_S, "confirmedBy": "shop"}),
    ("BookFunction", by("grace", of_another(BOOK, "holds")), {"statusCode": 201, "status": "HELD"}),
    ("BookFunction", of_another(BOOK, "holds"), {"statusCode": 201, "status": "HELD"}),
    ("ConfirmFunction", of_another(CONFIRM, "holds"), {"status": "CONFIRMED", "reference": "payment-4711"}),
    ("ConfirmFunction", of_another(CONFIRM, "holds"), {"status": "CONFIRMED", "reference": "payment-4711"}),
    ("CheckInFunction", of_another(CHECK_IN, "holds"), {"statusCode": 200, "again": False}),
    ("CheckInFunction", of_another(CHECK_IN, "holds"), {"statusCode": 200, "again": True}),
    ("ExpireFunction", EXPIRE, {"expired": 1}),
    ("StatusFunction", by("grace", of_another(STATUS, "holds")), {"booking.status": "EXPIRED", "availableTickets": 1}),
    # ada gives her ticket of a fourth to grace.
    ("InitializeFunction", of_another(INITIALIZE, "given"), {"statusCode": 201, "availableTickets": 1}),
    ("BookFunction", of_another(BOOK, "given"), {"statusCode": 201, "status": "CONFIRMED"}),
    ("TransferFunction", of_another(TRANSFER, "given"), {"status": "TRANSFERRED", "transferredTo": "grace"}),
    ("TransferFunction", of_another(TRANSFER, "given"), {"status": "TRANSFERRED", "transferredTo": "grace"}),
    # A fifth is for groups: grace asks for fewer tickets and leaves, ada returns one of two, and it is back on sale.
    ("InitializeFunction", FOR_GROUPS, {"statusCode": 201, "ticketsPerBooking": 2}),
    ("BookFunction", with_body(of_another(BOOK, "groups"), quantity=2), {"statusCode": 201, "quantity": 2}),
    (
        "BookFunction",
        with_body(by("grace", of_another(BOOK, "groups")), quantity=2),
        {"statusCode": 202, "quantity": 2, "atLeast": 2},
    ),
    (
        "CancelFunction",
        with_body(by("grace", of_another(CANCEL, "groups")), keep=1),
        {"statusCode": 200, "status": "WAITING", "quantity": 1, "position": 1},
    ),
    ("CancelFunction", by("grace", of_another(CANCEL, "groups")), {"statusCode": 200, "was": "WAITING"}),
    ("CancelFunction", with_body(of_another(CANCEL, "groups"), keep=1), {"status": "CONFIRMED", "quantity": 1}),
    ("PromoteFunction", of_another(PROMOTE, "groups"), {"batchItemFailures": []}),
    ("StatusFunction", of_another(STATUS, "groups"), {"availableTickets": 1, "soldOutAt": None}),
    # A sixth has two lanes. ada returns 20 tickets while grace waits: the promoter leaves a note, and as its record is
    # late, the sweep settles. What follows then has nothing to do.
    ("InitializeFunction", ON_LANES, {"statusCode": 201, "availableTickets": 51}),
    ("BookFunction", with_body(of_another(BOOK, "lanes"), quantity=20), {"statusCode": 201, "quantity": 20}),
    ("BookFunction", with_body(by("alan", of_another(BOOK, "lanes")), quantity=20), {"statusCode": 201}),
    ("BookFunction", with_body(by("hope", of_another(BOOK, "lanes")), quantity=11), {"statusCode": 201}),
    ("BookFunction", by("grace", of_another(BOOK, "lanes")), {"statusCode": 202, "status": "WAITING"}),
    ("CancelFunction", of_another(CANCEL, "lanes"), {"statusCode": 200, "was": "CONFIRMED"}),
    ("PromoteFunction", of_another(PROMOTE, "lanes"), {"batchItemFailures": []}),
    ("StatusFunction", by("grace", of_another(STATUS, "lanes")), {"booking.status": "WAITING"}),
    ("SweepFunction", SWEEP, {"swept": 3}),
    ("PromoteFunction", NOTE, {"batchItemFailures": []}),
    ("StatusFunction", by("grace", of_another(STATUS, "lanes")), {"booking.status": "CONFIRMED"}),
    ("FollowFunction", of_another(FOLLOW, "lanes"), {"batchItemFailures": []}),
    # After a deployment, twice: the check finds its event as it has left it.
    ("CheckFunction", CHECK, {"wrong": None}),
    ("CheckFunction", CHECK, {"wrong": None}),
]


@dataclass
class Lived:
    """The responses of the functions, step by step, and their requests to AWS."""

    answers: list[dict[str, Any]]
    used: dict[str, set[tuple[str, str]]]


@pytest.fixture(scope="module")
def lived() -> Iterator[Lived]:
    """Run LIFE, and yield its results."""
    with engine.running(None) as endpoint, ExitStack() as processes:
        functions = Functions(endpoint, processes)
        answers: list[dict[str, Any]] = []
        for name, request, _ in LIFE:
            if name == "ExpireFunction":
                time.sleep(HOLD_S + MARGIN_S)
            answers.append(_flat(functions.invoke(name, _about_the_last_booking(request, answers))))
        yield Lived(answers, functions.used)


def _about_the_last_booking(request: Payload, answers: list[dict[str, Any]]) -> Payload:
    """Return the request with the bookingId of the last booking that was made, if it names one."""
    if "bookingId" not in json.loads(request.get("body") or "{}"):
        return request
    return with_body(request, bookingId=next(one["bookingId"] for one in reversed(answers) if "bookingId" in one))


def _flat(answer: dict[str, Any]) -> dict[str, Any]:
    """Put the fields of an HTTP answer's body beside its status, those of a booking as booking.x; say who is listed."""
    body = json.loads(answer.get("body", "{}"))
    rows = next((rows for rows in body.values() if isinstance(rows, list) and "openapi" not in body), [])
    body["listed"] = [row.get("name") or f"{row['userId']} {row['status']}" for row in rows]
    booking = {f"booking.{name}": value for name, value in (body.get("booking") or {}).items()}
    flat: dict[str, Any] = answer | body | booking
    return flat


@pytest.mark.parametrize("step", range(len(LIFE)), ids=lambda step: f"{step}-{LIFE[step][0]}")
def test_each_payload_gets_its_response(step: int, lived: Lived) -> None:
    """P1 to P7, as seen by a user of `sam local invoke`."""
    expected = LIFE[step][2]
    assert {name: lived.answers[step].get(name) for name in expected} == expected


def test_the_same_idempotency_key_returns_the_same_event(lived: Lived) -> None:
    """P7: no event is opened twice."""
    assert lived.answers[0]["body"] == lived.answers[1]["body"]


def test_every_function_has_a_payload() -> None:
    """`sam local invoke XFunction -e events/x.json` works for all of them."""
    assert {path.stem for path in (ROOT / "events").glob("*.json")} == set(map(folder_of, FUNCTIONS))


def test_the_payloads_of_one_life_fit_together() -> None:
    """The event that initialize.json opens is the one that the others name: its id follows from its key."""
    event_id = payload("status")["pathParameters"]["eventId"]
    for name in ("event_bookings", "waiting_list"):
        assert payload(name)["pathParameters"] == {"eventId": event_id}
    for name in ("book", "confirm", "cancel", "transfer", "check_in"):
        assert json.loads(payload(name)["body"])["eventId"] == event_id
    for name in ("change", "cancel_event"):
        assert payload(name)["pathParameters"]["eventId"] == event_id
    for name in ("promote", "announce", "follow"):
        for record in payload(name)["Records"]:
            assert items.event_of_key(record["dynamodb"]["Keys"]) == event_id


def test_what_the_containers_printed_is_of_these_payloads() -> None:
    """The record in docs/sam-local.md is not of other ones: it names their event."""
    event_id = payload("status")["pathParameters"]["eventId"]
    printed = (ROOT / "docs" / "sam-local.md").read_text()
    assert set(re.findall(r'sam local invoke.*"eventId":"([\w-]{36})', printed)) == {event_id}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_role_allows_exactly_the_requests_of_its_function(name: str, lived: Lived) -> None:
    """A missing privilege would fail on AWS; a needless one is a risk."""
    privileges = deployed().privileges(name)
    if name in {"PromoteFunction", "FollowFunction", "AnnounceFunction"}:
        privileges = {one for one in privileges if not one[0].startswith("s3:")}  # Lambda writes with its role
    assert privileges == lived.used[name] | FINISHES_CHANGES.get(name, set())
