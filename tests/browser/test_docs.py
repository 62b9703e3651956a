"""The page /docs in a real Chromium: it shows the API, sends a request, and contacts only the office."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from harness.running import RunningOffice
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


def opened(browser: Browser, url: str) -> Opened:
    """Open the page."""
    page = browser.new_page()
    page.set_default_timeout(WAIT_MS_MAX)
    found = Opened(page)
    page.on("request", lambda request: found.asked.append(request.url))
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.goto(f"{url}/docs")
    return found


def answered(operation: Locator) -> Locator:
    """Send the request; return the answer that came."""
    operation.get_by_role("button", name="Execute").click()
    return operation.locator(".live-responses-table .response")


@pytest.fixture(scope="module")
def docs(browser: Browser, office: RunningOffice) -> Opened:
    """Return the page of the next two tests: it takes a second to load."""
    return opened(browser, office.url)


def test_the_page_opens_an_event(docs: Opened, office: RunningOffice) -> None:
    """Try it out, Execute, 201: the event is there. No complaint of the browser, nothing from elsewhere."""
    answer = answered(docs.operation("POST /initialize"))
    expect(answer.locator(".response-col_status")).to_contain_text("201", timeout=WAIT_MS_MAX)
    event_id = re.search(r'"eventId": "([\w-]+)"', answer.inner_text())
    assert event_id
    assert httpx.get(f"{office.url}/status/{event_id[1]}").json()["availableTickets"] == 500
    assert {urlsplit(url).netloc for url in docs.asked if not url.startswith("data:")} == {urlsplit(office.url).netloc}
    assert docs.complaints == []


def test_the_page_shows_every_route(docs: Opened) -> None:
    """With its summary, and no word of an error in the description."""
    for operation in operations(document()).values():
        shown = docs.page.locator(f"#operations-{operation['tags'][0]}-{operation['operationId']}")
        expect(shown.locator(".opblock-summary-description")).to_have_text(operation["summary"], timeout=WAIT_MS_MAX)
    assert docs.page.locator(".errors-wrapper").count() == 0


def test_the_page_fits_a_phone_and_begins_with_opening_an_event(browser: Browser, office: RunningOffice) -> None:
    """On a narrow screen the page is as wide as the screen, and a new organiser finds the first step first."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS_MAX)
    page.goto(f"{office.url}/docs")
    expect(page.locator(".opblock-summary-path").first).to_have_text("/initialize", timeout=WAIT_MS_MAX)
    assert page.evaluate("() => document.documentElement.clientWidth") == 390
    context.close()


def test_what_is_put_into_the_page_does_not_run(browser: Browser, office: RunningOffice) -> None:
    """The control of the Content-Security-Policy: scripts and requests of others are refused, and complained of."""
    docs = opened(browser, office.url)
    expect(docs.page.locator(".information-container")).to_be_visible(timeout=WAIT_MS_MAX)
    runs_nothing_of_others(docs.page, docs.complaints)


def test_an_open_office_has_no_issuer(office: RunningOffice) -> None:
    """It signs nobody in."""
    assert httpx.get(f"{office.url}/local/issuer/authorize").status_code == 404
