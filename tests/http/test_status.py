"""A status may be a second old: how a function caches an event's counts, and what it says about them."""

import re
from datetime import datetime, timedelta

import pytest

from harness.gateway import Response
from harness.meter import metered
from harness.office import Event, Office, clock_ahead
from shared import runtime
from shared.booking.counts import AGE_S_MAX
from shared.model import TICKETS_PER_LANE

LANES = 2
TICKETS = LANES * TICKETS_PER_LANE
COUNTING = 1 + LANES  # read units: the event and its lanes
PUBLIC, PRIVATE = "public, max-age=1", "private, no-store"


class Clocks:
    """A function's two clocks, which move only when a test says so."""

    time_s = monotonic_s = 1_000.0

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.time_s += seconds
        self.monotonic_s += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Give the functions two clocks that stand still."""
    clocks = Clocks()
    monkeypatch.setattr(runtime.current, "time_s", lambda: clocks.time_s)
    monkeypatch.setattr(runtime.current, "monotonic_s", lambda: clocks.monotonic_s)
    return clocks


@pytest.fixture
def event(office: Office) -> Event:
    """Return an event of several lanes, whose status was just read."""
    opened = office.opens(tickets=TICKETS)
    opened.status()
    return opened


def _booked(response: Response) -> int:
    booked: int = response.json["bookedTickets"]
    return booked


def test_a_function_counts_an_event_once_a_second(event: Event, clocks: Clocks) -> None:
    """Whoever looks within the second gets the same counts, at no cost to the tables."""
    first = event.status()
    event.books("anna")
    clocks.pass_s(AGE_S_MAX)
    with metered() as meter:
        again = [event.status_again() for _ in range(20)]
    assert (meter.requests, {one.text for one in again}) == ([], {first.text})
    clocks.pass_s(0.001)
    with metered() as meter:
        assert _booked(event.status_again()) == 1
        assert _booked(event.status_again()) == 1
    assert (meter.requests, meter.read_units) == (["BatchGetItem"], COUNTING)


def test_as_of_is_before_the_count(event: Event) -> None:
    """So every change that was acknowledged before is in it; cached counts keep theirs."""
    event.books("anna")
    with clock_ahead(7):
        seen, until = event.status(), runtime.current.now()
    as_of = datetime.fromisoformat(seen.json["asOf"])
    assert timedelta(0) <= datetime.fromisoformat(until) - as_of < timedelta(seconds=7)
    assert event.status_again().json["asOf"] == seen.json["asOf"]


def test_a_users_own_booking_is_never_cached(event: Event, clocks: Clocks) -> None:
    """It takes one request to read, and the counts beside it are those of the second."""
    before = event.status()
    booking = event.book("anna").json
    with metered() as meter:
        seen = event.status_again("anna").json
    assert (meter.requests, meter.read_units) == (["BatchGetItem"], 1)
    assert seen == before.json | {"booking": booking}
    event.cancels("anna")
    assert event.status_again("anna").json["booking"]["status"] == "CANCELLED"
    assert event.status_again("ben").json == before.json | {"booking": None}


def test_a_user_who_waits_is_told_their_position_now(office: Office, clocks: Clocks) -> None:
    """Although the counts are those of the second."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben", "carla"):
        event.books(user)
    waiting = event.status().json["waitingListCount"]
    event.cancels("ben")
    seen = event.status_again("carla").json
    assert (seen["booking"]["position"], seen["waitingListCount"], waiting) == (1, 2, 2)


def test_no_cache_makes_a_new_count_once_a_second(event: Event, clocks: Clocks) -> None:
    """It takes no token to ask for one, so asking again and again must cost the tables nothing."""
    event.status()
    event.books("anna")
    assert _booked(event.status_again()) == 0
    with metered() as meter:
        forced = event.status_again(cache_control="no-cache")
        event.books("ben")
        again = [event.status_again(cache_control="no-cache") for _ in range(20)]
    assert (_booked(forced), {one.text for one in again}) == (1, {forced.text})
    assert meter.requests.count("BatchGetItem") == 1
    assert event.status_again().text == forced.text  # the others get it, too
    clocks.pass_s(AGE_S_MAX + 0.001)
    assert _booked(event.status_again(cache_control="no-cache")) == 2


@pytest.mark.parametrize("sent", ["no-cache", "No-Cache", "max-age=0, no-cache", "no-cache,no-store"])
def test_no_cache_is_read_as_http_says(event: Event, clocks: Clocks, sent: str) -> None:
    """In any case, and among other directives."""
    event.status()
    event.books("anna")
    assert _booked(event.status_again(cache_control="x-no-cache, no-store")) == 0
    assert _booked(event.status_again(cache_control=sent)) == 1


def test_a_function_that_was_frozen_counts_again(event: Event, clocks: Clocks) -> None:
    """Lambda may stop the monotonic clock with the function."""
    event.status()
    event.books("anna")
    clocks.time_s += 60
    assert _booked(event.status_again()) == 1


def test_a_clock_that_is_set_back_keeps_no_counts(event: Event, clocks: Clocks) -> None:
    """Else they would be shown until it has caught up."""
    event.status()
    event.books("anna")
    clocks.time_s -= 3_600
    assert _booked(event.status_again()) == 1
    clocks.time_s -= 0.5
    clocks.monotonic_s += AGE_S_MAX + 0.001
    event.books("ben")
    assert _booked(event.status_again()) == 2


def test_counts_of_two_events_are_not_mixed_up(office: Office, event: Event, clocks: Clocks) -> None:
    """A function has those of many events."""
    other = office.opens(tickets=7)
    event.status()
    assert other.status_again().json["totalTickets"] == 7
    assert event.status_again().json["totalTickets"] == TICKETS


def test_caches_may_keep_the_counts_for_a_second_and_no_booking(event: Event) -> None:
    """The counts are not secret, a booking is."""
    assert event.status().headers["cache-control"] == PUBLIC
    assert event.status_again(cache_control="no-cache").headers["cache-control"] == PUBLIC
    assert event.status_again("anna").headers["cache-control"] == PRIVATE


def test_no_two_counts_have_the_same_tag(event: Event, clocks: Clocks) -> None:
    """Else a cache that asks by tag would show old counts as new. The tag still names the revision, for If-Match."""
    old = event.status().headers["etag"]
    event.books("anna")
    new = event.status().headers["etag"]
    assert old != new
    assert re.fullmatch(r'"0\.\d{17}"', new)
    assert event.change(if_match=old, name="The encore").status == 200
    assert event.change(if_match=old, name="Another").status == 412
    assert event.change(if_match=event.status().headers["etag"], name="Another").status == 200
