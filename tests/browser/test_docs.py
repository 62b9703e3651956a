"""The page /docs in a real Chromium: it shows the API, sends a request, and contacts only the office."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from harness.running import RunningOffice, running
from local import issuer
from openapi.document import operations
from tests.browser.visitor import WAIT_MS_MAX, runs_nothing_of_others
from tests.description.reading import document


@dataclass
class Opened:
    """The page, and what its browser did: whom it asked, what it complained of."""

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def operation(self, route: str) -> Locator:
        """Unfold an operation and begin to try it out."""
        its = operations(document())[route]
        found = self.page.locator(f"#operations-{its['tags'][0]}-{its['operationId']}")
        found.locator(".opblock-summary-control").click()
        found.get_by_role("button", name="Try it out").click()
        return found

    def authorize(self, token: str) -> None:
        """Give a token by the button above the routes."""
        self.page.get_by_role("button", name="Authorize").first.click()
        dialog = self.page.locator(".modal-ux")
        dialog.get_by_role("textbox").fill(token)
        dialog.get_by_role("button", name="Apply credentials").click()
        dialog.get_by_role("button", name="Close").click()


def _opened(browser: Browser, url: str) -> Opened:
    page = browser.new_page()
    page.set_default_timeout(WAIT_MS_MAX)
    opened = Opened(page)
    page.on("request", lambda request: opened.asked.append(request.url))
    page.on("console", lambda message: opened.complaints.append(message.text))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.goto(f"{url}/docs")
    return opened


def _answered(operation: Locator) -> Locator:
    """Send the request; return the answer that came."""
    operation.get_by_role("button", name="Execute").click()
    return operation.locator(".live-responses-table .response")


@pytest.fixture(scope="module")
def office() -> Iterator[RunningOffice]:
    """Yield an open office."""
    with running(None, 1) as office:
        yield office


def test_the_page_opens_an_event(browser: Browser, office: RunningOffice) -> None:
    """Try it out, Execute, 201: the event is there. No complaint of the browser, nothing from elsewhere."""
    opened = _opened(browser, office.url)
    answer = _answered(opened.operation("POST /initialize"))
    expect(answer.locator(".response-col_status")).to_contain_text("201", timeout=WAIT_MS_MAX)
    event_id = re.search(r'"eventId": "([\w-]+)"', answer.inner_text())
    assert event_id
    assert httpx.get(f"{office.url}/status/{event_id[1]}").json()["availableTickets"] == 500
    assert {urlsplit(url).netloc for url in opened.asked if not url.startswith("data:")} == {
        urlsplit(office.url).netloc
    }
    assert opened.complaints == []


def test_the_page_fits_a_phone_and_begins_with_opening_an_event(browser: Browser, office: RunningOffice) -> None:
    """On a narrow screen the page is as wide as the screen, and a new organiser finds the first step first."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS_MAX)
    page.goto(f"{office.url}/docs")
    expect(page.locator(".opblock-summary-path").first).to_have_text("/initialize", timeout=WAIT_MS_MAX)
    assert page.evaluate("() => document.documentElement.clientWidth") == 390
    context.close()


def test_the_page_shows_every_route(browser: Browser, office: RunningOffice) -> None:
    """With its summary, and no word of an error in the description."""
    page = _opened(browser, office.url).page
    for operation in operations(document()).values():
        shown = page.locator(f"#operations-{operation['tags'][0]}-{operation['operationId']}")
        expect(shown.locator(".opblock-summary-description")).to_have_text(operation["summary"], timeout=WAIT_MS_MAX)
    assert page.locator(".errors-wrapper").count() == 0


def test_a_token_that_the_page_is_given_goes_along(browser: Browser, tmp_path: Path) -> None:
    """Authorize: without it 401, with it 201."""
    with running(tmp_path, 1, "--auth") as office:
        opened = _opened(browser, office.url)
        operation = opened.operation("POST /initialize")
        answer = _answered(operation)
        expect(answer.locator(".response-col_status")).to_contain_text("401", timeout=WAIT_MS_MAX)
        opened.authorize(issuer.token(tmp_path / issuer.FILE, {"sub": "olga", "cognito:groups": ["organiser"]}))
        answer = _answered(operation)
        expect(answer.locator(".response-col_status")).to_contain_text("201", timeout=WAIT_MS_MAX)


def test_what_is_put_into_the_page_does_not_run(browser: Browser, office: RunningOffice) -> None:
    """The control of the Content-Security-Policy: scripts and requests of others are refused, and complained of."""
    opened = _opened(browser, office.url)
    expect(opened.page.locator(".information-container")).to_be_visible(timeout=WAIT_MS_MAX)
    runs_nothing_of_others(opened.page, opened.complaints)
