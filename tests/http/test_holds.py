"""Holds and offers: a ticket is reserved for a while, then confirmed or passed on (H1 to H3)."""

from typing import Any

import pytest

import functions.confirm.app
import functions.initialize.app
from harness.gateway import call
from harness.office import Event, Office, clock_ahead
from shared.booking import expiry
from shared.booking.cancellation import expire_all
from shared.model import TryAgain, later
from shared.runtime import Deadline

HOLD_S = 600
OFFER_S = 3_600


def _held(office: Office, tickets: int = 1, **more: Any) -> Event:
    return office.opens(tickets, **{"holdSeconds": HOLD_S, **more})


def _holds(event: Event, user: str) -> str:
    """Hold a ticket for the user and return the bookingId."""
    answer = event.book(user)
    assert (answer.status, answer.json["status"]) == (201, "HELD")
    return str(answer.json["bookingId"])


def test_a_hold_is_confirmed_with_a_reference(office: Office) -> None:
    """The event shows its rules, and the booking each of its steps."""
    event = _held(office)
    shown = event.status().json
    assert (shown["holdSeconds"], shown["offerSeconds"], shown["confirmedBy"]) == (HOLD_S, HOLD_S, "shop")
    held = event.book("anna").json
    assert held.keys() == {"status", "bookingId", "eventId", "userId", "quantity", "heldAt", "expiresAt"}
    assert event.book("anna").status == 200
    assert event.status().json["bookedTickets"] == 1

    confirmed = event.confirm("anna", held["bookingId"], reference="payment-1")
    assert confirmed.status == 200
    assert confirmed.json.items() >= {"status": "CONFIRMED", "bookingId": held["bookingId"]}.items()
    assert confirmed.json["reference"] == "payment-1"
    assert event.confirm("anna", held["bookingId"], reference="payment-2").json == confirmed.json
    with clock_ahead(2 * HOLD_S):
        assert event.expires() == set()
    assert event.check(drained=True).confirmed == {"anna"}


def test_an_expired_hold_goes_to_the_next_in_line_as_an_offer(office: Office) -> None:
    """H1, H3: not before its time, but soon after it; and the offer has a time of its own."""
    event = _held(office, offerSeconds=OFFER_S)
    first = _holds(event, "anna")
    assert event.books("ben") == event.books("cleo") == 202
    with clock_ahead(HOLD_S - 5):
        assert event.expires() == set()
    with clock_ahead(HOLD_S + 5):
        assert event.expires() == {"anna"}
        event.promotes()
        offer = event.status("ben").json["booking"]
        assert offer["status"] == "HELD"
        assert offer["promotedAt"] == offer["heldAt"]
        answer = event.confirm("anna", first)
        assert (answer.status, answer.json["code"]) == (409, "hold-expired")
        assert answer.json["expiredAt"] == event.status("anna").json["booking"]["expiredAt"]
        assert event.confirm("ben", offer["bookingId"]).status == 200
    found = event.check(drained=True)
    assert (found.confirmed, found.waiting) == ({"ben"}, ["cleo"])
    assert event.books("anna") == 202, "a user whose hold has expired may book again"


def test_an_offer_that_is_not_taken_goes_on_down_the_line(office: Office) -> None:
    """Each user in line gets the ticket once, in order."""
    event = office.opens(1, offerSeconds=OFFER_S, confirmedBy="buyer")
    assert event.book("anna").json["status"] == "CONFIRMED", "without holdSeconds a ticket is bought at once"
    users = ["ben", "cleo", "dora"]
    assert {event.books(user) for user in users} == {202}
    event.cancels("anna")
    for number, user in enumerate(users):
        with clock_ahead(number * (OFFER_S + 10)):
            event.promotes()
            assert event.check(drained=True).held == {user}
            assert event.expires() == set()
        with clock_ahead((number + 1) * (OFFER_S + 10)):
            assert event.expires() == {user}
    assert event.check(drained=True).tickets_left == 1


@pytest.mark.parametrize("off_s", [-60, 60])
def test_a_clock_that_is_a_minute_off_ends_a_hold_a_minute_early_or_late(office: Office, off_s: int) -> None:
    """The clock of the function that made the hold; no ticket is lost or sold twice, and a refusal is final (H2)."""
    event = _held(office)
    with clock_ahead(off_s):
        booking_id = _holds(event, "anna")
    assert event.books("ben") == 202
    with clock_ahead(HOLD_S + off_s - 5):
        assert event.expires() == set()
    with clock_ahead(HOLD_S + off_s + 5):
        assert event.expires() == {"anna"}
        event.promotes()
        assert event.confirm("anna", booking_id).json["code"] == "hold-expired"
    assert event.check(drained=True).held == {"ben"}


def test_a_clock_that_is_set_back_during_a_run_ends_no_hold_before_its_time(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H1: `expiredAt` is never before the end of the hold, because a run goes by the clock it began with."""
    event = _held(office)
    _holds(event, "anna")

    def set_back(*arguments: Any) -> int:
        with clock_ahead(-HOLD_S - 5):
            return expire_all(*arguments)

    monkeypatch.setattr(expiry, "expire_all", set_back)
    with clock_ahead(HOLD_S + 5):
        assert event.expires() == {"anna"}
    [booking] = event.check(drained=True).bookings
    assert booking["expiredAt"] >= later(booking["heldAt"], HOLD_S)


def test_a_hold_can_be_confirmed_until_it_is_expired(office: Office) -> None:
    """No clock decides about a confirmation, so a buyer who has paid is not refused because of one."""
    event = _held(office)
    booking_id = _holds(event, "anna")
    with clock_ahead(2 * HOLD_S):
        assert event.confirm("anna", booking_id).status == 200
        assert event.expires() == set()
    assert event.check(drained=True).confirmed == {"anna"}


def test_a_ticket_that_came_back_is_sold_at_once_when_no_user_waits(office: Office) -> None:
    """The booking has a place in line, but never waited for it."""
    event = _held(office)
    event.confirm("anna", _holds(event, "anna"))
    assert event.books("ben") == 202
    event.cancels("ben")
    event.cancels("anna")
    held = event.book("cleo")
    assert (held.status, held.json["status"]) == (201, "HELD")
    assert "promotedAt" not in held.json
    assert event.books("dora") == 202


@pytest.mark.parametrize("was", ["HELD", "CONFIRMED"])
def test_a_cancelled_booking_cannot_be_confirmed(office: Office, was: str) -> None:
    """H2: it says what it was, and who cancelled it."""
    event = _held(office)
    booking_id = _holds(event, "anna")
    if was == "CONFIRMED":
        event.confirm("anna", booking_id)
    cancelled = event.cancel("anna", booking_id).json
    assert (cancelled["was"], cancelled["cancelledBy"]) == (was, "buyer")
    answer = event.confirm("anna", booking_id)
    assert (answer.status, answer.json["code"]) == (409, "booking-cancelled")
    assert event.check(drained=True).tickets_left == 1


def test_only_the_current_hold_can_be_confirmed(office: Office) -> None:
    """Another booking of the user, of another user, or one that waits is no hold."""
    event = _held(office)
    first = _holds(event, "anna")
    assert event.confirm("ben", first).json["code"] == "booking-not-found"
    waiting = event.book("ben").json["bookingId"]
    assert event.confirm("ben", waiting).json["code"] == "not-held"
    assert event.confirm("ben", first).json["code"] == "booking-changed"
    assert event.confirm("anna", waiting).json["code"] == "booking-changed"
    event.cancels("ben")
    event.cancels("anna")
    second = _holds(event, "anna")
    assert event.confirm("anna", first).json["code"] == "booking-changed"
    assert event.confirm("anna", second).status == 200


def test_a_busy_lane_does_not_take_the_time_of_other_events(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """H3: what cannot be expired within a few seconds is left to the next run."""
    busy, other = _held(office), _held(office)
    _holds(busy, "anna")
    _holds(other, "ben")
    left_s = []

    def refused(event: Any, holds: Any, deadline: Deadline, due_at: str) -> int:
        if event.event_id == busy.event_id:
            left_s.append(deadline.left_s)
            raise TryAgain("TransactionConflict")
        return expire_all(event, holds, deadline, due_at)

    with clock_ahead(HOLD_S + 5):
        with monkeypatch.context() as patched:
            patched.setattr(expiry, "expire_all", refused)
            assert other.expires() == {"ben"}
        assert 0 < left_s[0] <= expiry.LANE_S_MAX
        assert busy.expires() == {"anna"}


def test_holds_end_with_their_event(office: Office) -> None:
    """O3: and the buyers learn that it was not they who cancelled."""
    event = _held(office, tickets=2)
    _holds(event, "anna")
    event.confirm("ben", _holds(event, "ben"))
    event.cancels_event()
    event.follows()
    for user, was in (("anna", "HELD"), ("ben", "CONFIRMED")):
        booking = event.status(user).json["booking"]
        assert (booking["status"], booking["was"], booking["cancelledBy"]) == ("CANCELLED", was, "event")
    with clock_ahead(HOLD_S + 5):
        assert event.expires() == set()


def test_a_held_ticket_cannot_be_taken_away(office: Office) -> None:
    """P8, O2: a held ticket counts as booked when the total is lowered."""
    event = _held(office, tickets=2)
    _holds(event, "anna")
    _holds(event, "ben")
    answer = event.change(totalTickets=1)
    assert (answer.status, answer.json["code"], answer.json["bookedTickets"]) == (409, "tickets-booked", 2)


def test_lists_show_holds(office: Office) -> None:
    """The user's list, the organiser's list, and the list of one status."""
    event = _held(office, tickets=3)
    user = event.event_id  # new, and so without bookings of other events
    booking_id = _holds(event, user)
    event.confirm("ben", _holds(event, "ben"), reference="payment")
    [listed] = office.bookings_of(event.event_id).json["bookings"]
    assert (listed["status"], listed["bookingId"], listed["eventName"]) == ("HELD", booking_id, "The concert")
    [held] = event.bookings(status="HELD").json["bookings"]
    assert (held["userId"], held["bookedBy"], held["expiresAt"]) == (user, "buyer", listed["expiresAt"])
    [confirmed] = event.bookings(status="CONFIRMED").json["bookings"]
    assert (confirmed["reference"], confirmed["confirmedBy"]) == ("payment", "shop")
    with clock_ahead(HOLD_S + 5):
        event.expires()
    [expired] = event.bookings(status="EXPIRED").json["bookings"]
    assert expired["userId"] == user


@pytest.mark.parametrize(
    "rules",
    [
        {"holdSeconds": 0}, {"holdSeconds": -1}, {"holdSeconds": 1.5}, {"holdSeconds": 86_401}, {"holdSeconds": "60"},
        {"holdSeconds": True}, {"offerSeconds": 0}, {"offerSeconds": 604_801}, {"confirmedBy": "buyer"},
        {"holdSeconds": 60, "confirmedBy": "organiser"}, {"holdSeconds": 60, "confirmedBy": "event"},
    ],
)  # fmt: skip
def test_impossible_rules_are_refused(office: Office, rules: dict[str, Any]) -> None:
    """Each with the name of the field that is wrong, the last one here."""
    answer = call(functions.initialize.app, {"name": "The concert", "totalTickets": 1, **rules})
    assert answer.status == 422
    assert [error["field"] for error in answer.json["errors"]] == [*rules][-1:]


@pytest.mark.parametrize(
    "body", [{}, {"reference": "x"}, {"bookingId": "b", "reference": "x" * 129}, {"bookingId": "b", "reference": ""}]
)
def test_a_confirmation_names_the_booking(office: Office, body: dict[str, str]) -> None:
    """And its reference is short."""
    event = _held(office)
    assert call(functions.confirm.app, {"userId": "anna", "eventId": event.event_id, **body}).status == 422
