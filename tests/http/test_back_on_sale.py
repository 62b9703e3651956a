"""Back on sale: a sold-out event with free tickets and nobody waiting sells directly again (P4, P5, P6)."""

import httpx

from harness.crowd import Crowd, by_status, in_flight, open_event
from harness.office import Event, Office
from harness.running import RunningOffice
from tests.conftest import LogLines

PROMOTED_WITHIN_S = 5.0


def _sold_out(office: Office, tickets: int = 1, **more: int) -> Event:
    """Open an event and sell it out: everyone has a ticket, and nobody waits."""
    event = office.opens(tickets, **more)
    for number in range(tickets):
        assert event.books(f"user-{number}") == 201
    assert event.books("late") == 202
    assert "soldOutAt" in event.status().json
    event.cancels("late")
    return event


def _has_place(event: Event, user: str) -> bool:
    [booking] = [one for one in event.check().bookings if one["userId"] == user]
    return "sequence" in booking


def test_a_second_release_is_sold_directly(office: Office) -> None:
    """201 without a place in the list, and the event is on sale: `soldOutAt` describes the present."""
    event = _sold_out(office, 2)
    answer = event.change(totalTickets=4)
    assert answer.status == 200
    assert "soldOutAt" not in answer.json
    assert "soldOutAt" not in event.status().json
    assert event.books("anna") == event.books("ben") == 201
    assert not _has_place(event, "anna")
    assert event.books("cleo") == 202
    assert "soldOutAt" in event.status().json
    assert event.check(drained=True).waiting == ["cleo"]


def test_waiting_users_get_a_second_release_first(office: Office) -> None:
    """P5: it is on sale once each of them has tickets."""
    event = _sold_out(office, 1)
    for user in ("anna", "ben"):
        event.books(user)
    assert "soldOutAt" in event.change(totalTickets=5).json
    event.follows()
    found = event.check(drained=True)
    assert ({"anna", "ben"} <= found.confirmed, found.tickets_left) == (True, 2)
    assert "soldOutAt" not in event.status().json
    assert event.books("cleo") == 201
    assert not _has_place(event, "cleo")


def test_a_release_that_the_waiting_users_take_leaves_the_event_sold_out(office: Office) -> None:
    """Nothing is free, so nothing is on sale."""
    event = _sold_out(office, 1)
    for user in ("anna", "ben"):
        event.books(user)
    event.changes(totalTickets=2)
    event.follows()
    assert event.check(drained=True).waiting == ["ben"]
    assert "soldOutAt" in event.status().json


def test_a_returned_ticket_of_a_small_event_is_sold_directly(office: Office) -> None:
    """One lane, one ticket, nobody waiting."""
    event = _sold_out(office, 3)
    event.cancels("user-1")
    event.promotes()
    shown = event.status().json
    assert ("soldOutAt" in shown, shown["availableTickets"]) == (False, 1)
    assert event.books("anna") == 201
    assert not _has_place(event, "anna")
    assert event.books("ben") == 202


def test_a_few_returned_tickets_of_a_large_event_are_sold_one_by_one(office: Office) -> None:
    """It is put back on sale when there is one for each lane; until then each buyer is first in line, and gets one."""
    event = office.opens(100)  # two lanes
    for number in range(100):
        event.books(f"user-{number}")
    event.books("late")
    event.cancels("late")
    event.cancels("user-1")
    event.promotes()
    assert "soldOutAt" in event.status().json
    assert event.books("anna") == 201
    assert _has_place(event, "anna")
    for user in ("user-2", "user-3"):
        event.cancels(user)
    event.promotes()
    assert "soldOutAt" not in event.status().json
    assert event.books("ben") == 201
    assert not _has_place(event, "ben")


def test_nobody_passes_a_user_who_insists_on_more(office: Office) -> None:
    """P4, P5: with free tickets, but not enough for the head, the event stays sold out."""
    event = _sold_out(office, 2, ticketsPerBooking=4)
    event.books("anna", quantity=4)
    event.changes(totalTickets=4)
    event.follows()
    shown = event.status().json
    assert ("soldOutAt" in shown, shown["availableTickets"], shown["waitingListCount"]) == (True, 2, 1)
    assert event.books("ben") == 202
    assert event.check(drained=True).waiting == ["anna", "ben"]


def test_a_cancelled_event_is_not_put_back_on_sale(office: Office) -> None:
    """O3: its tickets come back, and are not sold."""
    event = _sold_out(office, 2)
    event.cancels_event()
    event.follows()
    event.promotes()
    assert "soldOutAt" in event.status().json
    assert event.book("anna").json["code"] == "event-cancelled"


def test_every_sale_is_counted(office: Office, log_lines: LogLines) -> None:
    """One SoldOut for each sale, however often it is found out; one BackOnSale in between, however often settled."""
    event = _sold_out(office, 1)
    event.changes(totalTickets=2)
    for _ in range(3):
        event.promotes()
    event.books("anna")
    event.books("ben")
    event.books("cleo")
    found = [line["message"] for line in log_lines() if line["message"] in {"SoldOut", "BackOnSale"}]
    assert found == ["SoldOut", "BackOnSale", "SoldOut"]


def test_a_crowd_buys_a_second_release_like_the_first(running_office: RunningOffice) -> None:
    """P1, P4: 64 in flight, two lanes; warm workers that remember the event as sold out find out that it is not."""
    event_id = open_event(running_office.url, tickets=60)
    in_flight(running_office.url, event_id, Crowd.book, [f"first-{n}" for n in range(60)])
    late, _ = in_flight(running_office.url, event_id, Crowd.book, ["late"])
    in_flight(
        running_office.url, event_id, lambda crowd, user: crowd.cancel(user, late[0].answer["bookingId"]), ["late"]
    )
    for number in (2, 3):
        answer = httpx.patch(f"{running_office.url}/events/{event_id}", json={"totalTickets": 60 * number})
        assert "soldOutAt" not in answer.json()
        booked, crowd = in_flight(
            running_office.url, event_id, Crowd.book, [f"release-{number}-{n}" for n in range(60)]
        )
        assert ({one.status for one in booked}, crowd.faults) == ({201}, [])
        found = running_office.check_drained(event_id, within_s=PROMOTED_WITHIN_S)
        assert (found.tickets_left, found.waiting) == (0, [])
        assert not [one for one in found.bookings if one["userId"].startswith("release") and "sequence" in one]
        [last], _ = in_flight(running_office.url, event_id, Crowd.book, [f"last-{number}"])
        assert last.status == 202
        assert httpx.post(f"{running_office.url}/cancel", json={"userId": last.user, "eventId": event_id}).is_success


def test_a_release_while_people_join(running_office: RunningOffice) -> None:
    """P1, P4, P6: whoever asks gets a ticket or a place, and in the end nobody waits beside a ticket."""
    event_id = open_event(running_office.url, tickets=10)
    in_flight(running_office.url, event_id, Crowd.book, [f"first-{n}" for n in range(20)])

    async def act(crowd: Crowd, user: str) -> str:
        if user == "organiser":
            await crowd.client.patch(f"/events/{event_id}", json={"totalTickets": 70})
            return user
        return str((await crowd.book(user)).answer["status"])

    users = [f"later-{n}" for n in range(60)]
    said, crowd = in_flight(running_office.url, event_id, act, [*users[:30], "organiser", *users[30:]])
    assert (set(said) <= {"CONFIRMED", "WAITING", "organiser"}, crowd.faults) == (True, [])
    found = running_office.check_drained(event_id, within_s=PROMOTED_WITHIN_S)
    assert (found.tickets_left, len(found.waiting)) == (0, 10)
    again, _ = in_flight(running_office.url, event_id, Crowd.book, ["first-0"])
    assert by_status(again, "CONFIRMED")
