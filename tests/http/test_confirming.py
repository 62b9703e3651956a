"""Confirmations that come at once, twice, late, cut off, or while the hold expires, over real HTTP (H1 to H3, P7)."""

import json
import random
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from harness.crowd import Crowd, Exchange, in_flight, open_event
from harness.running import RunningOffice

HOLD_S = 600
AT_ONCE = 8
HOLDS = 60
DRAINED_S_MAX = 20.0


@pytest.fixture
def office(running_office: RunningOffice) -> RunningOffice:
    """Return the office of the package; no test leaves a hold."""
    return running_office


def _holds(office: RunningOffice, event_id: str, *users: str) -> dict[str, str]:
    """Hold a ticket for each user; return the ids of their bookings."""
    held, crowd = in_flight(office.url, event_id, Crowd.book, users)
    assert ({one.answer["status"] for one in held}, crowd.faults) == ({"HELD"}, [])
    return {one.user: one.answer["bookingId"] for one in held}


def _post(office: RunningOffice, path: str, event_id: str, user: str, **more: str) -> httpx.Response:
    return httpx.post(f"{office.url}{path}", json={"userId": user, "eventId": event_id, **more}, timeout=30)


@pytest.mark.parametrize("references", [[f"payment-{n}" for n in range(AT_ONCE)], ["payment"] * AT_ONCE])
def test_requests_that_confirm_at_once_get_the_same_booking(office: RunningOffice, references: list[str]) -> None:
    """H2, P7: the first reference stays, and every response shows it."""
    event_id = open_event(office.url, tickets=1, holdSeconds=HOLD_S)
    [booking_id] = _holds(office, event_id, "anna").values()
    confirmed, crowd = in_flight(
        office.url, event_id, lambda crowd, one: crowd.confirm("anna", booking_id, reference=one), references
    )
    assert ({one.status for one in confirmed}, crowd.faults) == ({200}, [])
    [(reference, booked_at)] = {(one.answer["reference"], one.answer["bookedAt"]) for one in confirmed}
    assert reference in references
    [stored] = office.check_drained(event_id, DRAINED_S_MAX).bookings
    assert (stored["status"], stored["reference"], stored["bookedAt"]) == ("CONFIRMED", reference, booked_at)


def test_confirmations_that_race_with_expiry_and_cancellations_are_final_or_refused(office: RunningOffice) -> None:
    """H2, P1: after 200 the ticket is the buyer's, after a refusal it is free; no ticket is lost or sold twice."""
    event_id = open_event(office.url, tickets=150, holdSeconds=HOLD_S)
    booking_ids = _holds(office, event_id, *(f"user-{n}" for n in range(HOLDS)))

    async def act(crowd: Crowd, user: str) -> Exchange:
        if int(user.removeprefix("user-")) % 6 == 0:
            await crowd.cancel(user, booking_ids[user])
        return await crowd.confirm(user, booking_ids[user], reference=f"payment of {user}")

    with ThreadPoolExecutor(1) as aside:
        expired = aside.submit(office.expire, ahead_s=2 * HOLD_S)
        answers, _ = in_flight(office.url, event_id, act, random.sample(list(booking_ids), HOLDS), at_once=16)
        count = expired.result()
    found = office.check_drained(event_id, DRAINED_S_MAX)
    told = {one.user: one.answer.get("code", one.answer["status"]) for one in answers}
    of_status = {"CONFIRMED": "CONFIRMED", "EXPIRED": "hold-expired", "CANCELLED": "booking-cancelled"}
    assert {one["userId"]: of_status[one["status"]] for one in found.bookings} == told
    assert found.tickets_left == 150 - len(found.confirmed)
    assert count == sum(one["status"] == "EXPIRED" for one in found.bookings)


def test_a_confirmation_whose_client_hangs_up_can_be_repeated(office: RunningOffice) -> None:
    """P7: the shop does not know what became of the request, sends it again, and gets the booking."""
    event_id = open_event(office.url, tickets=1, holdSeconds=HOLD_S)
    [booking_id] = _holds(office, event_id, "anna").values()
    fields = {"userId": "anna", "eventId": event_id, "bookingId": booking_id, "reference": "payment-1"}
    body = json.dumps(fields).encode()
    head = f"POST /confirm HTTP/1.1\r\nHost: 127.0.0.1:{office.port}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for sent in (head + body[:-5], head + body):  # cut off; and whole, but the client does not wait for the response
        with socket.create_connection(("127.0.0.1", office.port)) as connection:
            connection.sendall(sent)
    answer = _post(office, "/confirm", event_id, "anna", bookingId=booking_id, reference="payment-1")
    assert (answer.status_code, answer.json()["reference"]) == (200, "payment-1")
    assert office.check_drained(event_id, DRAINED_S_MAX).confirmed == {"anna"}


def test_a_late_confirmation_leaves_a_newer_hold_alone(office: RunningOffice) -> None:
    """H2: the hold expires, the next in line gets the ticket and returns it, and the user holds it again."""
    event_id = open_event(office.url, tickets=1, holdSeconds=HOLD_S)
    first = _holds(office, event_id, "anna")["anna"]
    assert _post(office, "/book", event_id, "ben").json()["status"] == "WAITING"
    assert office.expire(ahead_s=2 * HOLD_S) == 1
    late = _post(office, "/confirm", event_id, "anna", bookingId=first)
    assert (late.status_code, late.json()["code"]) == (409, "hold-expired")
    assert office.check_drained(event_id, DRAINED_S_MAX).held == {"ben"}
    assert _post(office, "/book", event_id, "anna").json()["status"] == "WAITING"
    assert _post(office, "/cancel", event_id, "ben").json()["was"] == "HELD"
    assert office.check_drained(event_id, DRAINED_S_MAX).held == {"anna"}
    late = _post(office, "/confirm", event_id, "anna", bookingId=first)
    assert (late.status_code, late.json()["code"]) == (409, "booking-changed")
    assert office.check_drained(event_id, DRAINED_S_MAX).held == {"anna"}
    assert _post(office, "/cancel", event_id, "anna").status_code == 200
