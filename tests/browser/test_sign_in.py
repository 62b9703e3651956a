"""Signing in on the page with --auth, by authorization code with PKCE through the issuer of this machine."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from harness.running import RunningOffice, running
from local import issuer
from tests.browser.test_docs import answered, opened
from tests.browser.visitor import WAIT_MS_MAX, Visitor, visiting


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of the office."""
    return tmp_path_factory.mktemp("office")


@pytest.fixture(scope="module")
def office(data: Path) -> Iterator[RunningOffice]:
    """Yield an office that requires tokens."""
    with running(data, 1, "--auth") as office:
        yield office


def _sign_in(visitor: Visitor, data: Path, name: str, role: str = "a buyer") -> None:
    """Sign in from where the visitor is."""
    visitor.press("Sign in")
    _fill_in(visitor, name, issuer.password(data / issuer.FILE), role)
    expect(visitor.page.get_by_role("button", name="Sign out")).to_be_visible()


def _fill_in(visitor: Visitor, name: str, password: str, role: str) -> None:
    visitor.page.get_by_label("Name", exact=True).fill(name)
    visitor.page.get_by_label("Password").fill(password)
    visitor.page.get_by_label("I am").select_option(role)
    visitor.press("Sign in")


def test_a_wrong_password_signs_nobody_in(browser: Browser, office: RunningOffice) -> None:
    """The form says so, and keeps the name."""
    with visiting(browser, office.url) as anna:
        anna.go()
        anna.press("Sign in")
        _fill_in(anna, "anna <b>", "a guess", "a buyer")
        expect(anna.page.get_by_role("alert")).to_have_text("The password is wrong.")
        expect(anna.page.get_by_label("Name", exact=True)).to_have_value("anna <b>")
        anna.is_accessible()


def test_an_organiser_and_a_buyer_sign_in_and_may_do_what_the_api_lets_them(
    browser: Browser, office: RunningOffice, data: Path
) -> None:
    """Olga opens an event; Anna follows its link, signs in where she is, and books. She sees nothing of organisers."""
    with visiting(browser, office.url) as olga, visiting(browser, office.url) as anna:
        olga.go("#/o/new")
        olga.sees("This part is for organisers.")
        _sign_in(olga, data, "olga", "an organiser")
        olga.page.get_by_label("Name", exact=True).fill("By token")
        olga.page.get_by_label("Tickets", exact=True).fill("1")
        olga.press("Open the event")
        olga.sees("Nothing yet.")
        event_id = olga.page.url.rpartition("/")[2]

        anna.go(f"#/e/{event_id}")
        anna.sees("Sign in to see this.")
        anna.is_accessible()
        _sign_in(anna, data, "anna <b>")
        assert re.search(rf"/#/e/{event_id}$", anna.page.url), "back where she was, without the code"
        anna.press("Get a ticket")
        anna.sees("You have a ticket")
        olga.sees("1 ticket booked")
        expect(anna.page.get_by_role("link", name="Organise")).to_have_count(0)
        anna.go("#/o")
        anna.sees("This part is for organisers.")
        anna.go()
        anna.sees("By token")
        anna.sees("Have a link?")
        assert anna.requests("/events") == []
        anna.press("Sign out")
        anna.sees("Sign in to see this.")
        assert [one for one in anna.complaints + olga.complaints if "401" not in one] == []


def test_the_door_lets_in_who_shows_a_ticket_and_sees_no_list(
    browser: Browser, office: RunningOffice, data: Path
) -> None:
    """With the scope `door` alone: name and booking are typed or come from a scanner. A buyer is told to stay out."""

    def headers(claims: dict[str, Any]) -> dict[str, str]:
        return {"Authorization": f"Bearer {issuer.token(data / issuer.FILE, claims)}"}

    opened = httpx.post(
        f"{office.url}/initialize", json={"name": "By ticket", "totalTickets": 1},
        headers=headers(issuer.user("olga", is_organiser=True)),
    )  # fmt: skip
    own = {"userId": "anna", "eventId": opened.json()["eventId"]}
    booking = httpx.post(f"{office.url}/book", json=own, headers=headers(issuer.user("anna"))).json()
    with visiting(browser, office.url) as dana, visiting(browser, office.url) as anna:
        token = issuer.token(data / issuer.FILE, issuer.door())
        dana.page.add_init_script(f"sessionStorage.setItem('office:token', {json.dumps(token)})")
        dana.go(f"#/d/{own['eventId']}")
        dana.page.get_by_label("Name on the ticket").fill("anna")
        dana.page.get_by_label("Booking").fill(booking["bookingId"])
        dana.is_accessible()
        dana.press("Let in")
        dana.sees("1 of 1 ticket let in")
        expect(dana.page.locator(".result.in")).to_contain_text("anna")
        assert not [one for one in dana.asked if "/bookings" in one.url]
        assert dana.complaints == []
        anna.go()
        _sign_in(anna, data, "anna")
        anna.go(f"#/d/{own['eventId']}")
        anna.sees("This part is for the people at the door.")
        anna.is_accessible()


def _authorize(office: RunningOffice, **changed: str) -> httpx.Response:
    asked = {
        "client_id": "ticket-office", "response_type": "code", "redirect_uri": f"{office.url}/", "state": "s",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "S256",
    }  # fmt: skip
    form = {"user": "anna", "password": issuer.password(Path(changed.pop("file"))), "role": "organiser"}
    return httpx.post(f"{office.url}/local/issuer/authorize", params=asked | changed, data=form)


def test_a_code_is_worth_a_token_only_with_its_verifier_and_address(office: RunningOffice, data: Path) -> None:
    """The example of RFC 7636, appendix B; a code itself is no token."""
    file = str(data / issuer.FILE)
    answer = _authorize(office, file=file)
    code = httpx.URL(answer.headers["location"]).params["code"]
    right = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": f"{office.url}/",
        "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    }  # fmt: skip

    def token(**changed: str) -> httpx.Response:
        return httpx.post(f"{office.url}/local/issuer/token", data=right | changed)

    assert [token(**{name: "wrong"}).status_code for name in ("code", "redirect_uri", "code_verifier")] == [400] * 3
    got = token().json()["access_token"]
    assert token(code=got).status_code == 400, "a token is no code"
    statuses = [
        httpx.get(f"{office.url}/events", headers={"Authorization": f"Bearer {one}"}).status_code for one in (got, code)
    ]
    assert statuses == [200, 401]


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": "http://127.0.0.1:9/"},
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
    ],
    ids=str,
)
def test_codes_are_sent_only_to_the_office_itself_and_only_with_a_challenge(
    office: RunningOffice, data: Path, changed: dict[str, str]
) -> None:
    """No other page on this machine gets one, even with the password."""
    answer = _authorize(office, file=str(data / issuer.FILE), **changed)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})


def test_a_token_that_the_page_of_the_description_is_given_goes_along(
    browser: Browser, office: RunningOffice, data: Path
) -> None:
    """Authorize: without it 401, with it 201."""
    docs = opened(browser, office.url)
    operation = docs.operation("POST /initialize")
    expect(answered(operation).locator(".response-col_status")).to_contain_text("401", timeout=WAIT_MS_MAX)
    docs.authorize(issuer.token(data / issuer.FILE, issuer.user("olga", is_organiser=True)))
    expect(answered(operation).locator(".response-col_status")).to_contain_text("201", timeout=WAIT_MS_MAX)
