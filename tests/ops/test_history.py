"""history EVENT USER shows what is known of a user's booking, and says what is not."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.office import Event, Office, clock_ahead
from tests.conftest import LogLines
from tests.ops.aws import STACK, stack
from tests.ops.commands import Commands


@pytest.fixture
def event(office: Office) -> Event:
    """Return an event of one ticket, which ada has."""
    event = office.opens(tickets=1)
    event.books("ada")
    return event


def test_a_ticket_that_was_bought_directly(event: Event, local: Commands) -> None:
    """A first booking is fully known."""
    [booking] = event.check().bookings
    done = local("history", event.event_id, "ada")
    assert (done.code, done.err) == (0, "")
    assert done.lines == [
        f"event      {event.event_id} The concert",
        "user       ada",
        "generation 1",
        f"booking    {booking['bookingId']}",
        "status     CONFIRMED",
        "quantity   1",
        "This booking:",
        f"  {booking['bookedAt']} got a ticket directly",
        "Earlier bookings: none.",
        "Logs (since the last start; a killed process may have lost lines): 0 lines",
    ]


def test_a_place_in_the_waiting_list(event: Event, local: Commands) -> None:
    """The number in the list, and the current position."""
    for user in ("bob", "cid", "dan"):
        event.books(user)
    event.cancels("bob")
    joined = next(one for one in event.check().bookings if one["userId"] == "dan")
    lines = local("history", event.event_id, "dan").lines
    assert lines[4:9] == [
        "status     WAITING",
        "quantity   1",
        "position   2",
        "This booking:",
        f"  {joined['joinedAt']} joined the waiting list as number 3",
    ]


def test_a_transfer_and_a_check_in_are_shown_to_both_users(event: Event, local: Commands) -> None:
    """Who gave the tickets to whom, and when they were used."""
    given = event.transfer("ada", event.status("ada").json["booking"]["bookingId"], "bob").json
    used = event.check_in("bob", event.status("bob").json["booking"]["bookingId"]).json
    assert f"  {given['transferredAt']} transferred to bob" in local("history", event.event_id, "ada").lines
    assert local("history", event.event_id, "bob").lines[6:9] == [
        "This booking:",
        f"  {given['transferredAt']} got a ticket from ada",
        f"  {used['checkedInAt']} checked in, by the door",
    ]


def test_a_position_that_is_an_estimate_says_so(event: Event, local: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far back in the list, the position is an upper bound."""
    monkeypatch.setattr("shared.booking.waiting_list.POSITION_EXACT_MAX", 0)
    event.books("bob")
    event.books("cid")
    assert "position   at most 2" in local("history", event.event_id, "cid").lines


def test_a_promotion_and_a_cancellation_are_shown_in_order(event: Event, local: Commands) -> None:
    """From the waiting list to a ticket, and back."""
    event.books("bob")
    event.cancels("ada")
    event.promotes()
    event.cancels("bob")
    bob = next(one for one in event.check().bookings if one["userId"] == "bob")
    lines = local("history", event.event_id, "bob").lines
    assert "status     CANCELLED" in lines
    assert lines[7:10] == [
        f"  {bob['joinedAt']} joined the waiting list as number 1",
        f"  {bob['promotedAt']} promoted: got a ticket from the waiting list",
        f"  {bob['cancelledAt']} returned the ticket",
    ]


def test_leaving_the_list_returns_no_ticket(event: Event, local: Commands) -> None:
    """The user never had one."""
    event.books("bob")
    event.cancels("bob")
    lines = local("history", event.event_id, "bob").lines
    assert [line.split(" ", 3)[3] for line in lines[7:9]] == [
        "joined the waiting list as number 1",
        "left the waiting list",
    ]


def test_a_hold_and_an_offer_are_shown_until_they_end(office: Office, local: Commands) -> None:
    """Held, confirmed by a shop with its reference; offered, and expired."""
    event = office.opens(tickets=2, holdSeconds=60)
    for user in ("anna", "ben", "cleo"):
        event.books(user)

    def facts(user: str) -> dict[str, Any]:
        [booking] = [one for one in event.check().bookings if one["userId"] == user]
        return booking

    held = facts("anna")
    story = [
        f"  {held['heldAt']} held a ticket directly",
        f"  {held['expiresAt']} expires, if it is not confirmed",
    ]
    assert local("history", event.event_id, "anna").lines[7:9] == story
    event.confirm("anna", held["bookingId"], reference="payment-1")
    story[1] = f"  {facts('anna')['bookedAt']} confirmed, by the shop, reference payment-1"
    assert local("history", event.event_id, "anna").lines[7:9] == story
    event.cancels("ben")
    event.promotes()
    with clock_ahead(65):
        event.expires()
    cleo = facts("cleo")
    assert local("history", event.event_id, "cleo").lines[7:10] == [
        f"  {cleo['joinedAt']} joined the waiting list as number 1",
        f"  {cleo['promotedAt']} promoted: was offered a ticket from the waiting list",
        f"  {cleo['expiredAt']} expired: it was not confirmed in time",
    ]


def test_a_booking_that_ended_with_its_event_says_so(event: Event, local: Commands) -> None:
    """The support desk sees that it was not the buyer."""
    event.cancels_event()
    event.follows()
    [ada] = event.check().bookings
    lines = local("history", event.event_id, "ada").lines
    assert f"  {ada['cancelledAt']} returned the ticket, because the event was cancelled" in lines
    assert lines[1] == f"           cancelled at {event.status().json['cancelledAt']}"


@pytest.mark.parametrize("returns", [1, 2])
def test_earlier_bookings_are_known_by_their_number_only(event: Event, local: Commands, returns: int) -> None:
    """A new booking replaces the old one in the tables, and the command says so."""
    for _ in range(returns):
        event.cancels("ada")
        event.books("ada")
    lines = local("history", event.event_id, "ada").lines
    assert lines[2] == f"generation {returns + 1}"
    expected = f"Earlier bookings: {returns}, all ended. The tables do not keep them."
    assert expected in lines


def test_the_local_logs_show_earlier_bookings(event: Event, local: Commands, data: Path, log_lines: LogLines) -> None:
    """Only lines of this user and event count; others, and broken ones, are skipped."""
    event.books("bob")
    event.cancels("bob")
    event.books("bob")
    event.cancels("ada")
    event.promotes()
    written = [json.dumps(line) for line in log_lines()]
    written.append(json.dumps({"event_id": event.event_id, "user_id": "bob", "message": "something else"}))
    torn = f'{{"event_id": "{event.event_id}", '
    (data / "logs" / "worker-1.log").write_text("\n".join([*written[:2], torn, f'["{event.event_id}"]']))
    (data / "logs" / "worker-1.log.1").write_text("\n".join(written[2:]))
    lines = local("history", event.event_id, "bob").lines
    start = next(number for number, line in enumerate(lines) if line.startswith("Logs"))
    told = [line.split()[-2] for line in lines[start + 1 :]]
    assert told == ["WaitingJoined", "WaitingLeft", "WaitingJoined", "BookingPromoted"]
    ids = {line.split()[-1] for line in lines[start + 1 :]}
    assert len(ids) == 2  # one of them is in no table any more


def test_on_aws_it_prints_the_query_for_the_logs(event: Event, capsys: pytest.CaptureFixture[str]) -> None:
    """With the user's id quoted."""
    event.cancel("ada")
    user = 'q"u\\o'
    event.books(user)
    with stack():
        lines = Commands(("--stack", STACK), capsys)("history", event.event_id, user).lines
    query = lines[-1]
    assert f'filter event_id = "{event.event_id}" and user_id = "q\\"u\\\\o"' in query
    assert '"BookingPromoted"' in query


def test_a_user_who_never_booked_is_reported_in_one_line(event: Event, local: Commands) -> None:
    """The tables are those of the local office."""
    done = local("history", event.event_id, "eve")
    assert (done.code, done.out, done.err) == (2, "", f"eve has never booked the event {event.event_id}\n")
    assert os.environ["EVENTS_TABLE"] == "EventsTable"
