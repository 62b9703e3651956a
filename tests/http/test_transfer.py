"""Transfer: tickets go from one user to another in one step (T1), and no user in line is passed (P4)."""

import random
from typing import Any

import pytest

import functions.transfer.app
from harness.crowd import Crowd, Exchange, in_flight, open_event
from harness.gateway import call, door, organiser, shop
from harness.office import Event, Office, clock_ahead
from harness.running import RunningOffice

USERS = 40
REQUESTS = 300
DRAINED_S_MAX = 20.0


def _code(response: Any) -> tuple[int, str]:
    return response.status, response.json.get("code", "")


def _booking(event: Event, user: str) -> dict[str, Any]:
    found: dict[str, Any] = event.status(user).json["booking"]
    return found


def test_the_recipient_gets_a_booking_of_their_own(office: Office) -> None:
    """T1: the same tickets and reference; the holder's booking has ended and says who has them."""
    event = office.opens(1, holdSeconds=60)
    booking_id = event.book("amelie").json["bookingId"]
    event.confirm("amelie", booking_id, reference="payment-1")
    given = event.transfer("amelie", booking_id, "ben")
    assert (given.status, given.json["status"]) == (200, "TRANSFERRED")
    assert (given.json["bookingId"], given.json["transferredTo"]) == (booking_id, "ben")
    got = _booking(event, "ben")
    assert (got["status"], got["reference"], got["transferredFrom"]) == ("CONFIRMED", "payment-1", "amelie")
    assert (got["bookedAt"], got["bookingId"] == booking_id) == (given.json["transferredAt"], False)
    assert _booking(event, "amelie") == given.json
    rows = {row["userId"]: row for row in event.bookings().json["bookings"]}
    assert (rows["amelie"]["transferredTo"], rows["ben"]["transferredFrom"]) == ("ben", "amelie")
    assert [row["userId"] for row in event.bookings(status="TRANSFERRED").json["bookings"]] == ["amelie"]
    [listed] = office.bookings_of("amelie").json["bookings"]
    assert listed["status"] == "TRANSFERRED"


def test_a_repeated_transfer_gives_no_second_booking(office: Office) -> None:
    """T1, P7: even after the recipient has cancelled, or given the tickets on."""
    event = office.opens(2)
    booking_id = event.book("anna").json["bookingId"]
    first = event.transfer("anna", booking_id, "ben")
    assert event.transfer("anna", booking_id, "ben").json == first.json
    assert event.transfer("ben", _booking(event, "ben")["bookingId"], "cleo").status == 200
    event.cancels("cleo")
    assert event.transfer("anna", booking_id, "ben").json == first.json
    assert event.status().json["bookedTickets"] == 0
    assert _code(event.transfer("anna", booking_id, "cleo")) == (409, "booking-transferred")


def test_whoever_gave_the_tickets_away_has_none(office: Office) -> None:
    """T1: the old booking is neither checked in nor confirmed; cancelling it changes nothing; they may book again."""
    event = office.opens(2)
    booking_id = event.book("anna").json["bookingId"]
    given = event.transfer("anna", booking_id, "ben").json
    refused = event.check_in("anna", booking_id)
    assert _code(refused) == (409, "booking-transferred")
    assert refused.json.keys() & {"transferredAt", "reference"} == {"transferredAt"}  # it has no reference
    assert _code(event.confirm("anna", booking_id)) == (409, "booking-transferred")
    assert (event.cancel("anna", booking_id).status, event.cancel("anna").json) == (200, given)
    assert _booking(event, "ben")["status"] == "CONFIRMED"
    assert event.check_in("ben", _booking(event, "ben")["bookingId"]).json["again"] is False
    assert event.books("anna") == 201


def test_only_confirmed_and_unused_tickets_are_transferred(office: Office) -> None:
    """Each other booking is refused by what it is."""
    event = office.opens(3, holdSeconds=60)
    ids = {user: event.book(user).json["bookingId"] for user in ("anna", "ben", "dora", "cleo")}
    assert _code(event.transfer("anna", ids["anna"], "zoe")) == (409, "not-confirmed")
    assert _code(event.transfer("cleo", ids["cleo"], "zoe")) == (409, "not-confirmed")
    event.cancels("cleo")
    assert _code(event.transfer("cleo", ids["cleo"], "zoe")) == (409, "booking-cancelled")
    assert _code(event.transfer("zoe", ids["cleo"], "anna")) == (404, "booking-not-found")
    for user in ("anna", "dora"):
        assert event.confirm(user, ids[user]).status == 200
    assert _code(event.transfer("anna", ids["ben"], "zoe")) == (409, "booking-changed")
    with clock_ahead(3_600):
        assert event.expires() == {"ben"}
    assert _code(event.transfer("ben", ids["ben"], "zoe")) == (409, "hold-expired")
    event.check_in("anna", ids["anna"])
    assert _code(event.transfer("anna", ids["anna"], "zoe")) == (409, "checked-in")
    assert _code(event.transfer("dora", ids["dora"], "anna")) == (409, "recipient-has-booking")
    assert event.transfer("dora", ids["dora"], "zoe").status == 200


def test_a_recipient_who_waits_keeps_the_place(office: Office) -> None:
    """P2, P5: to get tickets in another way they would have to leave the list first; and nobody in line is passed."""
    event = office.opens(1)
    booking_id = event.book("anna").json["bookingId"]
    event.books("ben")
    event.books("cleo")
    assert _code(event.transfer("anna", booking_id, "ben")) == (409, "recipient-has-booking")
    assert _booking(event, "ben")["position"] == 1
    assert event.transfer("anna", booking_id, "zoe").status == 200
    event.promotes()
    assert [row["userId"] for row in event.waiting_list().json["entries"]] == ["ben", "cleo"]
    event.cancels("zoe")
    event.promotes()
    assert _booking(event, "ben")["status"] == "CONFIRMED"
    event.check(drained=True)


def test_no_tickets_of_a_cancelled_event_are_transferred(office: Office) -> None:
    """O3: no user gets a booking that the cancellation would miss."""
    event = office.opens(1)
    booking_id = event.book("anna").json["bookingId"]
    event.cancels_event()
    assert _code(event.transfer("anna", booking_id, "ben")) == (409, "event-cancelled")
    event.follows()
    assert _code(event.transfer("anna", booking_id, "ben")) == (409, "booking-cancelled")
    event.check(drained=True)


@pytest.mark.parametrize(
    ("claims", "by"), [({"sub": "anna"}, "buyer"), (shop(), "shop"), (organiser("olga"), "organiser")], ids=str
)
def test_the_holder_a_shop_or_an_organiser_transfers(office: Office, claims: dict[str, str], by: str) -> None:
    """The list says who did."""
    event = office.opens(1)
    body = {"userId": "anna", "eventId": event.event_id, "bookingId": event.book("anna").json["bookingId"]}
    done = call(functions.transfer.app, {**body, "toUserId": "ben"}, claims=claims)
    assert (done.status, done.json["transferredBy"]) == (200, by)


@pytest.mark.parametrize("claims", [{"sub": "ben"}, door()], ids=["recipient", "door"])
def test_nobody_else_transfers(office: Office, claims: dict[str, str]) -> None:
    """Least of all the recipient."""
    event = office.opens(1)
    body = {"userId": "anna", "eventId": event.event_id, "bookingId": event.book("anna").json["bookingId"]}
    assert _code(call(functions.transfer.app, {**body, "toUserId": "ben"}, claims=claims)) == (403, "not-your-booking")


def test_a_transfer_to_the_same_user_is_invalid(office: Office) -> None:
    """It would end the booking for nothing."""
    event = office.opens(1)
    refused = event.transfer("anna", event.book("anna").json["bookingId"], "anna")
    assert (refused.status, [error["field"] for error in refused.json["errors"]]) == (422, ["toUserId"])


def test_tickets_that_are_passed_around_stay_as_many(running_office: RunningOffice) -> None:
    """T1, P1, P2: over HTTP, at once, while users book, cancel and come in; on several lanes."""
    event_id = open_event(running_office.url, tickets=160)  # four lanes
    chance = random.Random(7)
    users = [f"user-{n}" for n in range(USERS)]
    booked, _ = in_flight(running_office.url, event_id, Crowd.book, users[: USERS // 2])
    known = {one.user: one.answer["bookingId"] for one in booked}
    asked = [f"{chance.choice(users)} {chance.choice(users)} {n}" for n in range(REQUESTS)]

    async def act(crowd: Crowd, what: str) -> Exchange:
        user, to, number = what.split()
        if int(number) % 10 == 0 or user not in known or user == to:
            done = await crowd.book(user)
        elif int(number) % 10 == 1:
            done = await crowd.cancel(user, known[user])
        elif int(number) % 10 == 2:
            done = await crowd.check_in(user, known[user])
        else:
            done = await crowd.transfer(user, known[user], to)
        if done.path == "/book":
            known[user] = done.answer["bookingId"]
        return done

    done, crowd = in_flight(running_office.url, event_id, act, asked)
    assert crowd.faults == []
    transferred = {one.answer["bookingId"] for one in done if one.answer.get("status") == "TRANSFERRED"}
    assert len(transferred) > 5
    running_office.check_drained(event_id, DRAINED_S_MAX)
