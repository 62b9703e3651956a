"""Several tickets in one booking: all or nothing, strictly in order, and some of them given back (P1, P2, P5, P6)."""

import random
import zlib
from dataclasses import replace
from itertools import count
from typing import Any

import httpx
import pytest

import functions.book.app
import functions.cancel.app
import functions.initialize.app
from harness.crowd import Crowd, Exchange, in_flight, open_event
from harness.gateway import Response, call
from harness.meter import metered
from harness.office import Event, Office, clock_ahead
from harness.running import RunningOffice
from shared.booking import catalog
from shared.model import Event as Facts
from shared.model import Lane
from shared.runtime import Deadline

TAKE = ["TransactWriteItems"]
HOLD_S = 600


def _quantity(answer: Response) -> tuple[int, str, int]:
    return answer.status, answer.json["status"], answer.json["quantity"]


def _groups(office: Office, tickets: int, **more: Any) -> Event:
    return office.opens(tickets, **{"ticketsPerBooking": 6, **more})


# ---------------------------------------------------------------- booking


def test_a_booking_has_as_many_tickets_as_it_asks_for(office: Office) -> None:
    """And one without a quantity has one; the counts are tickets."""
    event = _groups(office, 10)
    assert event.status().json["ticketsPerBooking"] == 6
    assert _quantity(event.book("anna", quantity=6)) == (201, "CONFIRMED", 6)
    assert _quantity(event.book("ben")) == (201, "CONFIRMED", 1)
    shown = event.status("anna").json
    assert (shown["bookedTickets"], shown["availableTickets"], shown["booking"]["quantity"]) == (7, 3, 6)


def test_a_hold_has_its_quantity_until_it_is_confirmed_or_expires(office: Office) -> None:
    """All of its tickets come back when it expires."""
    event = _groups(office, 6, holdSeconds=HOLD_S)
    anna = event.book("anna", quantity=2).json
    assert _quantity(event.book("ben", quantity=3)) == (201, "HELD", 3)
    assert _quantity(event.confirm("anna", anna["bookingId"])) == (200, "CONFIRMED", 2)
    with clock_ahead(HOLD_S + 5):
        assert event.expires() == {"ben"}
    assert event.check(drained=True).tickets_left == 4
    assert event.status("ben").json["booking"]["quantity"] == 3


def test_a_user_who_has_a_booking_gets_it_with_its_own_quantity(office: Office) -> None:
    """P2, P7: whatever a repeated request asks for."""
    event = _groups(office, 10)
    first = event.book("anna", quantity=2)
    for wanted in ({}, {"quantity": 2}, {"quantity": 5}, {"quantity": 6, "atLeast": 1}):
        assert event.book("anna", **wanted).json == first.json
    assert event.check().tickets_left == 8


def test_too_few_tickets_are_refused_and_nothing_is_booked(office: Office) -> None:
    """The event stays on sale: another user may take what is left, and this one may ask for fewer."""
    event = _groups(office, 5)
    event.books("anna", quantity=3)
    answer = event.book("ben", quantity=3)
    assert (answer.status, answer.json["code"], answer.json["availableTickets"]) == (409, "too-few-tickets", 2)
    assert event.book("ben", quantity=4, atLeast=3).status == 409
    found = event.check(drained=True)
    assert (found.tickets_left, found.waiting) == (2, [])
    assert "soldOutAt" not in event.status("ben").json
    assert event.status("ben").json["booking"] is None
    assert _quantity(event.book("ben", quantity=2)) == (201, "CONFIRMED", 2)


def test_a_group_is_not_told_too_few_while_the_lanes_change(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """P7: reads of different moments may miss a ticket that was there all the time. So it is told to try again."""
    event = _groups(office, 2)
    read, changes = catalog.read_with_lanes, count()

    def while_others_book(known: Facts, deadline: Deadline) -> tuple[Facts, list[Lane]]:
        found, lanes = read(known, deadline)
        return found, [replace(lane, changes=next(changes)) for lane in lanes]

    with monkeypatch.context() as busy:
        busy.setattr(catalog, "read_with_lanes", while_others_book)
        answer = event.book("anna", quantity=3)
    assert (answer.status, answer.json["code"]) == (503, "try-again")
    assert event.book("anna", quantity=3).json["code"] == "too-few-tickets"
    assert event.check(drained=True).tickets_left == 2


def test_a_user_who_takes_fewer_gets_what_is_left(office: Office) -> None:
    """As many as there are, if that is not fewer than `atLeast`."""
    event = _groups(office, 5)
    event.books("anna", quantity=3)
    assert _quantity(event.book("ben", quantity=6, atLeast=2)) == (201, "CONFIRMED", 2)
    assert event.book("cleo", quantity=6, atLeast=2).status == 202


def test_a_group_is_put_together_from_several_lanes(office: Office) -> None:
    """Only where no lane has enough; then in one transaction. P1: to the last ticket."""
    event = _groups(office, 100, ticketsPerBooking=7)
    users = [f"user-{n}" for n in range(100)]
    for lane in (0, 1):  # of 50 tickets each
        for user in [user for user in users if zlib.crc32(user.encode()) % 2 == lane][:7]:
            assert event.books(user, quantity=7) == 201
    assert [lane["available"] for lane in event.check().lanes] == [1, 1]
    with metered() as meter:
        assert _quantity(event.book("anna", quantity=2)) == (201, "CONFIRMED", 2)
    assert meter.requests == [*TAKE, "BatchGetItem", *TAKE]  # refused by the home lane; read; taken from both
    assert event.check(drained=True).tickets_left == 0


@pytest.mark.parametrize("home", [0, 1])
def test_a_group_comes_from_one_lane_if_one_has_enough(office: Office, home: int) -> None:
    """Not from two, so that its transaction meets as few others as it can."""
    event = _groups(office, 100, ticketsPerBooking=7)
    users = [f"user-{n}" for n in range(200)]
    at_home = [user for user in users if zlib.crc32(user.encode()) % 2 == home]
    elsewhere = [user for user in users if user not in at_home]
    for user in (*at_home[:7], *elsewhere[:6]):
        assert event.books(user, quantity=7) == 201
    assert event.books(at_home[7], quantity=2) == 201
    left = [lane["available"] for lane in event.check().lanes]
    assert (left[home], left[1 - home]) == (1, 6)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"quantity": 0}, "quantity"),
        ({"quantity": 21}, "quantity"),
        ({"quantity": 7}, "quantity"),  # more than this event allows
        ({"quantity": "2"}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"quantity": 2, "atLeast": 3}, "atLeast"),
        ({"atLeast": 2}, "atLeast"),
        ({"quantity": 2, "atLeast": 0}, "atLeast"),
        ({"quantity": 2, "atLeast": "1"}, "atLeast"),
    ],
)
def test_an_impossible_quantity_is_refused(office: Office, body: dict[str, Any], field: str) -> None:
    """With the field that is wrong; nothing is booked."""
    event = _groups(office, 10)
    answer = call(functions.book.app, {"userId": "anna", "eventId": event.event_id, **body})
    assert (answer.status, answer.json["code"]) == (422, "invalid-request")
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert event.check().tickets_left == 10


@pytest.mark.parametrize("most", [0, 21, "2", 1.5, None])
def test_an_event_has_one_to_twenty_tickets_per_booking(office: Office, most: Any) -> None:
    """And by default one."""
    answer = call(functions.initialize.app, {"name": "x", "totalTickets": 1, "ticketsPerBooking": most})
    assert [error["field"] for error in answer.json["errors"]] == ["ticketsPerBooking"]
    event = office.opens(5)
    assert event.status().json["ticketsPerBooking"] == 1
    assert event.book("anna", quantity=2).json["errors"] == [
        {"field": "quantity", "detail": "must be at most 1 for this event"}
    ]


@pytest.mark.parametrize("quantity", [1, 4])
def test_a_group_costs_no_more_requests_than_one_ticket(office: Office, quantity: int) -> None:
    """One transaction, if a lane has them; so does a reduction, after the read that every cancellation makes."""
    event = _groups(office, 1_000)
    event.status()
    with metered() as meter:
        assert event.books("anna", quantity=quantity) == 201
    assert (meter.requests, meter.write_units, meter.read_units) == (TAKE, 5, 0)
    with metered() as meter:
        event.cancels("anna")
    assert meter.requests == ["GetItem", *TAKE]


def test_a_reduction_costs_as_many_requests_as_a_cancellation(office: Office) -> None:
    """And one more for each stripe of the list where it must return a position."""
    event = _groups(office, 6)
    event.books("anna", quantity=6)
    event.books("ben", quantity=4)
    event.status()
    with metered() as meter:
        event.cancel("anna", keep=5)
    assert meter.requests == ["GetItem", *TAKE]
    with metered() as meter:
        event.cancel("ben", keep=3)
    assert meter.requests == ["GetItem", *TAKE, "Query"]


# ---------------------------------------------------------------- waiting


def test_a_waiting_booking_shows_what_it_wants(office: Office) -> None:
    """By default all or nothing."""
    event = _groups(office, 1)
    event.books("anna")
    answer = event.book("ben", quantity=3)
    assert (answer.status, answer.json["quantity"], answer.json["atLeast"], answer.json["position"]) == (202, 3, 3, 1)
    answer = event.book("cleo", quantity=3, atLeast=2)
    assert (answer.json["quantity"], answer.json["atLeast"], answer.json["position"]) == (3, 2, 2)
    assert event.book("dora").json["atLeast"] == 1
    listed = event.waiting_list().json["entries"]
    assert [(one["userId"], one["quantity"], one["atLeast"]) for one in listed] == [
        ("ben", 3, 3),
        ("cleo", 3, 2),
        ("dora", 1, 1),
    ]


def test_groups_wait_strictly_in_order(office: Office) -> None:
    """P5, P6: nobody is passed because they want many, although tickets lie idle meanwhile."""
    event = _groups(office, 6)
    for user in ("anna", "ben", "cleo"):
        event.books(user, quantity=2)
    event.books("dora", quantity=3)
    event.books("emil")
    event.cancels("anna")
    event.promotes()
    found = event.check(drained=True)
    assert (found.waiting, found.tickets_left) == (["dora", "emil"], 2)
    assert event.book("fritz").json["position"] == 3, "a new buyer does not get them either"
    event.cancels("ben")
    event.promotes()
    found = event.check(drained=True)
    assert (found.confirmed, found.waiting, found.tickets_left) == ({"cleo", "dora", "emil"}, ["fritz"], 0)
    assert event.status("dora").json["booking"]["quantity"] == 3


def test_a_user_who_takes_fewer_is_promoted_with_what_is_free(office: Office) -> None:
    """As soon as there are `atLeast`; the booking then is for these, and no longer waits."""
    event = _groups(office, 4)
    event.books("anna", quantity=3)
    event.books("ben")
    event.books("cleo", quantity=6, atLeast=3)
    event.cancels("ben")
    event.promotes()
    assert event.check(drained=True).waiting == ["cleo"]
    event.cancel("anna", keep=1)
    event.promotes()
    booking = event.status("cleo").json["booking"]
    assert (booking["status"], booking["quantity"], "atLeast" in booking) == ("CONFIRMED", 3, False)
    assert event.check(drained=True).tickets_left == 0


# ---------------------------------------------------------------- keeping some


def test_some_tickets_are_given_back(office: Office) -> None:
    """P1; repeating the request, or asking to keep more, changes nothing."""
    event = _groups(office, 6)
    booked = event.book("anna", quantity=5).json
    kept = event.cancel("anna", booked["bookingId"], keep=2)
    assert (kept.status, kept.json) == (200, {**booked, "quantity": 2})
    for keep in (2, 3, 19):
        assert event.cancel("anna", keep=keep).json == kept.json
    assert event.check(drained=True).tickets_left == 4
    [row] = event.bookings().json["bookings"]
    assert (row["quantity"], row["status"]) == (2, "CONFIRMED")
    assert row["reducedAt"] >= row["bookedAt"]
    assert row["reducedBy"] == "buyer"


def test_a_hold_stays_a_hold_when_some_of_it_is_given_back(office: Office) -> None:
    """With its time, and it can still be confirmed."""
    event = _groups(office, 6, holdSeconds=HOLD_S)
    held = event.book("anna", quantity=4).json
    assert event.cancel("anna", keep=3).json == {**held, "quantity": 3}
    assert _quantity(event.confirm("anna", held["bookingId"])) == (200, "CONFIRMED", 3)
    assert event.check(drained=True).tickets_left == 3


def test_a_waiting_user_asks_for_fewer_and_keeps_the_place(office: Office) -> None:
    """P3, P5; and gets tickets that were too few before (P6)."""
    event = _groups(office, 3)
    event.books("anna", quantity=2)
    event.books("ben")
    event.books("cleo", quantity=1)
    event.books("dora", quantity=5, atLeast=4)
    event.books("emil")
    fewer = event.cancel("dora", keep=3)
    assert (fewer.status, fewer.json["status"], fewer.json["position"]) == (200, "WAITING", 2)
    assert (fewer.json["quantity"], fewer.json["atLeast"]) == (3, 3)
    assert event.cancel("dora", keep=4).json == fewer.json
    assert [one["quantity"] for one in event.waiting_list().json["entries"]] == [1, 3, 1]
    event.cancels("anna")
    event.promotes()
    assert event.check(drained=True).waiting == ["dora", "emil"]
    assert event.cancel("dora", keep=1).json["atLeast"] == 1
    event.promotes()
    assert event.check(drained=True).waiting == ["emil"]


def test_keeping_some_of_an_ended_booking_returns_it_as_it_is(office: Office) -> None:
    """P7: a late repetition takes nothing from a newer booking either."""
    event = _groups(office, 6)
    first = event.book("anna", quantity=3).json["bookingId"]
    cancelled = event.cancel("anna").json
    assert cancelled["quantity"] == 3
    assert event.cancel("anna", keep=1).json == cancelled
    event.books("anna", quantity=3)
    answer = event.cancel("anna", first, keep=1)
    assert (answer.status, answer.json["code"]) == (409, "booking-changed")
    assert event.check().tickets_left == 3
    assert event.cancel("nobody", keep=1).json["code"] == "booking-not-found"


@pytest.mark.parametrize("keep", [0, -1, 20, "1", 1.5, True])
def test_an_impossible_number_to_keep_is_refused(office: Office, keep: Any) -> None:
    """To keep none is a cancellation without `keep`."""
    event = _groups(office, 6)
    event.books("anna", quantity=2)
    answer = call(functions.cancel.app, {"userId": "anna", "eventId": event.event_id, "keep": keep})
    assert [error["field"] for error in answer.json["errors"]] == ["keep"]
    assert event.check().tickets_left == 4


def test_a_group_ends_with_its_event(office: Office) -> None:
    """O3: all of its tickets come back; and a total below what is booked is refused (O2)."""
    event = _groups(office, 8)
    event.books("anna", quantity=6)
    answer = event.change(totalTickets=5)
    assert (answer.json["code"], answer.json["bookedTickets"]) == ("tickets-booked", 6)
    event.changes(totalTickets=6)
    event.books("ben", quantity=2)
    event.cancels_event()
    event.follows()
    assert event.check(drained=True).tickets_left == 6
    ended = {row["userId"]: row["quantity"] for row in event.bookings(status="CANCELLED").json["bookings"]}
    assert ended == {"anna": 6, "ben": 2}


# ---------------------------------------------------------------- crowds


def test_a_crowd_of_groups_buys_until_no_request_fits(running_office: RunningOffice) -> None:
    """P1: 150 tickets, groups of 1 to 4, 64 in flight; who was refused asks for fewer until it is sold out."""
    event_id = open_event(running_office.url, 150, ticketsPerBooking=4)
    chance = random.Random(16)
    wanted = {f"user-{n}": chance.randint(1, 4) for n in range(125)}

    async def buy(crowd: Crowd, user: str) -> Exchange:
        answer = await crowd.book(user, quantity=wanted[user])
        for quantity in range(wanted[user] - 1, 0, -1):
            if answer.status != httpx.codes.CONFLICT:
                break
            assert answer.answer["code"] == "too-few-tickets"
            assert answer.answer["availableTickets"] > 0
            answer = await crowd.book(user, quantity=quantity)
        return answer

    booked, crowd = in_flight(running_office.url, event_id, buy, wanted)
    assert crowd.faults == []
    got = {one.user: one.answer["quantity"] for one in booked if one.status == httpx.codes.CREATED}
    assert sum(got.values()) == 150
    assert all(quantity <= wanted[user] for user, quantity in got.items())
    assert {one.status for one in booked} == {201, 202}
    found = running_office.check_drained(event_id, within_s=5)
    assert (found.confirmed, found.tickets_left) == ({*got}, 0)


def test_one_user_who_asks_for_several_twenty_times_at_once_has_one_booking(running_office: RunningOffice) -> None:
    """P2, P7: also when the requests to give some back are doubled."""
    event_id = open_event(running_office.url, 100, ticketsPerBooking=6)
    booked, _ = in_flight(running_office.url, event_id, lambda crowd, user: crowd.book(user, quantity=6), ["anna"] * 20)
    [booking_id] = {one.answer["bookingId"] for one in booked}
    assert sorted(one.status for one in booked) == [200] * 19 + [201]
    kept, _ = in_flight(
        running_office.url, event_id, lambda crowd, user: crowd.cancel(user, booking_id, keep=2), ["anna"] * 20
    )
    assert {one.answer["quantity"] for one in kept} == {2}
    assert running_office.check_drained(event_id, within_s=1).tickets_left == 98
