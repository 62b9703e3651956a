"""Crowds over real HTTP against `python -m local`: nothing is oversold, and users are served in order."""

import asyncio
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from harness import promises
from harness.crowd import Crowd, Exchange, by_status, in_flight, open_event, order_broken
from harness.running import RunningOffice, running

PROMOTED_WITHIN_S = 5.0
RANDOM_RUN_S = 10.0


@pytest.fixture
def office(running_office: RunningOffice) -> RunningOffice:
    """Return the office of the package."""
    return running_office


def test_a_sold_out_concert_and_sixty_cancellations(office: RunningOffice) -> None:
    """P1, P5, P6: 180 users, 60 tickets, 64 in flight; the holders cancel, the next 60 follow."""
    event_id = open_event(office.url, tickets=60)
    booked, crowd = in_flight(office.url, event_id, Crowd.book, [f"user-{n}" for n in range(180)])
    confirmed, waiting = by_status(booked, "CONFIRMED"), by_status(booked, "WAITING")
    assert (len(confirmed), len(waiting), crowd.faults) == (60, 120, [])
    assert {one.status for one in confirmed} == {201}
    assert {one.status for one in waiting} == {202}
    before = office.check_drained(event_id, within_s=1)
    assert before.confirmed == {one.user for one in confirmed}
    assert set(before.waiting) == {one.user for one in waiting}

    bookings = {one.user: one.answer["bookingId"] for one in confirmed}
    cancelled, crowd = in_flight(
        office.url, event_id, lambda crowd, user: crowd.cancel(user, bookings[user]), list(bookings)
    )
    assert ({one.status for one in cancelled}, crowd.faults) == ({200}, [])
    after = office.check_drained(event_id, within_s=PROMOTED_WITHIN_S)
    assert after.confirmed == set(before.waiting[:60])
    assert after.waiting == before.waiting[60:]
    promoted = {one["userId"]: one["promotedAt"] for one in after.bookings if "promotedAt" in one}
    assert [promoted[user] for user in before.waiting[:60]] == sorted(promoted.values())


def test_one_user_who_asks_twenty_times_at_once_has_one_booking(office: RunningOffice) -> None:
    """P2, P3, P7: one request makes it, a ticket or a place in line, and the others return it."""
    event_id = open_event(office.url, tickets=1)
    for user, made in (("anna", 201), ("ben", 202)):
        booked, crowd = in_flight(office.url, event_id, Crowd.book, [user] * 20)
        assert (len({one.answer["bookingId"] for one in booked}), crowd.faults) == (1, [])
        assert sorted(one.status for one in booked) == [200] * 19 + [made]
    found = office.check_drained(event_id, within_s=1)
    assert (found.confirmed, found.waiting) == ({"anna"}, ["ben"])


def test_new_tickets_reach_waiting_users_through_the_stream_of_events(office: RunningOffice) -> None:
    """P6: nothing else wakes the promoter, in each of several tries."""
    event_id = open_event(office.url, tickets=1)
    in_flight(office.url, event_id, Crowd.book, [f"user-{n}" for n in range(4)])
    office.check_drained(event_id, within_s=PROMOTED_WITHIN_S)
    for total in (2, 3, 4):
        answer = httpx.patch(f"{office.url}/events/{event_id}", json={"totalTickets": total})
        assert (answer.status_code, answer.json()["totalTickets"]) == (200, total)
        assert len(office.check_drained(event_id, within_s=PROMOTED_WITHIN_S).confirmed) == total


def test_an_organiser_changes_the_tickets_while_a_crowd_comes_and_goes(office: RunningOffice) -> None:
    """P1 to P6, O2: more, fewer and too few tickets. In the end the last acknowledged total holds."""
    event_id = open_event(office.url, tickets=60)
    totals = [80, 50, 30, 120, 40, 90, 10, 250]
    acknowledged: list[int] = []

    async def act(crowd: Crowd, user: str) -> int:
        if user == "organiser":
            for total in totals:
                answer = await crowd.client.patch(f"/events/{event_id}", json={"totalTickets": total})
                assert (answer.status_code, answer.json().get("code")) in {(200, None), (409, "tickets-booked")}
                acknowledged.extend([total] * (answer.status_code == httpx.codes.OK))
                await asyncio.sleep(0.1)
            return 0
        booked = await crowd.book(user)
        if int(user.removeprefix("user-")) % 3 == 0:
            await crowd.cancel(user, booked.answer["bookingId"])
        return booked.status

    answers, crowd = in_flight(office.url, event_id, act, ["organiser", *(f"user-{n}" for n in range(200))], at_once=32)
    assert ({*answers}, crowd.faults) == ({0, 201, 202}, [])
    found = office.check_drained(event_id, within_s=PROMOTED_WITHIN_S)
    assert found.event["totalTickets"] == acknowledged[-1] == totals[-1]
    assert 0 < len(acknowledged) < len(totals)


@pytest.mark.parametrize("tickets", [1, 120])
def test_the_last_tickets_of_all_lanes_are_sold_at_once(office: RunningOffice, tickets: int) -> None:
    """P1, P4: the sold-out turn under a crowd, with one lane and with several."""
    event_id = open_event(office.url, tickets)
    booked, crowd = in_flight(office.url, event_id, Crowd.book, [f"user-{n}" for n in range(tickets + 70)])
    assert (len(by_status(booked, "CONFIRMED")), crowd.faults) == (tickets, [])
    office.check_drained(event_id, within_s=1)


async def _come_and_go(crowd: Crowd, user: str) -> list[Exchange]:
    """Book and cancel at random for a while; return all that was said."""
    choices = random.Random(f"{crowd.event_id} {user}")
    history: list[Exchange] = []
    until = time.monotonic() + RANDOM_RUN_S
    while time.monotonic() < until:
        history.append(await crowd.book(user))
        await asyncio.sleep(choices.uniform(0, 0.5))
        if choices.random() < 0.7:
            history.append(await crowd.cancel(user, history[-1].answer["bookingId"]))
    return history


async def _stay(crowd: Crowd, user: str) -> list[Exchange]:
    """Come at some moment, book once, and stay."""
    await asyncio.sleep(random.Random(f"{crowd.event_id} {user}").uniform(0, RANDOM_RUN_S))
    return [await crowd.book(user)]


def test_two_hundred_users_come_and_go(office: RunningOffice) -> None:
    """P1 to P6: after ten seconds everything adds up, and the users who stayed were served in order."""
    event_id = open_event(office.url, tickets=60)

    def act(crowd: Crowd, user: str) -> "asyncio.Future[list[Exchange]]":
        return asyncio.ensure_future(_stay(crowd, user) if user.startswith("loyal") else _come_and_go(crowd, user))

    users = [f"user-{n}" for n in range(140)] + [f"loyal-{n}" for n in range(60)]
    histories, crowd = in_flight(office.url, event_id, act, users, at_once=len(users))
    assert crowd.faults == []
    found = office.check_drained(event_id, within_s=PROMOTED_WITHIN_S)
    assert max(one["generation"] for one in found.bookings) > 1, "no user came back, so the index was not tested"
    assert promises.unlisted(office.database, found) == []
    waited_and_served = {one["userId"] for one in found.bookings if "promotedAt" in one}
    assert any(user.startswith("loyal") for user in waited_and_served), "no user waited, so nothing was checked"
    assert order_broken(office.changes(event_id), histories) == []
    for history in histories:
        last = history[-1]
        holds = last.user in found.confirmed or last.user in found.waiting
        assert holds == (last.path == "/book"), last


def test_parts_killed_in_the_middle_lose_nothing(tmp_path: Path) -> None:
    """P1 to P8: every acknowledged booking is there after kill -9 and a restart, and no user is stranded."""
    killing = {"user-40": "worker", "user-70": "feeder", "user-100": "dynoxide"}
    with running(tmp_path, 2) as office:
        event_id = open_event(office.url, tickets=60)
        parts = {part: office.pids(part) for part in killing.values()}
        killed = []

        async def book_cancel_and_kill(crowd: Crowd, user: str) -> Exchange:
            if user in killing:
                killed.append(office.kill(killing[user]))
            booked = await crowd.book(user)
            if int(user.removeprefix("user-")) % 3 == 0:
                return await crowd.cancel(user, booked.answer["bookingId"])
            return booked

        users = [f"user-{n}" for n in range(150)]
        last, _ = in_flight(office.url, event_id, book_cancel_and_kill, users, at_once=32)
        for part, before in parts.items():
            office.wait_for(part, len(before))
            assert not set(killed) & set(office.pids(part))
        office.process.kill()  # while the promoter may have work left
    with running(tmp_path, 2) as office:
        found = office.check_drained(event_id, within_s=PROMOTED_WITHIN_S)
        stored = {one["userId"]: one["bookingId"] for one in found.bookings}
        for one in last:
            assert stored[one.user] == one.answer["bookingId"]
            is_there = one.user in found.confirmed or one.user in found.waiting
            assert is_there == (one.answer["status"] != "CANCELLED"), one


def test_a_hanging_database_is_503_and_then_the_office_goes_on(office: RunningOffice) -> None:
    """P7: no false response while it hangs. A late write and the repeated request have one effect."""
    event_id = open_event(office.url, tickets=3)
    in_flight(office.url, event_id, Crowd.book, ["anna"])
    [engine] = office.pids("dynoxide")
    users = ["ben", "cleo", "dora", "eve"]
    os.kill(engine, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(len(users)) as threads:
            answers = list(threads.map(lambda user: _book_once(office, event_id, user), users))
    finally:
        os.kill(engine, signal.SIGCONT)
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "try-again")
        assert int(answer.headers["retry-after"]) >= 1
    booked, _ = in_flight(office.url, event_id, Crowd.book, users)
    found = office.check_drained(event_id, within_s=PROMOTED_WITHIN_S)
    assert len(by_status(booked, "CONFIRMED")) == 2
    assert (len(found.confirmed), len(found.waiting)) == (3, 2)


def _book_once(office: RunningOffice, event_id: str, user: str) -> httpx.Response:
    return httpx.post(f"{office.url}/book", json={"userId": user, "eventId": event_id}, timeout=60)
