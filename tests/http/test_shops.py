"""What a shop may do for its buyers, over HTTP, with `python -m local --auth`: a program with a scope and no user."""

import json
from typing import Any

import pytest

from local import issuer
from tests.http.secured import CONCERT, ORGANISER, Secured, problem
from tests.http.test_authorization import ORGANISERS_LISTS


@pytest.fixture
def shop(secured: Secured) -> str:
    """Return a token as a shop's program gets it: with a scope and a client, and no user."""
    return secured.token(**issuer.shop("till-1"))


def _log(secured: Secured) -> list[dict[str, Any]]:
    """Return the lines that the functions have logged."""
    lines = (secured.file.parent / "logs" / "worker-1.log").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


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


def test_the_group_or_the_scope_makes_a_shop(secured: Secured) -> None:
    """Clerks of a box office have a group, programs a scope, and possibly no user."""
    request = {"userId": "guest", "eventId": "any"}
    for claims in (
        {"client_id": "till-1", "scope": "ticket-office/shop"},
        {"sub": "clerk", "cognito:groups": ["shop"]},
    ):
        assert problem(secured.ask("POST", "/book", secured.token(**claims), request)) == (404, "event-not-found")


def test_nothing_else_makes_a_shop(secured: Secured) -> None:
    """An organiser is no shop either: organisers do not book or confirm for others."""
    guest = {"userId": "guest", "eventId": "any"}
    for claims in ({"role": "shop", "client_id": "shop"}, {"scope": "ticket-office/organiser other/shop"}):
        token = secured.token(sub="clerk", **claims)
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
    logged = [line for line in _log(secured) if line.get("event_id") == event_id and "by" in line]
    assert [(line["user_id"], line["by"], line.get("caller")) for line in logged] == [
        ("guest", "shop", "till-1"),
        ("guest", "shop", "till-1"),
        ("anna", "buyer", None),
        ("anna", "organiser", "olga"),
        ("guest", "shop", "till-1"),
    ]
