"""Permissions over HTTP with `python -m local --auth`: tokens, users, organisers, and web pages.

Shops are in test_shops.py.
"""

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc import jwt
from joserfc.jwk import RSAKey

import functions.book.app
import functions.bookings.app
import functions.cancel.app
import functions.change.app
import functions.event_bookings.app
import functions.events.app
import functions.initialize.app
import functions.status.app
import functions.waiting_list.app
from harness.gateway import call
from harness.running import running
from local import issuer, listeners
from local.template import load
from shared.booking.counts import AGE_S_MAX as COUNTS_AGE_S_MAX
from tests.http.secured import CONCERT, ORGANISER, Secured, problem
from tests.http.test_contract import assert_problem
from tests.local.test_listeners import listening

OURS, THEIRS = "https://tickets.example", "https://elsewhere.example"
PUBLIC = {"/openapi.json", "/docs", "/docs/", "/health", "/", "/web/{version}/{file}", "/web/{version}/vendor/{file}"}
ROUTES = sorted({(route.method, route.path) for route in load().routes if route.path not in PUBLIC})

Make = Callable[[Secured, dict[str, Any]], str]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Yield an office whose events are shown to everybody, whose users have other names, and which a page may call."""
    data = tmp_path_factory.mktemp("shown")
    chosen = {"PublicStatus": "true", "UserClaim": "email", "CorsOrigins": f"http://localhost:5173,{OURS}"}
    parameters = [word for name, value in chosen.items() for word in ("--parameter", f"{name}={value}")]
    with running(data, 1, "--auth", *parameters) as office, Secured.of(office, data / issuer.FILE) as shown:
        yield shown


def assert_unauthorized(answer: httpx.Response) -> None:
    """Assert API Gateway's own 401."""
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
    assert answer.headers["www-authenticate"] == "Bearer"


# ---------------------------------------------------------------- the token


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_needs_a_token(secured: Secured, method: str, path: str) -> None:
    """Secure by default. Only the description of the API and its health are public."""
    assert_unauthorized(secured.ask(method, path.format(eventId="any"), body={} if method == "POST" else None))


def _signed(**claims: Any) -> Make:
    return lambda secured, good: secured.token(**{**good, **claims})


def _without(name: str) -> Make:
    def make(secured: Secured, good: dict[str, Any]) -> str:
        rest = {key: value for key, value in good.items() if key != name}
        return jwt.encode(secured.header(), rest, secured.key)

    return make


def _by_client(client_id: str) -> Make:
    def make(secured: Secured, good: dict[str, Any]) -> str:
        return _without("aud")(secured, {**good, "client_id": client_id})

    return make


def _unsigned(secured: Secured, good: dict[str, Any]) -> str:
    return f"{_part(secured.header(alg='none'))}.{_part(good)}."


def _by_public_key(secured: Secured, good: dict[str, Any]) -> str:
    """Use the public key as the secret of HS256. The library refuses that, so this signs by hand."""
    signed = f"{_part(secured.header(alg='HS256'))}.{_part(good)}"
    signature = hmac.digest(secured.key.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{_base64url(signature)}"


def _by_another_key(secured: Secured, good: dict[str, Any]) -> str:
    return jwt.encode(secured.header(), good, RSAKey.generate_key(2048))


def _by_an_unknown_key(secured: Secured, good: dict[str, Any]) -> str:
    key = RSAKey.generate_key(2048, auto_kid=True)
    return jwt.encode(secured.header(kid=key.kid), good, key)


def _with_its_own_key(secured: Secured, good: dict[str, Any]) -> str:
    """Put the key into the header, as RFC 7515 allows."""
    key = RSAKey.generate_key(2048)
    public = {name: value for name, value in key.as_dict(private=False).items() if name in {"kty", "n", "e"}}
    return _sign(key, {"alg": "RS256", "kid": secured.key.kid, "jwk": public}, good)


def _without_kid(secured: Secured, good: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256"}, good, secured.key)


def _altered(secured: Secured, good: dict[str, Any]) -> str:
    """Put other claims between a valid header and a valid signature."""
    header, _, signature = secured.token(**good, **{"cognito:groups": []}).split(".")
    return f"{header}.{_part({**good, 'cognito:groups': ['organiser']})}.{signature}"


def _cut(secured: Secured, good: dict[str, Any]) -> str:
    return secured.token(**good)[:-4]


def _text(text: str) -> Make:
    return lambda _secured, _good: text


def _part(value: Any) -> str:
    return _base64url(json.dumps(value).encode())


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _sign(key: RSAKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Sign a token that the library refuses to make."""
    signed = f"{_part(header)}.{_part(claims)}"
    signature: bytes = key.private_key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())  # type: ignore[union-attr]
    return f"{signed}.{_base64url(signature)}"


REFUSED: dict[str, Make] = {
    "expired": _signed(exp=int(time.time()) - 1), "expires as text": _signed(exp="2099-01-01"),
    "never expires": _without("exp"), "not yet valid": _signed(nbf=int(time.time()) + 86_400),
    "issued in the future": _signed(iat=int(time.time()) + 86_400),
    "for another audience": _signed(aud="another-office"),
    "for other audiences": _signed(aud=["another-office", "a-third"]), "for nobody": _without("aud"),
    "for another client": _by_client("another-office"),
    "for another audience by our client": _signed(aud="another-office", client_id=issuer.AUDIENCE),
    "of another issuer": _signed(iss="https://issuer.example"), "of no issuer": _without("iss"),
    "alg none": _unsigned, "HS256 by the public key": _by_public_key, "by another key": _by_another_key,
    "by an unknown key": _by_an_unknown_key, "with its own key": _with_its_own_key, "without kid": _without_kid,
    "altered": _altered, "cut": _cut, "a subject that is no text": _signed(sub=["anna"]), "no token": _text("anna"),
    "three parts of nothing": _text(".."), "three parts of something": _text("e30.e30.e30"),
    "long": _text("a" * 9_000 + ".b.c"), "not ASCII": _text("\xfc.\xfc.\xfc"),
}  # fmt: skip
GOOD: dict[str, Make] = {
    "as it is": _signed(),
    "for several audiences": _signed(aud=["another-office", issuer.AUDIENCE]),
    "for the client": _by_client(issuer.AUDIENCE),
    "for us by another client": _signed(client_id="another-application"),
    "signed by hand": lambda secured, good: _sign(secured.key, secured.header(), good),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_token_is_refused(secured: Secured, name: str) -> None:
    """The gateway refuses it, and no function sees the request."""
    token = REFUSED[name](secured, secured.claims())
    headers = [(b"authorization", b"Bearer " + token.encode("latin-1"))]
    assert_unauthorized(secured.client.get("/status/any?userId=anna", headers=headers))


@pytest.mark.parametrize("name", GOOD)
def test_a_valid_token_is_accepted(secured: Secured, name: str) -> None:
    """The control of the test above: the same request, the same claims."""
    token = GOOD[name](secured, secured.claims())
    assert problem(secured.ask("GET", "/status/any?userId=anna", token)) == (404, "event-not-found")


def test_a_token_may_follow_bearer(secured: Secured) -> None:
    """There must be exactly one."""
    token, get = secured.token(sub="anna"), partial(secured.client.get, "/status/any")
    for header in (token, f"Bearer {token}", f"bearer {token}"):
        assert get(headers={"authorization": header}).status_code == 404
    for header in ("", "Bearer", f"Basic {token}", f"Bearer  {token}x", f"{token},{token}"):
        assert_unauthorized(get(headers={"authorization": header}))
    twice = [("authorization", f"Bearer {token}"), ("authorization", f"Bearer {token}")]
    assert_unauthorized(get(headers=twice))


# ---------------------------------------------------------------- buyers


def test_a_buyer_acts_only_for_themselves(secured: Secured) -> None:
    """They cannot book, read or cancel for another user, and the event stays as it was."""
    event_id = secured.opens()
    anna, ben = secured.token(sub="anna"), secured.token(sub="ben")
    annas = {"userId": "anna", "eventId": event_id}
    assert problem(secured.ask("POST", "/book", ben, annas)) == (403, "not-your-booking")
    assert secured.ask("GET", f"/status/{event_id}", ben).json()["availableTickets"] == 1
    assert secured.ask("POST", "/book", anna, annas).status_code == 201
    assert problem(secured.ask("POST", "/cancel", ben, annas)) == (403, "not-your-booking")
    assert problem(secured.ask("GET", f"/status/{event_id}?userId=anna", ben)) == (403, "not-your-booking")
    time.sleep(COUNTS_AGE_S_MAX)
    seen = secured.ask("GET", f"/status/{event_id}?userId=anna", anna).json()
    assert (seen["availableTickets"], seen["booking"]["status"]) == (0, "CONFIRMED")
    assert secured.ask("POST", "/cancel", anna, annas).json()["was"] == "CONFIRMED"


@pytest.mark.parametrize("claims", [{}, {"sub": ""}, {"sub": "Anna"}, {"sub": "anna "}, {"email": "anna", "sub": "x"}])
def test_the_claim_must_name_the_user_exactly(secured: Secured, claims: dict[str, str]) -> None:
    """A missing, empty or different claim is not anna."""
    request = {"userId": "anna", "eventId": "any"}
    assert problem(secured.ask("POST", "/book", secured.token(**claims), request)) == (403, "not-your-booking")


def test_a_user_whose_id_is_a_number_may_write_it_as_one(secured: Secured) -> None:
    """The original contract allows it."""
    request = {"userId": 7, "eventId": "any"}
    assert problem(secured.ask("POST", "/book", secured.token(sub="7"), request)) == (404, "event-not-found")


def test_the_claim_that_names_the_user_is_a_parameter(shown: Secured) -> None:
    """UserClaim is `email` here."""
    request = {"userId": "anna@example.org", "eventId": "any"}
    token = shown.token(sub="5f0c", email="anna@example.org")
    assert problem(shown.ask("POST", "/book", token, request)) == (404, "event-not-found")
    assert problem(shown.ask("POST", "/book", token, {**request, "userId": "5f0c"})) == (403, "not-your-booking")


def test_a_claim_that_is_null_names_no_user(shown: Secured) -> None:
    """API Gateway leaves it out, so it is not the user "null"."""
    request = {"userId": "null", "eventId": "any"}
    assert problem(shown.ask("POST", "/book", shown.token(sub="5f0c", email=None), request)) == (
        403,
        "not-your-booking",
    )


# ---------------------------------------------------------------- organisers


def test_the_group_or_the_scope_makes_an_organiser(secured: Secured) -> None:
    """People have a group, programs a scope; tests/unit/test_caller.py has the claims of other issuers."""
    for claims in ({"cognito:groups": ["staff", "organiser"]}, {"scope": "ticket-office/organiser"}):
        assert secured.ask("POST", "/initialize", secured.token(sub="olga", **claims), CONCERT).status_code == 201


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"cognito:groups": {"organiser": True}},
        {"cognito:groups": ["fan organiser"]},
        {"scope": "organiser:read other/organiser"},
        {"sub": "organiser", "name": "organiser", "role": "organiser", "group": ["organiser"]},
    ],
)
def test_nothing_else_makes_an_organiser(secured: Secured, claims: dict[str, Any]) -> None:
    """A buyer cannot open or change an event. The response comes before the body is checked."""
    token = secured.token(**{"sub": "anna", **claims})
    for body in (CONCERT, {}):
        assert problem(secured.ask("POST", "/initialize", token, body)) == (403, "organisers-only")
        assert problem(secured.ask("PATCH", "/events/any", token, body)) == (403, "organisers-only")


def test_only_an_organiser_changes_and_cancels_an_event(secured: Secured) -> None:
    """A buyer may cancel their booking, but not the concert."""
    organiser, event_id = secured.token(**ORGANISER), secured.opens()
    changed = secured.ask("PATCH", f"/events/{event_id}", organiser, {"name": "The encore"})
    assert (changed.status_code, changed.json()["name"]) == (200, "The encore")
    refused = secured.ask("POST", f"/events/{event_id}/cancel", secured.token(sub="anna"))
    assert problem(refused) == (403, "organisers-only")
    assert "cancelledAt" not in secured.ask("GET", f"/status/{event_id}", organiser).json()
    assert secured.ask("POST", f"/events/{event_id}/cancel", organiser).status_code == 202


ORGANISERS_LISTS = ["/events", "/events/any/bookings", "/events/any/waiting-list"]


@pytest.mark.parametrize("path", ORGANISERS_LISTS)
def test_only_organisers_read_the_lists_of_an_event(secured: Secured, path: str) -> None:
    """Buyers are refused before the parameters are checked, and do not learn which events exist."""
    for query in ("", "?limit=0", "?userId=anna"):
        refused = secured.ask("GET", f"{path}{query}", secured.token(sub="anna"))
        assert problem(refused) == (403, "organisers-only")
    assert secured.ask("GET", path, secured.token(**ORGANISER)).status_code in (200, 404)


def test_a_buyer_lists_only_their_own_bookings(secured: Secured) -> None:
    """An organiser lists those of any user."""
    event_id = secured.opens()
    anna, ben, olga = secured.token(sub="anna"), secured.token(sub="ben"), secured.token(**ORGANISER)
    booked = secured.ask("POST", "/book", anna, {"userId": "anna", "eventId": event_id})
    link = booked.headers["location"]
    for path in ("/bookings?userId=anna", link):
        assert problem(secured.ask("GET", path, ben)) == (403, "not-your-booking")
        for token in (anna, olga):
            assert event_id in {one["eventId"] for one in secured.ask("GET", path, token).json()["bookings"]}
    assert secured.ask("GET", "/bookings?userId=ben", ben).json()["bookings"] == []
    assert problem(secured.ask("GET", "/bookings", ben)) == (422, "invalid-request")


def test_an_organiser_sees_who_booked_and_who_waits(secured: Secured) -> None:
    """Through the gateway's handling of paths and queries."""
    event_id, olga = secured.opens(), secured.token(**ORGANISER)
    for user in ("anna", "ben", "cleo"):
        secured.ask("POST", "/book", secured.token(sub=user), {"userId": user, "eventId": event_id})
    assert event_id in {one["eventId"] for one in secured.ask("GET", "/events?limit=100", olga).json()["events"]}
    booked = secured.ask("GET", f"/events/{event_id}/bookings?status=CONFIRMED", olga).json()
    assert [one["userId"] for one in booked["bookings"]] == ["anna"]
    first = secured.ask("GET", f"/events/{event_id}/waiting-list?limit=1", olga).json()
    second = secured.ask("GET", f"/events/{event_id}/waiting-list?limit=1&cursor={first['nextCursor']}", olga).json()
    assert [one["userId"] for page in (first, second) for one in page["entries"]] == ["ben", "cleo"]
    assert second["nextCursor"] is None


def test_only_organisers_listen_and_as_long_as_their_token_is_valid(shown: Secured) -> None:
    """Announcements name users. A web page uses fetch, which can send the token; EventSource cannot."""
    assert_unauthorized(shown.ask("GET", listeners.PATH))
    assert_unauthorized(shown.ask("GET", f"{listeners.PATH}?token=x"))
    buyer = {"authorization": f"Bearer {shown.token(sub='ada')}", "origin": OURS}
    assert shown.client.get(listeners.PATH, headers=buyer).status_code == 403
    bearer = {"authorization": f"Bearer {shown.token(**ORGANISER)}", "origin": OURS}
    with shown.client.stream("GET", listeners.PATH, headers=bearer) as answer:
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == OURS
    soon = {"authorization": f"Bearer {shown.token(**ORGANISER, exp=int(time.time()) + 3)}"}
    with listening(shown.office.url, place=None, **soon) as events:
        assert list(events) == [], "it ends with its token; the client signs in again, and goes on where it was"
    assert_unauthorized(shown.client.get(listeners.PATH, headers=soon))


# ---------------------------------------------------------------- what is shown to everybody


def test_a_public_status_needs_no_token_and_shows_no_user(shown: Secured) -> None:
    """A public route ignores tokens: a valid one allows no more than an invalid one."""
    event_id = shown.opens()
    annas = shown.token(sub="anna", email="anna")
    assert shown.ask("POST", "/book", annas, {"userId": "anna", "eventId": event_id}).status_code == 201
    for token in (None, "nonsense", annas):
        assert shown.ask("GET", f"/status/{event_id}", token).json()["availableTickets"] == 0
        refused = shown.ask("GET", f"/status/{event_id}?userId=anna", token)
        assert problem(refused) == (403, "not-signed-in")


def test_the_address_of_a_booking_works_with_a_public_status(shown: Secured) -> None:
    """It shows the position. Its route checks tokens, unlike that of the status."""
    event_id = shown.opens()

    def books(user: str) -> tuple[str, httpx.Response]:
        token = shown.token(sub="5f0c", email=user)
        return token, shown.ask("POST", "/book", token, {"userId": user, "eventId": event_id})

    books("first")
    token, booked = books("anna")
    [found] = shown.ask("GET", booked.headers["location"], token).json()["bookings"]
    assert (found["status"], found["position"]) == ("WAITING", 1)
    assert_unauthorized(shown.ask("GET", booked.headers["location"]))


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route != ("GET", "/status/{eventId}")])
def test_a_public_status_opens_no_other_route(shown: Secured, method: str, path: str) -> None:
    """The parameter concerns only that route."""
    assert_unauthorized(shown.ask(method, path, body={}))


def test_a_function_without_an_authorizer_refuses_every_caller() -> None:
    """A route without an authorizer by mistake, or a made-up payload, has no claims: secure by default."""
    request = {"userId": "anna", "eventId": "any"}
    for function, body in (
        (functions.initialize.app, CONCERT), (functions.book.app, request), (functions.cancel.app, request),
    ):  # fmt: skip
        assert_problem(call(function, body, verified=False), 403, "not-signed-in")
    answer = call(functions.change.app, CONCERT, event_id="any", verified=False)
    assert_problem(answer, 403, "not-signed-in")
    for function in (functions.status.app, functions.event_bookings.app, functions.waiting_list.app):
        answer = call(function, event_id="any", query={"userId": "anna"}, verified=False)
        assert_problem(answer, 403, "not-signed-in")
    for function in (functions.bookings.app, functions.events.app):
        assert_problem(call(function, query={"userId": "anna"}, verified=False), 403, "not-signed-in")


# ---------------------------------------------------------------- pages of other origins


def _preflight(secured: Secured, origin: str) -> httpx.Response:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    return secured.client.options("/book", headers=headers)


def test_a_page_of_an_allowed_origin_may_call(shown: Secured) -> None:
    """The browser's preflight has no token. Then the page may read the response, even an error."""
    asked = _preflight(shown, OURS)
    assert (asked.status_code, asked.content) == (204, b"")
    assert asked.headers["access-control-allow-origin"] == OURS
    assert asked.headers["access-control-allow-methods"] == "GET,PATCH,POST"
    assert (
        asked.headers["access-control-allow-headers"]
        == "authorization,cache-control,content-type,idempotency-key,if-match"
    )
    assert asked.headers["access-control-max-age"] == "600"
    for answer in (shown.ask("GET", "/status/any", origin=OURS), shown.ask("POST", "/book", body={}, origin=OURS)):
        assert answer.headers["access-control-allow-origin"] == OURS
        assert answer.headers["access-control-expose-headers"] == "etag,location,retry-after"
        assert answer.headers["vary"] == "origin"


@pytest.mark.parametrize("origin", [THEIRS, f"{OURS}.elsewhere.example", f"{OURS}:8443", "null", "http://localhost"])
def test_a_page_of_another_origin_may_not_read_responses(shown: Secured, origin: str) -> None:
    """Its browser blocks the response."""
    for answer in (_preflight(shown, origin), shown.ask("GET", "/status/any", origin=origin)):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_without_origins_no_page_may_call(secured: Secured) -> None:
    """The default: an HTTP API without CORS has no route for OPTIONS."""
    assert _preflight(secured, OURS).status_code == 404
    answer = secured.ask("GET", "/status/any", secured.token(sub="anna"), origin=OURS)
    assert not [name for name in answer.headers if name.startswith("access-control-")]
