"""A sold-out event whose holds expire, over real HTTP against `python -m local --expire-every 1`.

Each ticket goes to the next user in line, in order, none twice and none lost (P1 to P6, H1 to H3), also when every
process of the office is killed on the way.
"""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path

import httpx
import pytest

from harness import promises
from harness.crowd import Crowd, in_flight, open_event
from harness.promises import Item
from harness.running import RunningOffice, running
from local.announcements import read
from tests.local.programs import happens

TICKETS = 6
IN_LINE = 24
HOLD_S = 2
END_S_MAX = 90.0  # until the last offer has ended; it takes 25 on an idle machine
ANNOUNCED_S_MAX = 20.0
OPTIONS = ("--expire-every", "1")
PARTS = ("local.worker", "local.feeder", "local.scheduler", "local.bus", "dynoxide")
LOOK_EVERY_S = 0.1
KILL_EVERY_S = 1.0
ROUNDS = 2  # of kills


def _in_line(number: int) -> str:
    return f"line-{number:02}"


def _sells_out(office: RunningOffice, event_id: str) -> None:
    """Let the first users hold every ticket, and the others join the list one after the other."""
    held, _ = in_flight(office.url, event_id, Crowd.book, [f"holder-{n}" for n in range(TICKETS)])
    assert {one.answer["status"] for one in held} == {"HELD"}
    waiting, _ = in_flight(office.url, event_id, Crowd.book, [_in_line(n) for n in range(IN_LINE)], at_once=1)
    assert {one.status for one in waiting} <= {200, 202}, "a repeated request gets 200"


@contextmanager
def _again_and_again(act: Callable[[], None], every_s: float) -> Iterator[None]:
    """Act in a thread during the block."""
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(every_s):
            act()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


@contextmanager
def _confirming(url: str, event_id: str, answers: dict[str, int]) -> Iterator[None]:
    """Let some users, fewer than there are tickets, confirm their offer as soon as they see it.

    `answers` gets the status that each of them got.
    """
    users = [_in_line(n) for n in range(0, IN_LINE, IN_LINE // (TICKETS - 2))]

    def look() -> None:
        for user in users:
            if user in answers:
                continue
            with suppress(httpx.TransportError):  # an office that is being killed
                mine = {"userId": user, "eventId": event_id}
                found = client.get("/bookings", params=mine)
                booking = found.json()["bookings"][0] if found.status_code == 200 else {}
                if booking.get("status") != "HELD":
                    continue
                answer = client.post("/confirm", json={**mine, "bookingId": booking["bookingId"]})
                if answer.status_code in {200, 409}:
                    answers[user] = answer.status_code

    with httpx.Client(base_url=url, timeout=30) as client, _again_and_again(look, LOOK_EVERY_S):
        yield


def _has_ended(office: RunningOffice, event_id: str) -> promises.Snapshot:
    """Wait until no user holds or waits; return what the tables then contain."""
    until_s = time.monotonic() + END_S_MAX
    while True:
        # Twice: during the first read the last hold may have ended, or the last in line may have got an offer.
        before, found = (promises.read(office.database, event_id) for _ in range(2))
        if not any((before.held, before.waiting, found.held, found.waiting)):
            return found
        assert time.monotonic() < until_s, f"{found.held} hold and {found.waiting} wait"
        time.sleep(0.5)


def _violations(changes: Sequence[Item], found: promises.Snapshot) -> list[str]:
    """List what is wrong in all states that bookings took, in the database's order."""
    broken = promises.violations(found, drained=True) + promises.queue_jumps(changes)
    offers = [one for one in changes if one["status"] == "HELD" and "promotedAt" in one]
    places = [one["sequence"] for one in offers]
    if places != sorted(places):
        broken.append(f"P5: offers went to the places {places}")
    if repeated := [user for user, count in Counter(one["userId"] for one in offers).items() if count > 1]:
        broken.append(f"offered twice: {repeated}")
    if left_out := {_in_line(n) for n in range(IN_LINE)} - {one["userId"] for one in offers}:
        broken.append(f"never offered: {left_out}")
    owners: set[str] = set()
    expires_at: dict[str, str] = {}
    for one in changes:
        owners = owners | {one["userId"]} if one["status"] in {"HELD", "CONFIRMED"} else owners - {one["userId"]}
        if len(owners) > TICKETS:
            broken.append(f"P1: {sorted(owners)} own {TICKETS} tickets")
        if one["status"] == "HELD":
            expires_at[one["bookingId"]] = one["expiresAt"]
        if one["status"] == "EXPIRED" and one["expiredAt"] < expires_at[one["bookingId"]]:
            broken.append(f"H1: the hold of {one['userId']} expired early")
    return broken


def _judge(office: RunningOffice, event_id: str, answers: dict[str, int], data: Path) -> promises.Snapshot:
    """Assert that every ticket went down the line, and that the buyers and the bus were told the same."""
    found = _has_ended(office, event_id)
    changes = office.changes(event_id)
    assert _violations(changes, found) == []
    told = {user for user, status in answers.items() if status == 200}
    assert told <= found.confirmed, "H2: a confirmation is final"
    refused = answers.keys() - told
    assert not refused & found.confirmed, "H2: a refused user never has the ticket"
    assert len(found.confirmed) + found.tickets_left == TICKETS
    _is_announced(data, event_id, "booking.offered", {one["bookingId"] for one in changes if "promotedAt" in one})
    expired = {one["bookingId"] for one in changes if one["status"] == "EXPIRED"}
    _is_announced(data, event_id, "booking.expired", expired)
    return found


def _is_announced(data: Path, event_id: str, type_: str, bookings: set[str]) -> None:
    """Wait until the bus has announced this step of exactly these bookings."""
    until_s = time.monotonic() + ANNOUNCED_S_MAX
    while (announced := _announced(data, event_id, type_)) != bookings:
        assert announced <= bookings, type_
        assert time.monotonic() < until_s, f"{type_}: {bookings - announced} are missing"
        time.sleep(0.2)


def _announced(data: Path, event_id: str, type_: str) -> set[str]:
    """Return the bookings of the event that the bus has announced with this type."""
    lines = read(data / "announcements", 0)  # they fit into one piece
    details = [json.loads(line)["detail"] for _, line in lines]
    told = [one["data"] for one in details if one["type"] == type_]
    return {one["bookingId"] for one in told if one["eventId"] == event_id}


@contextmanager
def _killing(office: RunningOffice) -> Iterator[Counter[str]]:
    """Kill all processes of one part after the other with SIGKILL; yield how often each part was killed."""
    kills: Counter[str] = Counter()
    turns = cycle(PARTS)

    def kill() -> None:
        part = next(turns)
        for pid in office.pids(part):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        kills[part] += 1

    with _again_and_again(kill, KILL_EVERY_S):
        yield kills


@pytest.mark.timeout(240)
def test_each_ticket_goes_down_the_line_although_every_process_is_killed(tmp_path: Path) -> None:
    """H2, H3, P8: one offer for every user in line, in order; those who confirm keep the ticket.

    After the first confirmation workers, feeders, schedulers, bus and engine are killed in turn, and in the end the
    program itself.
    """
    answers: dict[str, int] = {}
    with running(tmp_path, 2, *OPTIONS) as office:
        event_id = open_event(office.url, TICKETS, holdSeconds=HOLD_S, confirmedBy="buyer")
        _sells_out(office, event_id)
        with _confirming(office.url, event_id, answers):
            happens(lambda: answers, END_S_MAX)
            with _killing(office) as kills:
                happens(lambda: min(kills[part] for part in PARTS) >= ROUNDS, END_S_MAX)
        office.process.kill()
    with running(tmp_path, 2, *OPTIONS) as office, _confirming(office.url, event_id, answers):
        found = _judge(office, event_id, answers, tmp_path)
    assert found.confirmed, "no user confirmed in time: H2 was not put to the test"
