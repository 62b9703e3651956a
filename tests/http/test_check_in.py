"""Check-in: a confirmed booking is used once, and counted (D1)."""

from typing import Any

import pytest

import functions.check_in.app
import functions.status.app
from harness.crowd import Crowd, Exchange, in_flight, open_event
from harness.gateway import call, door, organiser, shop
from harness.office import Office, clock_ahead
from harness.running import RunningOffice

DOORS = 8
DRAINED_S_MAX = 20.0


def _code(response: Any) -> tuple[int, str]:
    return response.status, response.json.get("code", "")


def test_a_booking_is_checked_in_once(office: Office) -> None:
    """D1: a repetition shows the first moment, and that it is one; status and lists have it, too."""
    event = office.opens(2)
    booking_id = event.book("anna").json["bookingId"]
    event.books("ben")
    first, again = event.check_in("anna", booking_id), event.check_in("anna", booking_id)
    assert (first.status, first.json["again"], first.json["status"]) == (200, False, "CONFIRMED")
    assert (again.status, again.json) == (200, first.json | {"again": True})
    assert event.status("anna").json["booking"]["checkedInAt"] == first.json["checkedInAt"]
    assert event.status().json["checkedInTickets"] == 1
    rows = {row["userId"]: row for row in event.bookings().json["bookings"]}
    assert (rows["anna"]["checkedInAt"], rows["anna"]["checkedInBy"]) == (first.json["checkedInAt"], "door")
    assert (rows["ben"]["checkedInAt"], rows["ben"]["checkedInBy"]) == (None, None)


@pytest.mark.parametrize(
    ("claims", "sees"),
    [(organiser("olga"), True), (shop(), True), (door(), True), ({"sub": "ben"}, False)],
    ids=["organiser", "shop", "door", "buyer"],
)
def test_only_those_who_may_check_in_see_the_count(office: Office, claims: dict[str, str], *, sees: bool) -> None:
    """A buyer's status has the public counts only."""
    event = office.opens(1)
    event.check_in("anna", event.book("anna").json["bookingId"])
    response = call(functions.status.app, event_id=event.event_id, claims=claims)
    assert ("checkedInTickets" in response.json) is sees


@pytest.mark.parametrize(
    ("claims", "by"), [(organiser("olga"), "organiser"), (shop(), "shop"), (door(), "door")], ids=str
)
def test_it_is_recorded_who_checked_in(office: Office, claims: dict[str, str], by: str) -> None:
    """The organiser's list says it."""
    event = office.opens(1)
    body = {"userId": "anna", "eventId": event.event_id, "bookingId": event.book("anna").json["bookingId"]}
    assert call(functions.check_in.app, body, claims=claims).status == 200
    [row] = event.bookings().json["bookings"]
    assert row["checkedInBy"] == by


def test_buyers_may_not_check_in(office: Office) -> None:
    """Not even themselves."""
    event = office.opens(1)
    body = {"userId": "anna", "eventId": event.event_id, "bookingId": event.book("anna").json["bookingId"]}
    assert _code(call(functions.check_in.app, body, claims={"sub": "anna"})) == (403, "door-only")
    assert _code(call(functions.check_in.app, body, verified=False)) == (403, "not-signed-in")
    assert "checkedInTickets" not in event.status().json


def test_only_a_confirmed_booking_is_checked_in(office: Office) -> None:
    """Each other booking is refused by what it is, and so is a booking that is not the user's current one."""
    event = office.opens(2, holdSeconds=60, offerSeconds=60)
    ids = {user: event.book(user).json["bookingId"] for user in ("anna", "ben", "cleo")}
    assert _code(event.check_in("anna", ids["anna"])) == (409, "not-confirmed")
    assert _code(event.check_in("cleo", ids["cleo"])) == (409, "not-confirmed")
    assert _code(event.check_in("anna", ids["ben"])) == (409, "booking-changed")
    assert _code(event.check_in("dora", ids["ben"])) == (404, "booking-not-found")
    event.cancels("cleo")
    assert _code(event.check_in("cleo", ids["cleo"])) == (409, "booking-cancelled")
    assert event.confirm("anna", ids["anna"]).status == 200
    with clock_ahead(3_600):
        assert event.expires() == {"ben"}
    assert _code(event.check_in("ben", ids["ben"])) == (409, "hold-expired")
    assert event.check_in("anna", ids["anna"]).json["again"] is False


def test_a_booking_that_was_checked_in_is_not_cancelled(office: Office) -> None:
    """D1: its tickets were used; nobody else gets them."""
    event = office.opens(1)
    booking_id = event.book("anna").json["bookingId"]
    event.books("ben")
    checked_in_at = event.check_in("anna", booking_id).json["checkedInAt"]
    for response in (event.cancel("anna"), event.cancel("anna", booking_id)):
        assert (*_code(response), response.json["checkedInAt"]) == (409, "checked-in", checked_in_at)
    assert event.status("ben").json["booking"]["status"] == "WAITING"


def test_a_cancelled_event_lets_nobody_in_and_ends_all_bookings(office: Office) -> None:
    """O3, D1: its cancellation ends bookings that were checked in, too; the count stays."""
    event = office.opens(2)
    ids = {user: event.book(user).json["bookingId"] for user in ("anna", "ben")}
    event.check_in("anna", ids["anna"])
    event.cancels_event()
    assert _code(event.check_in("ben", ids["ben"])) == (409, "event-cancelled")
    assert event.check_in("anna", ids["anna"]).json["again"] is True
    event.follows()
    assert _code(event.check_in("anna", ids["anna"])) == (409, "booking-cancelled")
    assert event.cancel("anna").json["cancelledBy"] == "event"
    assert event.status().json["checkedInTickets"] == 1
    event.check(drained=True)


def test_of_doors_that_check_in_at_once_one_is_the_first(running_office: RunningOffice) -> None:
    """D1: over HTTP, and while the buyers cancel; a booking is used or cancelled, never both."""
    users = [f"user-{n}" for n in range(12)]
    event_id = open_event(running_office.url, tickets=len(users))
    booked, _ = in_flight(running_office.url, event_id, Crowd.book, users)
    ids = {one.user: one.answer["bookingId"] for one in booked}
    asked = [f"{user} {n}" for user in users for n in range(DOORS)]

    async def act(crowd: Crowd, what: str) -> Exchange:
        user, number = what.split()
        return await (crowd.check_in(user, ids[user]) if number != "0" else crowd.cancel(user, ids[user]))

    done, crowd = in_flight(running_office.url, event_id, act, asked)
    assert crowd.faults == []
    found = running_office.check_drained(event_id, DRAINED_S_MAX)
    for stored in found.bookings:
        firsts = [one for one in done if one.user == stored["userId"] and one.answer.get("again") is False]
        assert len(firsts) == (stored["status"] == "CONFIRMED")
        assert ("checkedInAt" in stored) == (stored["status"] == "CONFIRMED")
