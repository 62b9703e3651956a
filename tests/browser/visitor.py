"""A visitor of the page /, with a real browser."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, expect

from harness.running import PROJECT

WAIT_MS_MAX = 20_000
Look = tuple[tuple[int, int], str]  # width and height of the screen in pixels, and its color scheme
WIDE: Look = ((1280, 900), "light")
NARROW: Look = ((390, 844), "dark")
AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"
WRITES_PICTURES = "PICTURES" in os.environ  # `make pictures` sets it
_RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],  # of what passes, an example is enough
}


@dataclass
class Visitor:
    """The page as one person sees it, and what its browser did: which addresses it asked, what it complained of."""

    page: Page
    office: str
    look: Look = WIDE
    both_looks: bool = False
    asked: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str = "") -> None:
        """Open a view of the page, such as #/o."""
        self.page.goto(f"{self.office}/{path}")
        expect(self.page.get_by_role("main")).to_be_visible()
        expect(self.page.locator(".loading")).to_have_count(0)

    def is_named(self, name: str) -> None:
        """Give a name to an open office."""
        self.page.get_by_label("Your name or email address").fill(name)
        self.page.keyboard.press("Enter")

    def press(self, name: str, sure: bool = False) -> None:
        """Press a button; and again in the dialog that asks whether the visitor is sure."""
        self.page.get_by_role("button", name=name, exact=True).first.click()
        if sure:
            self.page.get_by_role("dialog").get_by_role("button", name=name, exact=True).click()

    def sees(self, text: str) -> Locator:
        """Wait until the main part shows a text; return its place."""
        found = self.page.get_by_role("main").get_by_text(text).first
        expect(found).to_be_visible()
        return found

    def requests(self, path: str) -> list[Request]:
        """Return the requests to a path so far."""
        return [request for request in self.asked if urlsplit(request.url).path == path]

    def is_accessible(self) -> None:
        """Assert that axe finds nothing wrong with what is shown, and that nothing sticks out; in both looks if set."""
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(AXE.read_text("utf-8"))
        for look in sorted({WIDE, NARROW}, key=lambda one: one == self.look):  # the visitor's own is the last
            if look == self.look or self.both_looks:
                self._looks(look)
                found = self.page.evaluate(f"() => axe.run({_RULES})")
                wrong = [f"{one['id']}: {node['html']}" for one in found["violations"] for node in one["nodes"]]
                assert wrong == [], (look, wrong)
                assert found["passes"], "axe has looked at something"
                assert self.page.evaluate("() => document.documentElement.scrollWidth") == look[0][0]

    def _looks(self, look: Look) -> None:
        """Turn the screen into another."""
        if self.both_looks:
            (width, height), scheme = look
            self.page.set_viewport_size({"width": width, "height": height})
            self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")

    def is_pictured(self, name: str) -> None:
        """Write what is shown to docs/, if pictures are wanted."""
        if WRITES_PICTURES:
            expect(self.page.locator(".messages p")).to_have_count(0)
            self.page.screenshot(path=PROJECT / "docs" / f"{name}.png")


def visitor(context: BrowserContext, office: str) -> Visitor:
    """Open a tab for a visitor."""
    page = context.new_page()
    page.set_default_timeout(WAIT_MS_MAX)
    found = Visitor(page, office)
    page.on("request", lambda request: found.asked.append(request))  # noqa: PLW0108 - playwright marks the function
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    return found


@contextmanager
def visiting(
    browser: Browser, office: str, look: Look = WIDE, *, both_looks: bool = False, language: str = "en-GB"
) -> Iterator[Visitor]:
    """Yield a visitor with a browser of their own, who uses it in one look; `is_accessible` may check both."""
    (width, height), scheme = look
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        locale=language,
        reduced_motion="reduce",  # drawing each step of a transition takes the processor from everything else
    )
    expect.set_options(timeout=WAIT_MS_MAX)
    found = visitor(context, office)
    found.look, found.both_looks = look, both_looks
    yield found
    context.close()


def runs_nothing_of_others(page: Page, complaints: list[str]) -> None:
    """Put a script and a request of others into a page; assert that its policy refuses both, and complains of them."""
    attack = """() => {
        const script = document.createElement("script");
        script.textContent = "window.attacked = true";
        document.body.append(script);
        return fetch("http://127.0.0.1:9/").then(() => "sent", () => "refused");
    }"""
    assert page.evaluate(attack) == "refused"
    assert page.evaluate("() => window.attacked") is None
    complained = " ".join(complaints)
    assert "script-src" in complained
    assert "connect-src" in complained
