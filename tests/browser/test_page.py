"""The page / in a real Chromium, on a real office: the stories of a buyer and of an organiser."""

import csv
import json
import re
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Response, Route, expect

from bench import record
from harness.running import PROJECT, RunningOffice, running
from shared.booking.counts import AGE_S_MAX
from tests.browser.visitor import NARROW, WIDE, WRITES_PICTURES, Visitor, runs_nothing_of_others, visiting, visitor

BYTES_MAX = 150_000  # of all files, compressed
REQUESTS_MAX = 16  # of a buyer's first visit
VISITS = 3 if WRITES_PICTURES else 1


@contextmanager
def _two(browser: Browser, office: RunningOffice) -> Iterator[tuple[Visitor, Visitor]]:
    """Yield two visitors, one at a wide and one at a narrow screen; what each sees is checked on both."""
    with (
        visiting(browser, office.url, WIDE, both_looks=True) as wide,
        visiting(browser, office.url, NARROW, both_looks=True) as narrow,
    ):
        yield wide, narrow


def _opened(office: RunningOffice, **terms: Any) -> str:
    """Open an event; return its id."""
    event = {"name": "Midsummer Night", "venue": "Old Harbour", "totalTickets": 1, **terms}
    return str(httpx.post(f"{office.url}/initialize", json=event).raise_for_status().json()["eventId"])


def _booked(office: RunningOffice, event_id: str, *users: str) -> None:
    for user in users:
        body = {"userId": user, "eventId": event_id}
        httpx.post(f"{office.url}/book", json=body).raise_for_status()


def _status(office: RunningOffice, event_id: str) -> dict[str, Any]:
    """Return the event with counts that have all that has been answered: cached ones may be a second old."""
    time.sleep(AGE_S_MAX)
    found: dict[str, Any] = httpx.get(f"{office.url}/status/{event_id}").json()
    return found


def test_a_newcomer_sells_out_an_event_and_returns_a_ticket_in_one_browser(browser: Browser) -> None:
    """From the first screen of an empty office, by what can be seen, and without another address or program."""
    with running(None, 1) as empty, visiting(browser, empty.url) as someone:
        someone.go()
        someone.sees("No event is open yet.")
        someone.is_accessible()
        someone.page.get_by_role("link", name="Open an event").click()
        someone.page.get_by_label("Name", exact=True).fill("Street party")
        someone.page.get_by_label("Tickets", exact=True).fill("1")
        someone.press("Open the event")
        message = someone.page.locator(".messages")
        expect(message).to_have_text("The event is open.")
        someone.page.get_by_role("link", name="Page for buyers").click()
        expect(message).to_be_empty(timeout=2000)  # it goes with its view, not after its time
        for name, button, seen in (
            ("anna", "Get a ticket", "You have a ticket"),
            ("ben", "Join the waiting list", "You are next."),
            ("anna", "Give back", "You have given this booking back."),
        ):
            someone.page.get_by_label("Your name or email address").fill(name)
            someone.press("Continue")
            someone.press(button, sure=button == "Give back")
            someone.sees(seen)
            someone.press("Change")
        someone.is_named("ben")
        someone.sees("You have a ticket")
        assert someone.complaints == []


def test_the_last_ticket_goes_from_one_buyer_to_the_next(browser: Browser, office: RunningOffice) -> None:
    """Anna books it, Ben joins the list, Anna gives it back, and Ben's page shows the ticket by itself."""
    event_id = _opened(office)
    with _two(browser, office) as (anna, ben):
        for visitor, name in ((anna, "anna"), (ben, "ben")):
            visitor.go(f"#/e/{event_id}")
            visitor.sees("1 ticket left of 1") if name == "anna" else visitor.sees("Sold out")
            visitor.is_accessible()
            visitor.is_named(name)
            visitor.press("Get a ticket" if name == "anna" else "Join the waiting list")
            visitor.sees("You have a ticket" if name == "anna" else "Your place in line")
            visitor.is_accessible()
        ben.sees("You are next.")
        ben.is_pictured("page-waiting-390")
        anna.sees("1 person is waiting")
        anna.press("Give back", sure=True)
        anna.sees("You have given this booking back.")
        ben.sees("You have a ticket")
        expect(ben.page.get_by_role("status")).to_contain_text("Your turn has come. The ticket is yours.")
        expect(ben.page).to_have_title("Midsummer Night · Ticket office")
        ben.press("Give back", sure=True)
        ben.sees("You have given this booking back.")
        ben.press("Change")
        expect(ben.page.get_by_role("status")).to_be_empty()  # what Ben was told is not for the next user
        ben.is_named("ben")
        ben.go()
        ben.sees("Given back")
        ben.is_accessible()
        assert anna.complaints == ben.complaints == []
    assert _status(office, event_id)["availableTickets"] == 1


def test_a_ticket_is_held_paid_given_back_and_offered_to_the_next_in_line(
    browser: Browser, office: RunningOffice
) -> None:
    """Both see how long they have; paying is a stand-in, and says so. The organiser sees what is held."""
    event_id = _opened(office, holdSeconds=600, offerSeconds=900)
    with _two(browser, office) as (ben, anna):
        anna.go(f"#/e/{event_id}")
        anna.is_named("anna")
        anna.press("Get a ticket")
        anna.sees("Reserved for you")
        expect(anna.page.locator(".clock")).to_have_text(re.compile(r"^(10:00|9:\d\d)$"))
        anna.sees("A stand-in for your shop's payment")
        anna.is_accessible()
        anna.is_pictured("page-held-390")
        ben.go(f"#/o/{event_id}")
        expect(ben.page.locator(".tile.held dd")).to_have_text("1")
        expect(ben.page.locator(".tile.booked dd")).to_have_text("0")
        ben.go(f"#/e/{event_id}")
        ben.is_named("ben")
        ben.press("Join the waiting list")
        ben.sees("You are next.")
        anna.press("Pay")
        anna.sees("You have a ticket")
        anna.press("Give back", sure=True)
        ben.sees("You have an offer until")
        ben.is_accessible()
        ben.press("Pay")
        ben.sees("You have a ticket")
        assert anna.complaints == ben.complaints == []


def test_a_hold_that_is_not_paid_ends_and_the_buyer_may_try_again(browser: Browser, office: RunningOffice) -> None:
    """The page counts down, takes the button away when the time is up, and learns of the end by itself."""
    event_id = _opened(office, holdSeconds=4, confirmedBy="buyer")
    with visiting(browser, office.url) as anna:
        anna.go(f"#/e/{event_id}")
        anna.is_named("anna")
        anna.press("Get a ticket")
        expect(anna.page.get_by_role("button", name="Confirm")).to_be_visible()
        anna.sees("The time is up. The tickets go on to the next in line.")
        expect(anna.page.get_by_role("button", name="Confirm")).to_have_count(0)
        anna.sees("The time for this reservation is up.")
        anna.press("Get a ticket")
        anna.press("Confirm")
        anna.sees("You have a ticket")
    assert _status(office, event_id)["bookedTickets"] == 1


def test_a_group_takes_what_is_left_gives_some_back_and_another_waits_for_it(
    browser: Browser, office: RunningOffice
) -> None:
    """Anna is told how many are left, Ben waits for several and then for fewer; each sees their own number."""
    event_id = _opened(office, totalTickets=5, ticketsPerBooking=4)
    with _two(browser, office) as (anna, ben):
        _booked(office, event_id, "carla", "dora")
        anna.go(f"#/e/{event_id}")
        anna.is_named("anna")
        for _ in range(3):
            anna.page.get_by_role("button", name="more").click()
        anna.sees("Fewer are fine, too")
        anna.is_accessible()
        anna.press("Get 4 tickets")
        anna.sees("Only 3 tickets are left.")
        anna.is_accessible()
        anna.press("Take 3")
        anna.sees("You have 3 tickets")

        ben.go(f"#/e/{event_id}")
        ben.is_named("ben")
        ben.page.get_by_label("Tickets", exact=True).fill("3")
        ben.page.get_by_label("Fewer are fine, too").check()
        ben.press("Join the waiting list")
        ben.sees("You wait for 3 tickets, or fewer, but not fewer than 1.")
        ben.page.get_by_text("Ask for fewer").click()
        ben.page.get_by_label("Tickets", exact=True).fill("2")
        ben.is_accessible()
        ben.press("Ask for 2")
        ben.sees("You wait for 2 tickets, or fewer, but not fewer than 1.")

        anna.page.get_by_text("Give some back").click()
        anna.page.get_by_label("Tickets to keep").fill("1")
        anna.is_accessible()
        anna.press("Give 2 tickets back")
        anna.sees("You have a ticket")
        ben.sees("You have 2 tickets")
        ben.go()
        ben.sees("2 tickets")
        ben.is_accessible()
        assert [one for one in anna.complaints if "409" not in one] == ben.complaints == []
    assert _status(office, event_id)["bookedTickets"] == 5


def test_those_behind_move_up_when_someone_leaves_the_list(browser: Browser, office: RunningOffice) -> None:
    """Ben, who is first, leaves. Cleo's page shows her new place by itself, and Ben may join again, at the end."""
    event_id = _opened(office)
    _booked(office, event_id, "anna", "ben", "cleo")
    with visiting(browser, office.url) as ben, visiting(browser, office.url) as cleo:
        for visitor, name, place in ((ben, "ben", "1"), (cleo, "cleo", "2")):
            visitor.go(f"#/e/{event_id}")
            visitor.is_named(name)
            expect(visitor.page.locator(".place")).to_have_text(place)
        ben.press("Leave the list", sure=True)
        ben.sees("You have left the waiting list.")
        ben.is_accessible()
        expect(cleo.page.locator(".place")).to_have_text("1")
        cleo.sees("You are next.")
        ben.press("Join the waiting list")
        expect(ben.page.locator(".place")).to_have_text("2")


def test_a_full_list_says_so_and_a_cancelled_event_shows_no_tickets(browser: Browser, office: RunningOffice) -> None:
    """A buyer is not offered what the office would refuse; a place that becomes free is offered again."""
    event_id = _opened(office, waitingListLimit=1)
    _booked(office, event_id, "anna", "ben")
    with visiting(browser, office.url) as cleo, visiting(browser, office.url) as ben:
        for visitor, name in ((cleo, "cleo"), (ben, "ben")):
            visitor.go(f"#/e/{event_id}")
            visitor.is_named(name)
        cleo.sees("The waiting list is full.")
        join = cleo.page.get_by_role("button", name="Join the waiting list")
        expect(join).to_have_count(0)
        cleo.is_accessible()
        ben.press("Leave the list", sure=True)
        expect(join).to_be_visible()
        httpx.post(f"{office.url}/events/{event_id}/cancel").raise_for_status()
        for visitor in (cleo, ben):
            visitor.sees("The event is cancelled.")
            expect(visitor.page.get_by_text("of 1")).to_have_count(0)
            visitor.is_accessible()
        ben.sees("You have left the waiting list.")
        cleo.press("Change")
        cleo.is_named("anna")
        cleo.sees("Your booking is cancelled with it.")
        cleo.go()
        expect(cleo.page.locator(".stub-row .pill").first).to_have_text("Cancelled")


def test_a_buyer_needs_no_mouse(browser: Browser, office: RunningOffice) -> None:
    """By keyboard alone: past the header, a name, a ticket, and its return after a second thought."""
    event_id = _opened(office)
    with visiting(browser, office.url) as anna:
        anna.go(f"#/e/{event_id}")
        keys = anna.page.keyboard

        def tab_to(name: str) -> None:
            for _ in range(10):
                keys.press("Tab")
                if anna.page.evaluate("() => document.activeElement.innerText.trim()") == name:
                    return
            pytest.fail(f"the keyboard does not reach {name}")

        tab_to("Skip to the content")
        keys.press("Enter")
        keys.press("Tab")
        keys.type("anna")
        keys.press("Enter")
        expect(anna.page.get_by_role("button", name="Get a ticket")).to_be_visible()
        tab_to("Get a ticket")
        keys.press("Enter")
        anna.sees("You have a ticket")
        expect(anna.page.locator(".mine")).to_be_focused()  # the button is gone
        for key in ("Escape", "Enter"):
            tab_to("Give back")
            keys.press("Enter")
            expect(anna.page.get_by_role("dialog")).to_be_visible()
            if key == "Enter":
                tab_to("Give back")
            keys.press(key)
            expect(anna.page.get_by_role("dialog")).to_be_hidden()
            if key == "Escape":
                anna.sees("You have a ticket")
        anna.sees("You have given this booking back.")


def test_a_second_release_is_on_sale_again_before_the_eyes_of_a_buyer(browser: Browser, office: RunningOffice) -> None:
    """The buyer who found it sold out sees the button change, and has a ticket without having waited."""
    event_id = _opened(office)
    _booked(office, event_id, "carla")
    httpx.post(f"{office.url}/book", json={"userId": "dora", "eventId": event_id}).raise_for_status()  # finds none
    with visiting(browser, office.url) as anna, visiting(browser, office.url) as olga:
        anna.go(f"#/e/{event_id}")
        anna.is_named("anna")
        anna.sees("Sold out")
        expect(anna.page.get_by_role("button", name="Join the waiting list")).to_be_visible()
        olga.go(f"#/o/{event_id}")
        olga.page.get_by_label("Tickets", exact=True).fill("5")
        olga.press("Save")
        olga.sees("on sale again")
        anna.sees("On sale")
        anna.press("Get a ticket")
        anna.sees("You have a ticket")


def test_an_event_is_opened_with_all_its_terms(browser: Browser, office: RunningOffice) -> None:
    """What the form asks for is what the office has; buyers see that it is not on sale yet, and for how long."""
    opens, closes = (f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%dT20:00:00}" for days in (100, 101))
    with visiting(browser, office.url) as olga:
        olga.go("#/o/new")
        for label, value in {
            "Name": "Far ahead", "Place": "New Harbour", "Tickets": "12", "Waiting list, at most": "7",
            "Sale opens": opens, "Sale closes": closes, "Tickets per booking, at most": "3",
            "Hold for payment, seconds": "600", "An offer lasts, seconds": "900",
        }.items():  # fmt: skip
            olga.page.get_by_label(label, exact=True).fill(value)
        olga.page.get_by_label("Who confirms").select_option("the buyer")
        olga.press("Open the event")
        olga.sees("Not yet on sale")
        event_id = olga.page.url.rpartition("/")[2]
        seconds = "(text) => new Date(text).toISOString()"
        times = {"opensAt": olga.page.evaluate(seconds, opens), "closesAt": olga.page.evaluate(seconds, closes)}
        assert _status(office, event_id).items() >= {
            "name": "Far ahead", "venue": "New Harbour", "totalTickets": 12, "waitingListLimit": 7,
            "ticketsPerBooking": 3, "holdSeconds": 600, "offerSeconds": 900, "confirmedBy": "buyer", **times,
        }.items()  # fmt: skip
        olga.page.get_by_role("link", name="Page for buyers").click()
        olga.is_named("anna")
        olga.sees("Opens in")
        expect(olga.page.locator(".clock")).to_have_text(re.compile(r"^\d+ days$"))
        expect(olga.page.get_by_role("button", name="Get")).to_have_count(0)
        olga.is_accessible()


def _exported(organiser: Visitor, path: Path) -> list[dict[str, str]]:
    """Let the page save the bookings; return the rows."""
    with organiser.page.expect_download() as download:
        organiser.press("Export bookings (CSV)")
    download.value.save_as(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_an_organiser_opens_watches_changes_exports_and_cancels_an_event(
    browser: Browser, office: RunningOffice, tmp_path: Path
) -> None:
    """Everything that the page offers to organisers, in the order of an event's life."""
    name = "Harbour Lights 390"
    with visiting(browser, office.url, both_looks=True) as olga:
        olga.go("#/o")
        olga.page.get_by_role("link", name="Open an event").click()
        olga.page.get_by_label("Name", exact=True).fill(name)
        olga.page.get_by_label("Tickets", exact=True).fill("3")
        olga.page.get_by_label("Tickets per booking, at most").fill("2")
        olga.is_accessible()
        olga.press("Open the event")
        olga.sees("Nothing yet.")
        event_id = olga.page.url.rpartition("/")[2]

        _booked(office, event_id, "=anna", "ben", "carla", "dora")
        expect(olga.page.get_by_role("img", name="3 / 3")).to_be_visible()
        olga.sees("1 person joined the list")
        olga.sees("sold out")
        expect(olga.page.get_by_role("img", name="Tickets booked a second").locator("canvas")).to_be_visible()
        olga.is_accessible()

        tickets = olga.page.get_by_label("Tickets", exact=True)
        tickets.fill("5")
        olga.press("Save")
        expect(olga.page.get_by_role("status")).to_contain_text("Saved.")
        expect(olga.page.locator(".tile.free dd")).to_have_text("1")
        expect(olga.page.locator(".tile.waiting dd")).to_have_text("0")
        tickets.fill("4")
        olga.press("Save")
        expect(olga.page.locator(".tile.free dd")).to_have_text("0")
        olga.sees("1 ticket taken off sale")
        tickets.fill("2")
        olga.press("Save")
        expect(olga.page.get_by_role("status")).to_contain_text("4 tickets are booked; the total cannot be less.")

        olga.press("Close the sale", sure=True)
        olga.sees("Sale closed")
        olga.press("Open the sale again")
        olga.sees("On sale")  # the raise gave more tickets than were waited for
        assert _status(office, event_id)["ticketsPerBooking"] == 2

        rows = _exported(olga, tmp_path / "bookings.csv")
        assert sorted(row["userId"] for row in rows) == ["'=anna", "ben", "carla", "dora"]
        assert {row["status"] for row in rows} == {"CONFIRMED"}

        olga.go("#/o")
        olga.page.get_by_label("Search by name or place").fill("nothing like it")
        olga.sees("No event has such a name.")
        olga.page.get_by_label("Search by name or place").fill(name[:-3].upper())
        olga.is_accessible()
        olga.page.get_by_role("link", name=name).click()
        olga.press("Cancel the event", sure=True)
        olga.sees("All bookings are cancelled.")
        olga.is_accessible()
        assert [one for one in olga.complaints if "409" not in one] == [], "Chromium reports the refused change"


def test_an_organiser_who_comes_later_sees_what_happened_before(browser: Browser, office: RunningOffice) -> None:
    """From the bookings, in the list and in the chart. If they are too many to read, the page says what it shows."""
    event_id = _opened(office, totalTickets=2, ticketsPerBooking=2)
    anna, ben = ({"userId": name, "eventId": event_id} for name in ("anna", "ben"))
    for user in (anna, ben):
        httpx.post(f"{office.url}/book", json={**user, "quantity": 2}).raise_for_status()
    httpx.post(f"{office.url}/cancel", json=anna).raise_for_status()
    with visiting(browser, office.url) as olga:
        olga.page.wait_for_timeout(1500)  # Ben has Anna's tickets
        olga.go(f"#/o/{event_id}")
        olga.sees("sold out")
        seen = Counter[str]()  # rows of the same second are added up
        rows = olga.page.locator(".happened li").all_inner_texts()
        for text in rows:
            number, what = re.fullmatch(r"[\d:]+ (?:(\d+) )?(.*)", text).groups()  # type: ignore[union-attr]
            seen[what] += int(number or 1)
        assert seen == {
            "tickets booked": 4, "tickets returned": 2, "person joined the list": 1, "person no longer waits": 1,
            "sold out": 1,
        }  # fmt: skip
        charted = """async ([module, path]) => {
            const { pastOf, ratesOf } = await import(module);
            const past = await pastOf(path, {});
            const at = Date.parse(past.at(-1).at) / 1000;
            return ratesOf(past, at - 60, at + 60)[1].reduce((sum, n) => sum + n, 0);
        }"""
        module = next(one.url for one in olga.asked if one.url.endswith("/past.js"))
        assert olga.page.evaluate(charted, [module, f"events/{event_id}"]) == 4

        status = _status(office, event_id)
        behind = {**status, "bookedTickets": 0, "asOf": status["createdAt"]}
        olga.page.route("**/status/**", lambda route: route.fulfill(json=behind))
        with olga.page.expect_response("**/status/**"):
            pass
        olga.page.wait_for_timeout(200)
        assert olga.page.locator(".happened li").all_inner_texts() == rows, "nothing was returned"
        olga.page.unroute("**/status/**")

        def endless(route: Route) -> None:
            route.fulfill(json={"bookings": [], "nextCursor": "more"})

        olga.page.route("**/bookings?*", endless)
        olga.page.reload()
        olga.sees("Nothing since you opened this page.")
        assert olga.complaints == []


def test_people_are_let_in_once(browser: Browser, office: RunningOffice) -> None:
    """By name or booking; who was let in is seen, who has no ticket is not found, and the count follows."""
    event_id = _opened(office, totalTickets=3)
    _booked(office, event_id, "anna", "annabel", "ben")
    with visiting(browser, office.url, NARROW, both_looks=True) as dana:
        dana.go(f"#/o/{event_id}")
        dana.page.get_by_role("link", name="Door").click()
        dana.sees("0 of 3 tickets let in")
        expect(dana.page.get_by_role("link", name="Organise")).to_have_attribute("aria-current", "page")
        guest = dana.page.get_by_label("Name or booking")
        guest.fill("ANN")
        expect(dana.page.locator(".guests button")).to_have_count(2)
        dana.is_accessible()
        dana.page.get_by_role("button", name="annabel").click()
        expect(dana.page.locator(".result.in")).to_contain_text("annabel")
        expect(guest).to_be_focused()
        dana.sees("1 of 3 tickets let in")
        dana.is_accessible()
        dana.is_pictured("page-door-390")
        guest.fill("bel")
        dana.sees("Nobody of that name has a ticket.")
        guest.fill("")
        dana.sees("Type the beginning of a name")  # annabel's verdict would be taken for this guest's
        guest.fill("annab")
        dana.sees("Already in since")
        guest.press("Enter")
        expect(dana.page.locator(".result.again")).to_contain_text("Already in since")
        dana.is_accessible()
        booking = httpx.get(f"{office.url}/bookings", params={"userId": "ben", "eventId": event_id}).json()
        guest.fill(booking["bookings"][0]["bookingId"][:13].upper())
        httpx.post(f"{office.url}/cancel", json={"userId": "ben", "eventId": event_id}).raise_for_status()
        dana.page.get_by_role("button", name="ben").click()
        expect(dana.page.locator(".result.no")).to_contain_text("No ticket: it was given back.")
        dana.is_accessible()
        guest.fill("nobody")
        dana.sees("Nobody of that name has a ticket.")
        assert [one for one in dana.complaints if "409" not in one] == []


def test_a_lost_response_at_the_door_is_no_second_visit(browser: Browser, office: RunningOffice) -> None:
    """The first try let the guest in, and only the second one is answered: `again`, by the page's own request."""
    event_id = _opened(office)
    _booked(office, event_id, "anna")
    lost = [True]

    def lose(route: Route) -> None:
        if lost.pop() if lost else False:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    with visiting(browser, office.url) as dana:
        dana.page.route("**/check-in", lose)
        dana.go(f"#/d/{event_id}")
        dana.page.get_by_label("Name or booking").fill("anna")
        dana.page.keyboard.press("Enter")
        expect(dana.page.locator(".result.in")).to_contain_text("Welcome")
        assert len(dana.requests("/check-in")) == 2


def test_a_change_does_not_overwrite_another_organisers(browser: Browser, office: RunningOffice) -> None:
    """The form keeps what is typed while the counts above it move, and names the revision that it shows."""
    event_id = _opened(office)
    with visiting(browser, office.url) as olga:
        olga.go(f"#/o/{event_id}")
        olga.press("Save")
        expect(olga.page.get_by_role("status")).to_contain_text("Nothing has changed.")
        olga.page.get_by_label("Place").fill("New Harbour")
        olga.page.wait_for_timeout(2000)  # the page is drawn anew each second
        httpx.patch(f"{office.url}/events/{event_id}", json={"totalTickets": 7}).raise_for_status()
        olga.press("Save")
        expect(olga.page.get_by_role("status")).to_contain_text("Another organiser has changed the event.")
        expect(olga.page.get_by_label("Tickets", exact=True)).to_have_value("7")
    assert _status(office, event_id)["venue"] == "Old Harbour"


# ---------------------------------------------------------------- when things go wrong


def test_a_lost_response_and_a_busy_office_cost_nobody_a_ticket(browser: Browser, office: RunningOffice) -> None:
    """P7: the same request goes out again, after the pause that the office asks for."""
    event_id = _opened(office, totalTickets=2)
    troubles = ["busy", "lost"]

    def trouble(route: Route) -> None:
        match troubles.pop() if troubles else "none":
            case "lost":
                route.fetch()  # the office has it, and the browser does not learn of it
                route.abort()
            case "busy":
                route.fulfill(status=503, headers={"Retry-After": "1"}, body="{}")
            case _:
                route.continue_()

    with visiting(browser, office.url) as anna:
        anna.page.route("**/book", trouble)
        anna.go(f"#/e/{event_id}")
        anna.is_named("anna")
        anna.press("Get a ticket")
        expect(anna.page.locator(".messages")).to_contain_text("Booked. The ticket is yours.")
        anna.sees("You have a ticket")
        assert len({request.post_data for request in anna.requests("/book")}) == 1
        assert len(anna.requests("/book")) == 3
    assert _status(office, event_id)["bookedTickets"] == 1


def test_a_double_click_sends_one_request(browser: Browser, office: RunningOffice) -> None:
    """The second click meets the first one's request."""
    event_id = _opened(office, totalTickets=2)
    with visiting(browser, office.url) as anna:
        anna.go(f"#/e/{event_id}")
        anna.is_named("anna")
        anna.page.get_by_role("button", name="Get a ticket").dblclick()
        anna.sees("You have a ticket")
        assert len(anna.requests("/book")) == 1


def test_a_closed_laptop_finishes_its_booking_when_it_is_opened(browser: Browser, office: RunningOffice) -> None:
    """The request that had no answer goes out again with the next visit, without a click."""
    event_id = _opened(office)
    with visiting(browser, office.url) as before:
        before.go(f"#/e/{event_id}")
        before.is_named("anna")
        expect(before.page.get_by_role("button", name="Get a ticket")).to_be_visible()
        before.page.context.set_offline(True)
        with before.page.expect_request("**/book"):
            before.press("Get a ticket")
        after = visitor(before.page.context, office.url)
        before.page.close()
        assert _status(office, event_id)["bookedTickets"] == 0, "the office has heard of nothing"
        after.page.context.set_offline(False)
        after.go(f"#/e/{event_id}")
        after.sees("You have a ticket")
    assert _status(office, event_id)["bookedTickets"] == 1


def test_a_read_that_is_older_than_an_answer_does_not_undo_it(browser: Browser, office: RunningOffice) -> None:
    """A slow response to a read, sent before the booking, arrives after it."""
    event_id = _opened(office)
    with visiting(browser, office.url) as anna:
        anna.go(f"#/e/{event_id}")
        anna.is_named("anna")
        expect(anna.page.get_by_role("button", name="Get a ticket")).to_be_visible()
        slow: list[Route] = []
        anna.page.route("**/bookings?*", lambda route: slow.append(route))  # noqa: PLW0108 - as in visitor.py
        for _ in range(150):  # a read comes within ten seconds
            if not slow:
                anna.page.wait_for_timeout(100)
        old = slow[0].fetch()
        anna.press("Get a ticket")
        anna.sees("You have a ticket")
        slow[0].fulfill(response=old)
        anna.page.wait_for_timeout(500)
        anna.sees("You have a ticket")


def test_an_office_that_is_away_is_asked_again_until_it_answers(browser: Browser, office: RunningOffice) -> None:
    """The page says so, keeps what it shows, and goes on by itself."""
    event_id = _opened(office)
    with visiting(browser, office.url) as anna:
        anna.go(f"#/e/{event_id}")
        anna.sees("1 ticket left of 1")
        anna.page.route("**/status/**", lambda route: route.abort())
        anna.sees("No answer from the office.")
        anna.sees("1 ticket left of 1")
        anna.page.unroute("**/status/**")
        _booked(office, event_id, "ben")
        anna.sees("0 tickets left of 1")


def test_availability_is_asked_for_at_most_once_a_second_and_not_while_hidden(
    browser: Browser, office: RunningOffice
) -> None:
    """Less often while nothing changes, and never by a tab in the background."""
    event_id = _opened(office)
    with visiting(browser, office.url) as anna:
        anna.go(f"#/e/{event_id}")
        began = time.monotonic()
        for name in ("b", "c", "d"):  # something changes all the time
            _booked(office, event_id, name)
            anna.page.wait_for_timeout(700)
        passed = time.monotonic() - began
        assert len(anna.requests(f"/status/{event_id}")) <= passed / 0.9 + 2
        anna.page.evaluate(
            """() => {
                Object.defineProperty(document, "hidden", { value: true, configurable: true });
                document.dispatchEvent(new Event("visibilitychange"));
            }"""
        )
        anna.page.wait_for_timeout(1500)  # what was on its way has ended
        seen = len(anna.requests(f"/status/{event_id}"))
        anna.page.wait_for_timeout(3000)
        assert len(anna.requests(f"/status/{event_id}")) == seen
        with anna.page.expect_request(f"**/status/{event_id}"):
            anna.page.evaluate(
                """() => {
                    delete document.hidden;
                    document.dispatchEvent(new Event("visibilitychange"));
                }"""
            )


# ---------------------------------------------------------------- what the page is made of


def _measured(browser: Browser, office: RunningOffice) -> dict[str, Any]:
    """Open the page of an event with an empty cache, some times; return what that takes."""
    event_id = _opened(office)
    interactive_ms = []
    sizes: dict[str, int] = {}

    def note(response: Response) -> None:
        sizes[response.url] = int(response.headers["content-length"])

    for _ in range(VISITS):
        sizes.clear()
        with visiting(browser, office.url) as anna:
            anna.page.on("response", note)
            anna.go(f"#/e/{event_id}")
            anna.sees("Your name or email address")
            interactive_ms.append(round(anna.page.evaluate("() => performance.now()")))
            assert anna.complaints == []
    files = {url: size for url, size in sizes.items() if "/status/" not in url}
    assert all(url.startswith(office.url) for url in files), "nothing comes from elsewhere"
    version = next(url.split("/web/")[1].split("/")[0] for url in files if "/web/" in url)
    folder = PROJECT / "web"
    names = [
        path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.suffix not in (".html", ".txt")
    ]
    with httpx.Client(base_url=office.url, headers={"Accept-Encoding": "gzip"}) as client:
        every = sum(_size(client, f"/web/{version}/{name}") for name in names)
    return {
        "machine": record.machine(),
        "requests": len(files),
        "bytes": sum(files.values()),
        "bytesOfAll": every,
        "interactiveMs": sorted(interactive_ms),
    }


def _size(client: httpx.Client, path: str) -> int:
    return int(client.get(path).raise_for_status().headers["content-length"])


def _table(found: dict[str, Any]) -> str:
    rows = [
        ["a buyer's first visit", f"{found['requests']} requests, {found['bytes'] / 1000:.0f} KB"],
        ["until a buyer can act, first visit", f"{statistics.median(found['interactiveMs']):.0f} ms"],
        ["all files of the page", f"{found['bytesOfAll'] / 1000:.0f} KB"],
    ]
    return f"\n{record.table(['what', 'figure'], rows)}\n\n{record.described(found['machine'])}.\n\n"


def test_the_page_is_small_and_loads_nothing_from_elsewhere(browser: Browser, office: RunningOffice) -> None:
    """All files together stay below the limit, and a buyer's first visit needs few of them. docs/page.md says so."""
    found = _measured(browser, office)
    page = PROJECT / "docs" / "page.md"
    if WRITES_PICTURES:
        record.write("page", found)
        page.write_text(record.put_between_marks(page.read_text("utf-8"), "tests/browser", _table(found)), "utf-8")
    assert found["requests"] <= REQUESTS_MAX
    assert found["bytesOfAll"] < BYTES_MAX
    written = record.read("page")
    assert _table(written) in page.read_text("utf-8")
    for name in ("requests", "bytes", "bytesOfAll"):
        assert found[name] == pytest.approx(written[name], rel=0.1), "`make pictures` measures again"


def test_the_vendored_files_are_what_make_vendor_copies(tmp_path: Path) -> None:
    """From the packages of package-lock.json: nobody has edited them here."""
    subprocess.run([PROJECT / "scripts" / "vendor", tmp_path], check=True)
    made, kept = ({path.name: path.read_bytes() for path in at.iterdir()} for at in (tmp_path, PROJECT / "web/vendor"))
    assert made == kept


def test_nothing_that_is_put_into_the_page_runs(browser: Browser, office: RunningOffice) -> None:
    """The control of the Content-Security-Policy: scripts and requests of others are refused, and complained of."""
    with visiting(browser, office.url) as anna:
        anna.go()
        runs_nothing_of_others(anna.page, anna.complaints)


def test_the_page_speaks_the_language_of_the_browser(browser: Browser, office: RunningOffice) -> None:
    """German and English say the same things; any other language gets English."""
    event_id = _opened(office)
    said = {"de-AT": "1 Karte frei von 1", "en-US": "1 ticket left of 1", "fr-FR": "1 ticket left of 1"}
    for language, text in said.items():
        with visiting(browser, office.url, language=language) as anna:
            anna.go(f"#/e/{event_id}")
            anna.sees(text)
            assert anna.page.evaluate("() => document.documentElement.lang") == ("de" if "de" in language else "en")
            module = next(one.url for one in anna.asked if one.url.endswith("/text.js"))
            keys = """async (module) => {
                const { languages } = await import(module);
                const keys = (one) => Object.entries(one).map(([key, value]) =>
                    [key, typeof value, typeof value === "object" ? keys(value) : ""]).sort();
                return Object.values(languages).map((one) => JSON.stringify(keys(one)));
            }"""
            assert len(set(anna.page.evaluate(keys, module))) == 1


def test_a_name_that_looks_like_html_is_shown_as_it_is(browser: Browser, office: RunningOffice) -> None:
    """Names come from people."""
    event_id = _opened(office, name="<img src=x onerror=alert(1)> & Söhne")
    with visiting(browser, office.url) as anna:
        anna.go(f"#/e/{event_id}")
        anna.sees("<img src=x onerror=alert(1)> & Söhne")
        anna.page.goto(f"{office.url}/#/e/{json.dumps(event_id)}")
        anna.sees("There is no such event.")
