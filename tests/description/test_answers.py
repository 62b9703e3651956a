"""A running office returns each kind of response that is described for a route, and it matches the description.

What every route has in common (no token, a body that is none, a database that denies or throttles) is asked of every
route by itself, with the examples of its description; the rest stands in _ask_for_the_rest. A kind of answer that is
described and never got fails, and so does an answer that is not described.
"""

import http.client
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import httpx
import pytest

import functions.describe.app
import functions.status.app
from harness.expiring import expire
from harness.gateway import call
from harness.running import RunningOffice, running
from local import engine, issuer
from local.gateway import BODY_BYTES_MAX as GATEWAY_BODY_BYTES_MAX
from openapi.document import operations
from shared.model import BODY_BYTES_MAX
from tests.description.reading import Kind, NotDescribed, check, document, kinds
from tests.operations import proxy, stage

ROUTES = sorted(operations(document()))
JSON, PAGE = "application/json", "text/html"
REQUEST_S_MAX = 30.0
ROLES: dict[str, dict[str, Any]] = {
    "olga": {"cognito:groups": ["organiser"]},
    "till": {"scope": "ticket-office/shop"},
    "dora": {"cognito:groups": ["door"]},
}
HOLD_S = 600
EMPTIED_S_MAX = 60.0  # a cancelled event, by its stream
# API Gateway's own answers that one machine does not give: it protects nobody from the rest, and its functions answer.
NOT_HERE = {Kind(route, status, JSON) for route in ROUTES for status in (429, 500, 503)}
KINDS = sorted({kind for route in ROUTES for kind in kinds(route)} - NOT_HERE)

pytestmark = pytest.mark.timeout(300)  # the first test waits for all requests


@dataclass
class Visitor:
    """Asks an office, compares each response with the description, and notes its kind."""

    office: RunningOffice
    issuer: Path
    got: set[Kind] = field(default_factory=set)

    def ask(
        self,
        route: str,
        *,
        by: str | None = "anna",
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        **path: str,
    ) -> httpx.Response:
        """Send a request, as a user ("olga" is an organiser, "till" a shop, "dora" the door, None has no token)."""
        method, template = route.split(" ")
        answer = httpx.request(
            method,
            f"{self.office.url}{template.format(**path)}",
            json=body,
            content=content,
            params=query,
            headers={**self._token(by), **(headers or {})},
            timeout=REQUEST_S_MAX,
        )
        return self.note(route, answer)

    def example(self, route: str, by: str, event_id: str, **more: Any) -> httpx.Response:
        """Send the first example of a route, about an event; `more` goes instead of the example's body or query."""
        operation = operations(document())[route]
        if more:
            pass
        elif "requestBody" in operation:
            shown = _first(operation["requestBody"]["content"][JSON])
            more = {"body": shown | ({"eventId": event_id} if "eventId" in shown else {})}
        else:
            needed = [one for one in operation.get("parameters", ()) if one["in"] == "query" and one["required"]]
            more = {"query": {one["name"]: one["example"] for one in needed}}
        return self.ask(route, by=by, eventId=event_id, **more)

    def too_large_for_the_gateway(self, route: str, by: str) -> None:
        """Announce a body that is too large for API Gateway, and send none of it."""
        method, path = route.split(" ")
        connection = http.client.HTTPConnection("127.0.0.1", self.office.port, timeout=REQUEST_S_MAX)
        try:
            connection.putrequest(method, path.format(eventId="any"))
            for name, value in {**self._token(by), "content-length": str(GATEWAY_BODY_BYTES_MAX + 1)}.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            self.note(route, httpx.Response(answer.status, headers=dict(answer.headers), content=answer.read()))
        finally:
            connection.close()

    def note(self, route: str, answer: httpx.Response) -> httpx.Response:
        """Compare a response with the description, and note its kind."""
        self.got.add(check(route, answer))
        return answer

    def _token(self, by: str | None) -> dict[str, str]:
        if by is None:
            return {}
        return {"authorization": f"Bearer {issuer.token(self.issuer, {'sub': by, **ROLES.get(by, {})})}"}


def _first(part: Any) -> Any:
    (example, *_) = part["examples"].values()
    return example["value"]


def _ask_for_the_rest(visitor: Visitor) -> None:
    """Get the responses that only some routes have."""
    concert = {"name": "The concert", "totalTickets": 1}
    key = {"idempotency-key": "opening night"}
    event_id = visitor.ask("POST /initialize", by="olga", body=concert, headers=key).json()["eventId"]
    visitor.ask("POST /initialize", by="olga", body={**concert, "totalTickets": 2}, headers=key)
    visitor.ask("POST /initialize", body=concert)
    annas, bens = {"userId": "anna", "eventId": event_id}, {"userId": "ben", "eventId": event_id}
    nowhere = {"userId": "anna", "eventId": "nowhere"}

    visitor.ask("POST /book", body=annas)
    visitor.ask("POST /book", body=annas)
    visitor.ask("POST /book", by="ben", body=bens)
    visitor.ask("POST /book", by="ben", body=annas)
    visitor.ask("POST /book", body=nowhere)

    _ask_for_lists(visitor, event_id)
    _ask_for_groups(visitor)

    visitor.ask("GET /status/{eventId}", eventId=event_id)
    for user in ("anna", "ben", "nobody"):
        visitor.ask("GET /status/{eventId}", by="olga", eventId=event_id, query={"userId": user})
    visitor.ask("GET /status/{eventId}", by="ben", eventId=event_id, query={"userId": "anna"})
    visitor.ask("GET /status/{eventId}", eventId="nowhere")

    visitor.ask("POST /cancel", body={**annas, "bookingId": "another"})
    visitor.ask("POST /cancel", body=annas)
    visitor.ask("POST /cancel", by="ben", body=annas)
    visitor.ask("POST /cancel", by="nobody", body={**annas, "userId": "nobody"})
    visitor.ask("POST /cancel", body=nowhere)
    visitor.ask("GET /status/{eventId}", eventId=event_id, query={"userId": "anna"})

    _ask_for_changes(visitor)
    visitor.ask("GET /openapi.json", by=None)
    visitor.ask("GET /docs", by=None)
    visitor.ask("GET /health", by=None)


def _ask_for_lists(visitor: Visitor, event_id: str) -> None:
    """Get pages of lists, with rows and without; a waiting list of one waits for the ticket of another."""
    for user in ("anna", "ben", "nobody"):
        visitor.ask("GET /bookings", by=user, query={"userId": user})
    visitor.ask("GET /bookings", query={"userId": "anna", "eventId": event_id})
    visitor.ask("GET /bookings", query={"userId": "anna", "eventId": "nowhere"})
    visitor.ask("GET /bookings", by="ben", query={"userId": "anna"})
    visitor.ask("GET /events", by="olga")
    visitor.ask("GET /events")
    for route in ("GET /events/{eventId}/bookings", "GET /events/{eventId}/waiting-list"):
        visitor.ask(route, by="olga", eventId=event_id, query={"limit": "1"})
        visitor.ask(route, by="olga", eventId="nowhere")
        visitor.ask(route, eventId=event_id)


def _ask_for_groups(visitor: Visitor) -> None:
    """Get bookings of several tickets, too few tickets, and bookings that are reduced."""
    concert = {"name": "The concert", "totalTickets": 4, "ticketsPerBooking": 3}
    event_id = visitor.ask("POST /initialize", by="olga", body=concert).json()["eventId"]
    bodies = {user: {"userId": user, "eventId": event_id} for user in ("anna", "ben", "cleo")}
    visitor.ask("POST /book", body={**bodies["anna"], "quantity": 4})
    visitor.ask("POST /book", body={**bodies["anna"], "quantity": 3})
    answer = visitor.ask("POST /book", by="ben", body={**bodies["ben"], "quantity": 2})
    assert answer.json()["availableTickets"] == 1
    visitor.ask("POST /book", by="ben", body={**bodies["ben"], "quantity": 2, "atLeast": 1})
    visitor.ask("POST /book", by="cleo", body={**bodies["cleo"], "quantity": 3, "atLeast": 3})
    visitor.ask("POST /cancel", by="cleo", body={**bodies["cleo"], "keep": 2})
    visitor.ask("POST /cancel", body={**bodies["anna"], "keep": 2})
    visitor.ask("GET /events/{eventId}/bookings", by="olga", eventId=event_id)
    visitor.ask("GET /events/{eventId}/waiting-list", by="olga", eventId=event_id)


def _ask_for_holds(visitor: Visitor, endpoint: str) -> None:
    """Get holds, confirmed or not, and every refusal of a confirmation."""
    concert = {"name": "The concert", "totalTickets": 2, "holdSeconds": HOLD_S}
    event_id = visitor.ask("POST /initialize", by="olga", body=concert).json()["eventId"]
    users = ("anna", "ben", "cleo")
    bodies = {user: {"userId": user, "eventId": event_id} for user in users}
    booking_ids = {user: visitor.ask("POST /book", by=user, body=bodies[user]).json()["bookingId"] for user in users}

    def confirm(user: str, by: str = "till", **more: str) -> None:
        visitor.ask("POST /confirm", by=by, body={**bodies[user], "bookingId": booking_ids[user], **more})

    confirm("anna", by="anna")
    confirm("anna", by="ben")
    confirm("anna", bookingId="another")
    confirm("anna", userId="nobody")
    confirm("anna", eventId="nowhere")
    confirm("anna", reference="payment-1")
    confirm("anna")
    confirm("cleo")
    visitor.ask("POST /cancel", by="cleo", body=bodies["cleo"])
    confirm("cleo")
    visitor.ask("POST /book", by="ben", body=bodies["ben"])
    visitor.ask("GET /bookings", by="ben", query={"userId": "ben"})
    assert expire(endpoint, ahead_s=2 * HOLD_S) == 1
    confirm("ben")
    visitor.ask("POST /cancel", by="ben", body=bodies["ben"])
    _ask_the_door(visitor, event_id, booking_ids)
    _ask_for_transfers(visitor, endpoint, event_id, booking_ids)
    for user in users:
        visitor.ask("GET /bookings", by=user, query={"userId": user})
        visitor.ask("GET /status/{eventId}", by=user, eventId=event_id, query={"userId": user})
    visitor.ask("GET /events/{eventId}/bookings", by="olga", eventId=event_id)


def _ask_the_door(visitor: Visitor, event_id: str, booking_ids: dict[str, str]) -> None:
    """Get check-ins, and every refusal of one: anna's booking is confirmed, ben's has expired, cleo's was cancelled."""

    def check_in(user: str, by: str = "dora", **more: str) -> None:
        body = {"userId": user, "eventId": event_id, "bookingId": booking_ids.get(user, "none")}
        visitor.ask("POST /check-in", by=by, body={**body, **more})

    check_in("anna", by="anna")
    check_in("anna", bookingId="another")
    check_in("nobody")
    check_in("anna", eventId="nowhere")
    for user in ("anna", "anna", "ben", "cleo"):
        check_in(user)
    visitor.ask("POST /cancel", body={"userId": "anna", "eventId": event_id})
    visitor.ask("GET /status/{eventId}", by="dora", eventId=event_id)
    held = visitor.ask("POST /book", by="dana", body={"userId": "dana", "eventId": event_id}).json()
    check_in("dana", bookingId=held["bookingId"])
    visitor.ask("POST /cancel", by="dana", body={"userId": "dana", "eventId": event_id})


def _ask_for_transfers(visitor: Visitor, endpoint: str, event_id: str, booking_ids: dict[str, str]) -> None:
    """Get transfers, and every refusal: ben's booking has expired, cleo's was cancelled, anna's is checked in."""

    def transfer(user: str, by: str = "till", **more: str) -> None:
        body = {"userId": user, "eventId": event_id, "bookingId": booking_ids.get(user, "none"), "toUserId": "zoe"}
        visitor.ask("POST /transfer", by=by, body={**body, **more})

    transfer("anna", by="ben")
    transfer("anna", bookingId="another")
    transfer("nobody")
    transfer("anna", eventId="nowhere")
    for user in ("anna", "ben", "cleo"):
        transfer(user)
    held = visitor.ask("POST /book", by="dana", body={"userId": "dana", "eventId": event_id}).json()["bookingId"]
    transfer("dana", bookingId=held)
    visitor.ask("POST /confirm", by="till", body={"userId": "dana", "eventId": event_id, "bookingId": held})
    transfer("dana", bookingId=held, toUserId="anna")
    transfer("dana", bookingId=held)
    transfer("dana", bookingId=held, toUserId="ben")
    for path, more in (("confirm", {"bookingId": held}), ("check-in", {"bookingId": held}), ("cancel", {})):
        body = {"userId": "dana", "eventId": event_id, **more}
        visitor.ask(f"POST /{path}", by="olga" if path != "confirm" else "till", body=body)
    for route, query in (("GET /bookings", {"userId": "dana"}), ("GET /status/{eventId}", {"userId": "dana"})):
        visitor.ask(route, by="dana", query=query, eventId=event_id)
    _ask_for_cancelled_lane(visitor, endpoint)


def _ask_for_cancelled_lane(visitor: Visitor, endpoint: str) -> None:
    """Get check-ins and transfers while an event is being cancelled: a moment that is over too soon to be met."""
    body = {"name": "The play", "totalTickets": 1}
    event_id = visitor.ask("POST /initialize", by="olga", body=body).json()["eventId"]
    booking_id = visitor.ask("POST /book", body={"userId": "anna", "eventId": event_id}).json()["bookingId"]
    boto3.client("dynamodb", endpoint_url=endpoint).update_item(
        TableName="LanesTable",
        Key={"laneId": {"S": f"{event_id}#0"}},
        UpdateExpression="SET cancelledAt = :moment",
        ExpressionAttributeValues={":moment": {"S": "2026-05-01T18:00:00.000Z"}},
    )
    of_anna = {"userId": "anna", "eventId": event_id, "bookingId": booking_id}
    visitor.ask("POST /check-in", by="dora", body=of_anna)
    visitor.ask("POST /transfer", body={**of_anna, "toUserId": "ben"})


def _ask_for_changes(visitor: Visitor) -> None:
    """Get the responses to changes of an event and its cancellation, and to buyers after them."""
    concert = {"name": "The concert", "totalTickets": 1}
    event_id = visitor.ask("POST /initialize", by="olga", body=concert).json()["eventId"]
    change, cancel = "PATCH /events/{eventId}", "POST /events/{eventId}/cancel"
    visitor.ask("POST /book", body={"userId": "anna", "eventId": event_id})

    soon, later = "2999-05-02T10:00:00+02:00", "2999-06-01T20:00:00+02:00"
    wanted = {"totalTickets": 3, "waitingListLimit": 0, "opensAt": soon, "closesAt": later}
    visitor.ask(change, by="olga", eventId=event_id, body=wanted)
    answer = visitor.ask("POST /book", by="ben", body={"userId": "ben", "eventId": event_id})
    assert answer.json()["opensAt"] == "2999-05-02T08:00:00.000Z"
    visitor.ask("GET /events", by="olga")
    visitor.ask(change, by="olga", eventId=event_id, body={"opensAt": None, "totalTickets": 2})
    for user in ("ben", "cleo"):
        answer = visitor.ask("POST /book", by=user, body={"userId": user, "eventId": event_id})
    assert answer.json()["waitingListLimit"] == 0
    visitor.ask(change, by="olga", eventId=event_id, body={"totalTickets": 1})
    visitor.ask(change, by="olga", eventId=event_id, body={"totalTickets": 9}, headers={"if-match": '"0"'})
    visitor.ask(change, eventId=event_id, body={"totalTickets": 9})
    visitor.ask(change, by="olga", eventId="nowhere", body={"totalTickets": 9})

    visitor.ask(cancel, eventId=event_id)
    visitor.ask(cancel, by="olga", eventId="nowhere")
    answer = visitor.ask(cancel, by="olga", eventId=event_id)
    until_s = time.monotonic() + EMPTIED_S_MAX
    while answer.status_code != HTTPStatus.OK:
        assert time.monotonic() < until_s, "it is never emptied"
        time.sleep(0.2)
        answer = visitor.ask(cancel, by="olga", eventId=event_id)
    visitor.ask("GET /status/{eventId}", eventId=event_id, query={"userId": "anna"})
    visitor.ask("GET /bookings", query={"userId": "anna"})
    visitor.ask(change, by="olga", eventId=event_id, body={"totalTickets": 9})
    visitor.ask("POST /book", by="dina", body={"userId": "dina", "eventId": event_id})


def _ask_every_route(visitor: Visitor, way: proxy.Proxy) -> None:
    """Get the responses that all routes have."""
    secured = [route for route in ROUTES if "security" not in operations(document())[route]]
    event_id = visitor.ask("POST /initialize", by="olga", body={"name": "x", "totalTickets": 1}).json()["eventId"]
    # An organiser may open and change events, the door checks in, a buyer books for themself; the examples are anna's.
    by_tag = {"organisers": "olga", "door": "dora", "buyers": "anna"}
    callers = {route: by_tag[operations(document())[route]["tags"][0]] for route in secured}
    for route, by in callers.items():
        visitor.ask(route, by=None, eventId=event_id)
        if "requestBody" in operations(document())[route]:
            for content in (b"{", b" " * (BODY_BYTES_MAX + 1), b'{"unknown": 1}'):
                visitor.example(route, by, event_id, content=content)
            visitor.example(route, by, event_id, content=b"{}", headers={"content-encoding": "gzip"})
            visitor.too_large_for_the_gateway(route, by)
        else:
            visitor.example(route, by, event_id, query={"unknown": "1"})
    for trouble in (proxy.denied, proxy.throttling):
        way.refuse = trouble
        with ThreadPoolExecutor(len(callers)) as crowd:
            list(crowd.map(lambda route: visitor.example(route, callers[route], event_id), callers))
    way.heal()


def _call(visitor: Visitor, route: str, function: ModuleType, **request: Any) -> None:
    """Call a function itself, for a response that no request to this office gets."""
    answer = call(function, **request)
    visitor.note(route, httpx.Response(answer.status, headers=answer.headers, text=answer.text))


def _ask_functions(visitor: Visitor) -> None:
    """Break the description and the page; ask for a user's status where the route takes no token (PublicStatus)."""
    with pytest.MonkeyPatch.context() as broken:
        for path in functions.describe.app.SERVED.keys() - {"/", "/docs/"}:  # the page is not of the API
            broken.setitem(functions.describe.app.SERVED, path, lambda: 1 / 0)
            _call(visitor, f"GET {path}", functions.describe.app, path=path)
    query = {"userId": "anna"}
    _call(visitor, "GET /status/{eventId}", functions.status.app, event_id="any", query=query, verified=False)


@pytest.fixture(scope="module")
def got(tmp_path_factory: pytest.TempPathFactory) -> set[Kind]:
    """Return all kinds of responses that an office returned. Its functions do not sleep between two tries."""
    secured, folder = (tmp_path_factory.mktemp(name) for name in ("secured", "stage"))
    stage.written(folder / "template.yaml")
    with (
        pytest.MonkeyPatch.context() as environment,
        engine.running(None) as endpoint,
        proxy.before(endpoint) as way,
    ):
        environment.setenv("DRILL_FOLDER", str(folder))
        options = ("--auth", "--endpoint", way.endpoint, "--template", str(folder / "template.yaml"))
        with running(secured, 2, *options) as office:
            visitor = Visitor(office, secured / issuer.FILE)
            _ask_for_the_rest(visitor)
            _ask_for_holds(visitor, endpoint)
            _ask_every_route(visitor, way)
            _ask_functions(visitor)
    return visitor.got


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.route} {kind.status} {kind.said}")
def test_each_described_response_is_returned(kind: Kind, got: set[Kind]) -> None:
    """Visitor.note has compared it with the description."""
    assert kind in got, "ask for it in _ask_for_the_rest"


# ---------------------------------------------------------------- controls


EVENT = {
    "eventId": "e",
    "name": "The concert",
    "totalTickets": 1,
    "availableTickets": 1,
    "bookedTickets": 0,
    "waitingListCount": 0,
    "createdAt": "2026-05-01T18:00:00.000Z",
    "ticketsPerBooking": 1,
}
PROBLEM = {
    "type": "urn:ticket-office:problem:event-not-found",
    "title": "Event not found",
    "status": 404,
    "detail": "There is no event with this id.",
    "instance": "/status/e",
    "code": "event-not-found",
    "requestId": "r",
}
COUNTED = {**EVENT, "asOf": "2026-05-01T18:00:01.000Z"}
AS_PROBLEM = {"content-type": "application/problem+json"}
STATUS = "GET /status/{eventId}"


def _answer(status: int, shown: Any, **headers: str) -> httpx.Response:
    usual = {"content-type": JSON, "etag": '"1"', "cache-control": "no-store"}
    return httpx.Response(status, headers=usual | headers, text=json.dumps(shown))


def test_a_described_response_passes() -> None:
    """The responses below have one mistake each; these have none."""
    assert check(STATUS, _answer(200, COUNTED)) == Kind(STATUS, 200, JSON)
    assert check(STATUS, _answer(404, PROBLEM, **AS_PROBLEM)) == Kind(STATUS, 404, "event-not-found")
    assert check("POST /initialize", _answer(201, EVENT, location="/status/e")).status == 201
    busy = {**PROBLEM, "status": 503, "code": "try-again"}
    assert check(STATUS, _answer(503, busy, **AS_PROBLEM, **{"retry-after": "1"})).said == "try-again"


NOT_DESCRIBED = {  # each has one mistake
    "status": (STATUS, _answer(418, COUNTED)),
    "content type": (STATUS, _answer(200, COUNTED, **{"content-type": "text/plain"})),
    "another field": (STATUS, _answer(200, {**COUNTED, "secret": 1})),
    "no field": (STATUS, _answer(200, {name: value for name, value in COUNTED.items() if name != "name"})),
    "type of a field": (STATUS, _answer(200, {**COUNTED, "totalTickets": "1"})),
    "time": (STATUS, _answer(200, {**COUNTED, "createdAt": "yesterday"})),
    "part of an answer": (STATUS, _answer(200, {**COUNTED, "booking": {"status": "CONFIRMED"}})),
    "another route's code": (STATUS, _answer(404, {**PROBLEM, "code": "booking-not-found"}, **AS_PROBLEM)),
    "another member": (STATUS, _answer(404, {**PROBLEM, "stack": "inside"}, **AS_PROBLEM)),
    "another error's member": (STATUS, _answer(404, {**PROBLEM, "totalTickets": 1}, **AS_PROBLEM)),
    "no Retry-After": (STATUS, _answer(503, {**PROBLEM, "status": 503, "code": "try-again"}, **AS_PROBLEM)),
    "no Location": ("POST /initialize", _answer(201, EVENT)),
}


@pytest.mark.parametrize(("route", "answer"), NOT_DESCRIBED.values(), ids=NOT_DESCRIBED)
def test_a_response_that_is_not_described_fails(route: str, answer: httpx.Response) -> None:
    """Whatever the mistake."""
    with pytest.raises(NotDescribed):
        check(route, answer)
