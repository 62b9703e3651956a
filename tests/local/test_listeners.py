"""GET /local/events, end to end: stream, function, bus and listeners."""

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local import announcements, listeners
from local.announcements import Writer
from tests.announce import schemas
from tests.local.programs import Program, happens, opened, post, sold_out, status_of_bob
from tests.local.test_announcements import everything, so_far

HEARD_S_MAX = 10.0


@contextmanager
def listening(url: str, place: str | None = "0", **headers: str) -> Iterator[Iterator[tuple[str, Any]]]:
    """Listen from a place on; yield the events, each with the place after it."""
    if place is not None:
        headers |= {"Last-Event-ID": place}
    with httpx.stream("GET", f"{url}{listeners.PATH}", headers=headers, timeout=HEARD_S_MAX) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    for line in lines:
        if line.startswith("id: "):
            place = line.removeprefix("id: ")
            data = next(lines).removeprefix("data: ")
            assert next(lines) == ""
            yield place, json.loads(data)


def told(event: dict[str, Any]) -> tuple[str, str]:
    """Return an event's type and user."""
    return event["detail-type"], event["detail"]["data"].get("userId", "-")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of the office."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def office(data: Path) -> Iterator[Program]:
    """Yield an office with two workers, in which each test has events of its own."""
    with opened("--data", str(data), "--workers", "2") as program:
        yield program


def test_every_step_of_a_booking_is_heard_and_can_be_heard_again(office: Program) -> None:
    """Each event matches its schema, and a client can go on after any of them, at any worker."""
    with listening(office.url, place=None) as events:
        event_id = sold_out(office)
        post(office, "/cancel", userId="ada", eventId=event_id)
        heard = [next(events) for _ in range(6)]
    assert Counter(told(event) for _, event in heard) == Counter(
        [
            ("event.opened", "-"), ("booking.confirmed", "ada"), ("event.sold-out", "-"), ("waiting.joined", "bob"),
            ("booking.cancelled", "ada"), ("booking.confirmed", "bob"),
        ]
    )  # fmt: skip
    of_bookings = [told(event) for _, event in heard if "userId" in event["detail"]["data"]]
    assert of_bookings[0] == ("booking.confirmed", "ada")
    assert of_bookings[-1] == ("booking.confirmed", "bob")
    for _, event in heard:
        schemas.check(event["detail"])
        assert event["detail-type"] == event["detail"]["type"]
    with listening(office.url, heard[2][0]) as events:
        assert [next(events) for _ in range(3)] == heard[3:]


def test_a_listener_blocks_neither_other_requests_nor_the_stop(tmp_path: Path) -> None:
    """Even with a single worker. From the first place on it hears everything, and nothing is logged as an error."""
    with opened("--data", str(tmp_path), "--workers", "1") as program, listening(program.url) as events:
        event_id = sold_out(program)
        assert status_of_bob(program, event_id) == "WAITING"
        assert [next(events)[1]["detail"]["type"] for _ in range(4)].count("event.sold-out") == 1
        seconds, printed = program.interrupt()
        assert seconds < 2
        assert "Traceback" not in printed
        assert list(events) == []
    assert len(everything(tmp_path / "announcements")) == 4
    assert "Traceback" not in "".join(path.read_text() for path in (tmp_path / "logs").iterdir())


def test_no_announcement_is_lost_when_parts_are_killed(office: Program, data: Path) -> None:
    """Everything is announced at least once; repetitions have the same id."""
    event_id = post(office, "/initialize", name="Concert", totalTickets=30).json()["eventId"]
    killed = {15: "AnnounceFunction", 25: "local.bus", 35: "AnnounceFunction", 45: "local.bus", 55: "AnnounceFunction"}
    bookings = {}
    for number in range(60):
        if number in killed:
            happens(lambda: office.pids(killed[number]))  # noqa: B023 - called at once
            office.kill(killed[number])
        booked = post(office, "/book", userId=f"user-{number}", eventId=event_id).json()
        kind = "booking.confirmed" if booked["status"] == "CONFIRMED" else "waiting.joined"
        bookings[f"{kind}:{booked['bookingId']}"] = number
    expected = bookings.keys() | {f"event.opened:{event_id}", f"event.sold-out:{event_id}:1"}

    def found() -> set[str]:
        details = [json.loads(line)["detail"] for _, line in so_far(data / "announcements")]
        return {detail["id"] for detail in details if detail["data"]["eventId"] == event_id}

    happens(lambda: found() == expected)


def test_the_number_of_listeners_is_limited(office: Program) -> None:
    """By worker. Another one gets 503 until one leaves."""
    each_its_own = {"connection": "close"}  # connections go to the workers in turn
    with httpx.Client(base_url=office.url, limits=httpx.Limits(max_connections=100), headers=each_its_own) as client:
        most = 2 * listeners.LISTENERS_MAX
        listening = [client.send(client.build_request("GET", listeners.PATH), stream=True) for _ in range(most)]
        assert {one.status_code for one in listening} == {200}
        assert client.get(listeners.PATH).status_code == 503
        listening.pop().close()

        def comes_in() -> bool:
            with client.stream("GET", listeners.PATH) as answer:
                return answer.status_code == 200

        happens(comes_in)
        for one in listening:
            one.close()


def test_a_comment_keeps_an_idle_stream_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy closes the connection."""
    monkeypatch.setattr(listeners, "KEEP_ALIVE_S", 0.05)
    monkeypatch.setattr(listeners, "LOOK_S", 0.01)
    sent: list[bytes] = []
    here = listeners.Listeners(tmp_path)

    async def listen() -> None:
        async def receive() -> Any:
            await asyncio.sleep(60)

        async def send(message: Any) -> None:
            sent.append(message["body"])
            here.closing = len(sent) == 3

        await here.stream(0, math.inf, receive, send)

    begun_s = time.monotonic()
    asyncio.run(listen())
    assert sent == [b": nothing new\n\n"] * 3 + [b""]
    assert time.monotonic() - begun_s > 0.15


def test_a_listener_goes_on_after_the_last_event_it_saw(tmp_path: Path) -> None:
    """An id that these announcements did not give, such as one of another run, stands for all of them."""
    here = listeners.Listeners(tmp_path)
    Writer(tmp_path).append([b"{}"] * 10)
    identity = announcements.identity(tmp_path)
    assert listeners.Listeners(tmp_path).place([(b"last-event-id", identity + b"-6")]) == 6
    assert here.place([(b"last-event-id", identity + b"-30")]) == 30
    for none in ([], [(b"last-event-id", b"")]):
        assert here.place(none) == 30
    other = bytes(reversed(identity)) if identity != identity[::-1] else b"00"
    for strange in (
        b"0", b"6", b"-1", b"x", b"99999999999999999999", b"1" * 50, identity, identity + b"-", identity + b"-31",
        identity + b"-x", identity + b"-" + b"9" * 50, other + b"-6", b"-6", "\u0665".encode(), b"\xff",
        identity[:4] + b"-6",
    ):  # fmt: skip
        assert here.place([(b"last-event-id", strange)]) == 0
