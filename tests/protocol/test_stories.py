"""The life of a booking, one request after the other, through the functions and on the real engine."""

import pytest

from harness.office import Office
from shared.booking import catalog, event_cancellation, sale
from shared.runtime import Deadline
from tests.conftest import LogLines
from tests.operations.clock import at


def test_the_last_ticket_goes_to_the_first_of_two_users(office: Office) -> None:
    """P1: one ticket is sold once, and the second user waits."""
    event = office.opens(tickets=1)
    assert event.books("anna") == 201
    assert event.books("ben") == 202
    assert event.check().confirmed == {"anna"}
    assert event.check().waiting == ["ben"]


def test_settling_promotes_more_users_than_one_page_of_the_list(office: Office) -> None:
    """P6: it goes on until tickets or list run out."""
    event = office.opens(tickets=60)
    users = [f"user-{n}" for n in range(120)]
    for user in users:
        event.books(user)
    for user in users[:60]:
        event.cancels(user)
    event.promotes()
    found = event.check(drained=True)
    assert found.confirmed == set(users[60:])
    assert found.waiting == []


def test_booking_twice_has_one_effect(office: Office) -> None:
    """P2, P7: the second request returns the user's booking as it is now."""
    event = office.opens(tickets=1)
    first, again = event.book("anna"), event.book("anna")
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    first, again = event.book("ben"), event.book("ben")
    assert (first.status, again.status) == (202, 200)
    assert first.json == again.json
    event.check(drained=True)


def test_cancelling_twice_has_one_effect(office: Office) -> None:
    """P7: the ticket is released once, and both responses are equal."""
    event = office.opens(tickets=1)
    event.books("anna")
    event.books("ben")
    for user, was in (("anna", "CONFIRMED"), ("ben", "WAITING")):
        first, again = event.cancel(user), event.cancel(user)
        assert (first.status, again.status) == (200, 200)
        assert first.json == again.json
        assert first.json["was"] == was
    assert event.check(drained=True).tickets_left == 1


def test_booking_after_leaving_the_list_joins_at_its_end(office: Office) -> None:
    """P2, P5: the user gets a new booking, behind users who wait already."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben", "cleo"):
        event.books(user)
    event.cancels("ben")
    assert event.book("ben").json["position"] == 2
    event.cancels("ben")
    assert event.books("ben") == 202
    found = event.check()
    assert found.waiting == ["cleo", "ben"]
    assert {one["userId"]: one["generation"] for one in found.bookings} == {"anna": 1, "ben": 3, "cleo": 1}


def test_the_status_counts_tickets_and_waiting_users(office: Office) -> None:
    """It is exact while nothing changes, and sums all lanes."""
    event = office.opens(tickets=60)
    for n in range(65):
        event.books(f"user-{n}")
    event.cancels("user-64")
    event.cancels("user-0")
    counts = event.status().json
    assert (counts["availableTickets"], counts["bookedTickets"], counts["waitingListCount"]) == (1, 59, 4)
    event.check()


def test_a_position_far_back_is_an_estimate_and_says_so(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the exact positions, it is the distance of the numbers, an upper bound."""
    monkeypatch.setattr("shared.booking.waiting_list.POSITION_EXACT_MAX", 3)
    monkeypatch.setattr("shared.booking.waiting_list.FRONT_AGE_S_MAX", 0)
    event = office.opens(tickets=1)
    for n in range(7):
        event.books(f"user-{n}")
    event.cancels("user-2")
    near, far = event.status("user-5").json["booking"], event.status("user-6").json["booking"]
    assert (near["position"], near.get("positionIsEstimate")) == (4, None)
    assert (far["position"], far["positionIsEstimate"]) == (6, True)
    event.check()


def test_a_change_by_several_requests_within_a_millisecond_is_counted_once(
    office: Office, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that close, cancel or empty an event at the same moment set that moment once."""
    event_id, deadline = office.opens(tickets=1).event_id, Deadline.after(30)
    event, lanes = catalog.read_with_lanes(catalog.read_event(event_id, deadline), deadline)
    with at(monkeypatch, seconds_ago=0):
        closed = [sale.close(event, lanes, deadline) for _ in range(3)]
        for _ in range(3):
            event_cancellation.cancel_event(event_id, deadline)
        event_cancellation.empty(event_id, deadline)
        for _ in range(3):
            vars(event_cancellation)["_mark_emptied"](event, deadline)
    assert len({one.sold_out_at for one in closed}) == 1
    messages = [line["message"] for line in log_lines() if line.get("event_id") == event_id]
    assert messages == ["EventOpened", "SoldOut", "EventCancelled", "EventEmptied"]
