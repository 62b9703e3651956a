"""Who may do what, over HTTP, with `python -m local --auth`: tokens, users, organisers, shops, and pages of others."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
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
import functions.event_bookings.app
import functions.events.app
import functions.initialize.app
import functions.status.app
import functions.waiting_list.app
from harness.gateway import Response, call
from harness.running import RunningOffice, running
from local import issuer
from local.template import load
from tests.http.test_contract import assert_problem

CONCERT = {"name": "The concert", "totalTickets": 1}
ORGANISER = {"sub": "olga", "cognito:groups": ["organiser", "staff"]}
OURS, THEIRS = "https://tickets.example", "https://elsewhere.example"
PUBLIC = {"/openapi.json", "/docs", "/docs/", "/health", "/", "/web/{version}/{file}", "/web/{version}/vendor/{file}"}
ROUTES = sorted({(route.method, route.path) for route in load().routes if route.path not in PUBLIC})

Make = Callable[["Secured", dict[str, Any]], str]


class Secured:
    """An office that asks for tokens, and the file of its issuer."""

    def __init__(self, office: RunningOffice, file: Path) -> None:
        self.office = office
        self.file = file
        kept = json.loads(file.read_text())
        self.issuer, self.key = kept["issuer"], RSAKey.import_key(kept["key"])

    def ask(
        self, method: str, path: str, token: str | None = None, body: Any = None, origin: str | None = None
    ) -> httpx.Response:
        """Send a request."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        if origin is not None:
            headers["origin"] = origin
        return httpx.request(method, f"{self.office.url}{path}", json=body, headers=headers)

    def token(self, **claims: Any) -> str:
        """Have a token signed by the issuer."""
        return issuer.token(self.file, claims)

    def opens(self, **more: Any) -> str:
        """Open an event with one ticket; return its id."""
        answer = self.ask("POST", "/initialize", self.token(**ORGANISER), {**CONCERT, **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["eventId"])

    def log(self) -> list[dict[str, Any]]:
        """Return the lines that the functions have logged."""
        lines = (self.file.parent / "logs" / "worker-1.log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def claims(self, **claims: Any) -> dict[str, Any]:
        """Return the claims of a good token."""
        now = int(time.time())
        return {"iss": self.issuer, "aud": issuer.AUDIENCE, "iat": now, "exp": now + 60, "sub": "anna", **claims}

    def header(self, **header: Any) -> dict[str, Any]:
        """Return the header of a good token."""
        return {"alg": "RS256", "kid": self.key.kid, **header}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Yield an office with the defaults of the template."""
    data = tmp_path_factory.mktemp("secured")
    with running(data, 1, "--auth") as office:
        yield Secured(office, data / issuer.FILE)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Yield an office whose events are shown to everybody, whose users have other names, and which a page may call."""
    data = tmp_path_factory.mktemp("shown")
    chosen = {"PublicStatus": "true", "UserClaim": "email", "CorsOrigins": f"http://localhost:5173,{OURS}"}
    parameters = [word for name, value in chosen.items() for word in ("--parameter", f"{name}={value}")]
    with running(data, 1, "--auth", *parameters) as office:
        yield Secured(office, data / issuer.FILE)


def assert_unauthorized(answer: httpx.Response) -> None:
    """Assert the answer of API Gateway itself."""
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
    assert answer.headers["www-authenticate"] == "Bearer"


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of an error of the office."""
    as_called = Response(answer.status_code, dict(answer.headers), answer.text)
    return answer.status_code, str(assert_problem(as_called, answer.status_code, answer.json()["code"])["code"])


# ---------------------------------------------------------------- the token


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_route_is_answered_without_a_token(secured: Secured, method: str, path: str) -> None:
    """Secure by default, whatever the request is; only what describes the API is public."""
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
    """Take the public key, which everybody has, for the secret of HS256; by hand, for the library refuses to."""
    signed = f"{_part(secured.header(alg='HS256'))}.{_part(good)}"
    signature = hmac.digest(secured.key.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{_base64url(signature)}"


def _by_another_key(secured: Secured, good: dict[str, Any]) -> str:
    return jwt.encode(secured.header(), good, RSAKey.generate_key(2048))


def _by_an_unknown_key(secured: Secured, good: dict[str, Any]) -> str:
    key = RSAKey.generate_key(2048, auto_kid=True)
    return jwt.encode(secured.header(kid=key.kid), good, key)


def _with_its_own_key(secured: Secured, good: dict[str, Any]) -> str:
    """Bring the key along in the header, as RFC 7515 allows to those who trust it."""
    key = RSAKey.generate_key(2048)
    public = {name: value for name, value in key.as_dict(private=False).items() if name in {"kty", "n", "e"}}
    return _sign(key, {"alg": "RS256", "kid": secured.key.kid, "jwk": public}, good)


def _without_kid(secured: Secured, good: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256"}, good, secured.key)


def _altered(secured: Secured, good: dict[str, Any]) -> str:
    """Put other claims between a good header and a good signature."""
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
    """Sign what the library would refuse to write."""
    signed = f"{_part(header)}.{_part(claims)}"
    signature: bytes = key.private_key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())  # type: ignore[union-attr]
    return f"{signed}.{_base64url(signature)}"


REFUSED: dict[str, Make] = {
    "expired": _signed(exp=int(time.time()) - 1),
    "expires as text": _signed(exp="2099-01-01"),
    "never expires": _without("exp"),
    "not yet valid": _signed(nbf=int(time.time()) + 600),
    "issued in the future": _signed(iat=int(time.time()) + 600),
    "for another audience": _signed(aud="another-office"),
    "for other audiences": _signed(aud=["another-office", "a-third"]),
    "for nobody": _without("aud"),
    "for another client": _by_client("another-office"),
    "for another audience by our client": _signed(aud="another-office", client_id=issuer.AUDIENCE),
    "of another issuer": _signed(iss="https://issuer.example"),
    "of no issuer": _without("iss"),
    "alg none": _unsigned,
    "HS256 by the public key": _by_public_key,
    "by another key": _by_another_key,
    "by an unknown key": _by_an_unknown_key,
    "with its own key": _with_its_own_key,
    "without kid": _without_kid,
    "altered": _altered,
    "cut": _cut,
    "a subject that is no text": _signed(sub=["anna"]),
    "no token": _text("anna"),
    "three parts of nothing": _text(".."),
    "three parts of something": _text("e30.e30.e30"),
    "long": _text("a" * 9_000 + ".b.c"),
    "not ASCII": _text("\xfc.\xfc.\xfc"),
}
GOOD: dict[str, Make] = {
    "as it is": _signed(),
    "for several audiences": _signed(aud=["another-office", issuer.AUDIENCE]),
    "for the client": _by_client(issuer.AUDIENCE),
    "for us by another client": _signed(client_id="another-application"),
    "signed by hand": lambda secured, good: _sign(secured.key, secured.header(), good),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_token_that_is_not_right_is_refused(secured: Secured, name: str) -> None:
    """By the gateway: no function sees the request."""
    token = REFUSED[name](secured, secured.claims())
    headers = [(b"authorization", b"Bearer " + token.encode("latin-1"))]
    assert_unauthorized(httpx.get(f"{secured.office.url}/status/any?userId=anna", headers=headers))


@pytest.mark.parametrize("name", GOOD)
def test_a_token_that_is_right_is_taken(secured: Secured, name: str) -> None:
    """The control of the test above: the same request, the same claims."""
    token = GOOD[name](secured, secured.claims())
    assert problem(secured.ask("GET", "/status/any?userId=anna", token)) == (404, "event-not-found")


def test_a_token_stands_alone_or_behind_bearer(secured: Secured) -> None:
    """And it stands there once."""
    token, url = secured.token(sub="anna"), f"{secured.office.url}/status/any"
    for header in (token, f"Bearer {token}", f"bearer {token}"):
        assert httpx.get(url, headers={"authorization": header}).status_code == 404
    for header in ("", "Bearer", f"Basic {token}", f"Bearer  {token}x", f"{token},{token}"):
        assert_unauthorized(httpx.get(url, headers={"authorization": header}))
    twice = [("authorization", f"Bearer {token}"), ("authorization", f"Bearer {token}")]
    assert_unauthorized(httpx.get(url, headers=twice))


# ---------------------------------------------------------------- buyers


def test_a_buyer_acts_for_themself_only(secured: Secured) -> None:
    """Another's ticket is neither bought, nor seen, nor cancelled; the event is as before."""
    event_id = secured.opens()
    anna, ben = secured.token(sub="anna"), secured.token(sub="ben")
    annas = {"userId": "anna", "eventId": event_id}
    assert problem(secured.ask("POST", "/book", ben, annas)) == (403, "not-your-booking")
    assert secured.ask("GET", f"/status/{event_id}", ben).json()["availableTickets"] == 1
    assert secured.ask("POST", "/book", anna, annas).status_code == 201
    assert problem(secured.ask("POST", "/cancel", ben, annas)) == (403, "not-your-booking")
    assert problem(secured.ask("GET", f"/status/{event_id}?userId=anna", ben)) == (403, "not-your-booking")
    seen = secured.ask("GET", f"/status/{event_id}?userId=anna", anna).json()
    assert (seen["availableTickets"], seen["booking"]["status"]) == (0, "CONFIRMED")
    assert secured.ask("POST", "/cancel", anna, annas).json()["was"] == "CONFIRMED"


@pytest.mark.parametrize("claims", [{}, {"sub": ""}, {"sub": "Anna"}, {"sub": "anna "}, {"email": "anna", "sub": "x"}])
def test_a_user_is_who_the_claim_says_to_the_letter(secured: Secured, claims: dict[str, str]) -> None:
    """No claim, an empty one, another one: nobody is anna."""
    request = {"userId": "anna", "eventId": "any"}
    assert problem(secured.ask("POST", "/book", secured.token(**claims), request)) == (403, "not-your-booking")


def test_a_user_whose_id_is_a_number_may_write_it_as_one(secured: Secured) -> None:
    """As the original contract had it."""
    request = {"userId": 7, "eventId": "any"}
    assert problem(secured.ask("POST", "/book", secured.token(sub="7"), request)) == (404, "event-not-found")


def test_the_claim_that_names_the_user_is_a_parameter(shown: Secured) -> None:
    """UserClaim says email here."""
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


@pytest.mark.parametrize(
    "claims",
    [
        {"cognito:groups": ["organiser"]},
        {"cognito:groups": ["staff", "organiser"]},
        {"groups": ["organiser"]},
        {"scope": "openid organiser"},
        {"scope": "ticket-office/organiser"},
        {"scp": ["organiser"]},
    ],
)
def test_the_group_or_the_scope_makes_an_organiser(secured: Secured, claims: dict[str, Any]) -> None:
    """People have a group, programs a scope; each issuer has its own claim for them."""
    assert secured.ask("POST", "/initialize", secured.token(sub="olga", **claims), CONCERT).status_code == 201


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"cognito:groups": []},
        {"cognito:groups": ["organisers", "Organiser", "no-organiser"]},
        {"cognito:groups": {"organiser": True}},
        {"cognito:groups": [["organiser"]]},
        {"cognito:groups": True},
        {"cognito:groups": ["fan organiser"]},
        {"groups": ["fan organiser", "staff"]},
        {"groups": "fan organiser"},
        {"groups": None},
        {"scp": ["read organiser"]},
        {"group": ["organiser"]},
        {"scope": "organiser:read other/organiser"},
        {"scope": "ticket-office"},
        {"role": "organiser"},
        {"sub": "organiser", "name": "organiser"},
    ],
)
def test_nothing_else_makes_an_organiser(secured: Secured, claims: dict[str, Any]) -> None:
    """A buyer opens no event and changes none, and is told so before the body is looked at."""
    token = secured.token(**{"sub": "anna", **claims})
    for body in (CONCERT, {}):
        assert problem(secured.ask("POST", "/initialize", token, body)) == (403, "organisers-only")
        assert problem(secured.ask("PATCH", "/events/any", token, body)) == (403, "organisers-only")


def test_an_organiser_changes_an_event(secured: Secured) -> None:
    """With a token, and nobody without."""
    event_id, change = secured.opens(), {"name": "The encore"}
    assert secured.ask("PATCH", f"/events/{event_id}", None, change).status_code == 401
    answer = secured.ask("PATCH", f"/events/{event_id}", secured.token(**ORGANISER), change)
    assert (answer.status_code, answer.json()["name"]) == (200, "The encore")


def test_only_an_organiser_cancels_an_event(secured: Secured) -> None:
    """A buyer may cancel their booking, not the concert."""
    organiser = secured.token(**ORGANISER)
    event_id = secured.ask("POST", "/initialize", organiser, CONCERT).json()["eventId"]
    refused = secured.ask("POST", f"/events/{event_id}/cancel", secured.token(sub="anna"))
    assert problem(refused) == (403, "organisers-only")
    assert "cancelledAt" not in secured.ask("GET", f"/status/{event_id}", organiser).json()
    assert secured.ask("POST", f"/events/{event_id}/cancel", organiser).status_code == 202


def test_an_organiser_looks_at_any_booking_and_does_not_book_for_others(secured: Secured) -> None:
    """That takes a shop."""
    event_id, olga = secured.opens(), secured.token(**ORGANISER)
    annas = {"userId": "anna", "eventId": event_id}
    assert problem(secured.ask("POST", "/book", olga, annas)) == (403, "not-your-booking")
    secured.ask("POST", "/book", secured.token(sub="anna"), annas)
    assert secured.ask("GET", f"/status/{event_id}?userId=anna", olga).json()["booking"]["status"] == "CONFIRMED"


ORGANISERS_LISTS = ["/events", "/events/any/bookings", "/events/any/waiting-list"]


@pytest.mark.parametrize("path", ORGANISERS_LISTS)
def test_who_comes_is_for_organisers_to_know(secured: Secured, path: str) -> None:
    """Buyers are told so before the parameters are looked at, and before they learn which events there are."""
    for query in ("", "?limit=0", "?userId=anna"):
        refused = secured.ask("GET", f"{path}{query}", secured.token(sub="anna"))
        assert problem(refused) == (403, "organisers-only")
    assert secured.ask("GET", path, secured.token(**ORGANISER)).status_code in (200, 404)


def test_a_buyer_lists_their_own_claims_only(secured: Secured) -> None:
    """An organiser those of anybody."""
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
    """By the gateway's own way of paths and queries."""
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


# ---------------------------------------------------------------- shops


@pytest.fixture
def shop(secured: Secured) -> str:
    """Return a token as a shop's program gets it: with a scope and a client, and no user."""
    return secured.token(**issuer.shop("till-1"))


def _rows(secured: Secured, event_id: str) -> dict[str, dict[str, Any]]:
    """Return the rows of the organiser's list, by user."""
    listed = secured.ask("GET", f"/events/{event_id}/bookings", secured.token(**ORGANISER)).json()["bookings"]
    return {row["userId"]: row for row in listed}


def test_a_shop_sells_to_a_guest(secured: Secured, shop: str) -> None:
    """It holds, reads, confirms and cancels for a user who has no account."""
    event_id = secured.opens(holdSeconds=600)
    guest = {"userId": "guest@example.org", "eventId": event_id}
    held = secured.ask("POST", "/book", shop, guest)
    assert (held.status_code, held.json()["status"]) == (201, "HELD")
    for path in (held.headers["location"], "/bookings?userId=guest%40example.org"):
        [found] = secured.ask("GET", path, shop).json()["bookings"]
        assert found["bookingId"] == held.json()["bookingId"]
    seen = secured.ask("GET", f"/status/{event_id}?userId=guest%40example.org", shop).json()
    assert seen["booking"]["status"] == "HELD"

    wanted = {**guest, "bookingId": held.json()["bookingId"], "reference": "pi_1"}
    confirmed = secured.ask("POST", "/confirm", shop, wanted)
    assert (confirmed.status_code, confirmed.json()["reference"]) == (200, "pi_1")
    cancelled = secured.ask("POST", "/cancel", shop, guest).json()
    assert (cancelled["was"], cancelled["cancelledBy"]) == ("CONFIRMED", "shop")


@pytest.mark.parametrize(
    "claims",
    [
        {"client_id": "till-1", "scope": "ticket-office/shop"},
        {"scope": "openid shop"},
        {"scp": ["shop"]},
        {"sub": "clerk", "cognito:groups": ["shop"]},
        {"sub": "clerk", "groups": ["staff", "shop"]},
    ],
)
def test_the_group_or_the_scope_makes_a_shop(secured: Secured, claims: dict[str, Any]) -> None:
    """Clerks of a box office have a group, programs a scope, and possibly no user."""
    request = {"userId": "guest", "eventId": "any"}
    assert problem(secured.ask("POST", "/book", secured.token(**claims), request)) == (404, "event-not-found")


@pytest.mark.parametrize(
    "claims",
    [
        {"cognito:groups": ["shops", "Shop", "fan shop"]},
        {"scope": "shop:read other/shop"},
        {"scope": "ticket-office"},
        {"role": "shop"},
        {"client_id": "shop"},
        {"scope": "ticket-office/organiser"},
    ],
)
def test_nothing_else_makes_a_shop(secured: Secured, claims: dict[str, Any]) -> None:
    """An organiser is no shop either: organisers do not book or confirm for others."""
    token = secured.token(**{"sub": "clerk", **claims})
    guest = {"userId": "guest", "eventId": "any"}
    assert problem(secured.ask("POST", "/book", token, guest)) == (403, "not-your-booking")
    confirmation = {**guest, "bookingId": "any"}
    assert problem(secured.ask("POST", "/confirm", token, confirmation)) == (403, "not-your-booking")


def test_a_shop_is_no_organiser(secured: Secured, shop: str) -> None:
    """It opens, changes and cancels no event, and does not read an organiser's lists."""
    event_id = secured.opens()
    requests = [
        ("POST", "/initialize", CONCERT),
        ("PATCH", f"/events/{event_id}", {"totalTickets": 5}),
        ("POST", f"/events/{event_id}/cancel", None),
        *(("GET", path.replace("any", event_id), None) for path in ORGANISERS_LISTS),
    ]
    for method, path, body in requests:
        assert problem(secured.ask(method, path, shop, body)) == (403, "organisers-only"), path


@pytest.mark.parametrize("confirmed_by", ["shop", "buyer"])
def test_a_buyer_confirms_only_where_the_event_says_so(secured: Secured, shop: str, confirmed_by: str) -> None:
    """By default only the shop knows who has paid. A buyer never confirms for another; the shop always may."""
    event_id = secured.opens(holdSeconds=600, confirmedBy=confirmed_by, totalTickets=2)
    anna, ben = secured.token(sub="anna"), secured.token(sub="ben")
    wanted = {"userId": "anna", "eventId": event_id}
    wanted["bookingId"] = secured.ask("POST", "/book", anna, wanted).json()["bookingId"]
    assert problem(secured.ask("POST", "/confirm", ben, wanted)) == (403, "not-your-booking")
    answer = secured.ask("POST", "/confirm", anna, wanted)
    if confirmed_by == "buyer":
        assert answer.json()["status"] == "CONFIRMED"
    else:
        assert problem(answer) == (403, "shop-only")
    assert secured.ask("POST", "/confirm", shop, wanted).json()["status"] == "CONFIRMED"
    assert _rows(secured, event_id)["anna"]["confirmedBy"] == confirmed_by


def test_an_organiser_cancels_and_reads_for_a_buyer_but_does_not_confirm(secured: Secured) -> None:
    """The booking says that it was not the buyer who cancelled."""
    event_id, olga = secured.opens(holdSeconds=600), secured.token(**ORGANISER)
    annas = {"userId": "anna", "eventId": event_id}
    held = secured.ask("POST", "/book", secured.token(sub="anna"), annas).json()
    wanted = {**annas, "bookingId": held["bookingId"]}
    assert problem(secured.ask("POST", "/confirm", olga, wanted)) == (403, "not-your-booking")
    cancelled = secured.ask("POST", "/cancel", olga, wanted).json()
    assert (cancelled["was"], cancelled["cancelledBy"]) == ("HELD", "organiser")


def test_the_booking_and_the_log_record_who_acted(secured: Secured, shop: str) -> None:
    """The booking names the role. The log also names the caller, if it is not the user."""
    event_id = secured.opens(holdSeconds=600, totalTickets=2)
    guest, anna = {"userId": "guest", "eventId": event_id}, {"userId": "anna", "eventId": event_id}
    guest["bookingId"] = secured.ask("POST", "/book", shop, dict(guest)).json()["bookingId"]
    assert secured.ask("POST", "/confirm", shop, guest).status_code == 200
    assert secured.ask("POST", "/book", secured.token(sub="anna"), anna).status_code == 201
    assert secured.ask("POST", "/cancel", secured.token(**ORGANISER), anna).status_code == 200
    assert secured.ask("POST", "/cancel", shop, guest).status_code == 200

    rows, roles = _rows(secured, event_id), ("bookedBy", "confirmedBy", "cancelledBy")
    assert [rows["guest"][role] for role in roles] == ["shop", "shop", "shop"]
    assert [rows["anna"][role] for role in roles] == ["buyer", None, "organiser"]
    logged = [line for line in secured.log() if line.get("event_id") == event_id and "by" in line]
    assert [(line["user_id"], line["by"], line.get("caller")) for line in logged] == [
        ("guest", "shop", "till-1"),
        ("guest", "shop", "till-1"),
        ("anna", "buyer", None),
        ("anna", "organiser", "olga"),
        ("guest", "shop", "till-1"),
    ]


# ---------------------------------------------------------------- what is shown to everybody


def test_a_status_that_is_public_takes_no_token_and_names_nobody(shown: Secured) -> None:
    """No token is looked at on a public route: a good one opens no more than a bad one."""
    event_id = shown.opens()
    annas = shown.token(sub="anna", email="anna")
    assert shown.ask("POST", "/book", annas, {"userId": "anna", "eventId": event_id}).status_code == 201
    for token in (None, "nonsense", annas):
        assert shown.ask("GET", f"/status/{event_id}", token).json()["availableTickets"] == 0
        refused = shown.ask("GET", f"/status/{event_id}?userId=anna", token)
        assert problem(refused) == (403, "not-signed-in")


def test_the_link_of_a_booking_is_good_where_the_status_is_public(shown: Secured) -> None:
    """With the position of who waits: its route looks at tokens, as that of the status does not."""
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
def test_no_other_route_is_public_then(shown: Secured, method: str, path: str) -> None:
    """The parameter is about that one."""
    assert_unauthorized(shown.ask(method, path, body={}))


def test_a_function_without_an_authorizer_before_it_lets_nobody_in() -> None:
    """A route that was left open by mistake, or a payload of somebody's own, has no claims: secure by default."""
    request = {"userId": "anna", "eventId": "any"}
    for function, body in (
        (functions.initialize.app, CONCERT),
        (functions.book.app, request),
        (functions.cancel.app, request),
    ):
        assert_problem(call(function, body, verified=False), 403, "not-signed-in")
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
    return httpx.options(f"{secured.office.url}/book", headers=headers)


def test_a_page_of_an_allowed_origin_may_call(shown: Secured) -> None:
    """The browser asks first, without a token; then the answer may be read, an error as well."""
    asked = _preflight(shown, OURS)
    assert (asked.status_code, asked.content) == (204, b"")
    assert asked.headers["access-control-allow-origin"] == OURS
    assert asked.headers["access-control-allow-methods"] == "GET,PATCH,POST"
    assert asked.headers["access-control-allow-headers"] == "authorization,content-type,idempotency-key,if-match"
    assert asked.headers["access-control-max-age"] == "600"
    for answer in (shown.ask("GET", "/status/any", origin=OURS), shown.ask("POST", "/book", body={}, origin=OURS)):
        assert answer.headers["access-control-allow-origin"] == OURS
        assert answer.headers["access-control-expose-headers"] == "etag,location,retry-after"
        assert answer.headers["vary"] == "origin"


@pytest.mark.parametrize("origin", [THEIRS, f"{OURS}.elsewhere.example", f"{OURS}:8443", "null", "http://localhost"])
def test_a_page_of_another_origin_is_told_nothing(shown: Secured, origin: str) -> None:
    """Its browser then keeps the answer from it."""
    for answer in (_preflight(shown, origin), shown.ask("GET", "/status/any", origin=origin)):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_without_origins_no_page_may_call(secured: Secured) -> None:
    """The default: an HTTP API without CORS has no route for OPTIONS."""
    assert _preflight(secured, OURS).status_code == 404
    answer = secured.ask("GET", "/status/any", secured.token(sub="anna"), origin=OURS)
    assert not [name for name in answer.headers if name.startswith("access-control-")]
