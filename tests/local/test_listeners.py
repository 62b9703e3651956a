"""GET /local/events, and the whole way there: the stream, the function, the bus, and whoever listens."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local import issuer, listeners
from tests.announce import schemas
from tests.local.programs import Program, happens, opened, post, sold_out, status_of_bob
from tests.local.test_announcements import everything

HEARD_S_MAX = 10.0


@contextmanager
def listening(program: Program, place: str | None = "0", **headers: str) -> Iterator[Iterator[tuple[int, Any]]]:
    """Listen from a place on; yield the events as they come, each with the place after it."""
    if place is not None:
        headers |= {"Last-Event-ID": place}
    with httpx.stream("GET", f"{program.url}{listeners.PATH}", headers=headers, timeout=HEARD_S_MAX) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[tuple[int, Any]]:
    for line in lines:
        if line.startswith("id: "):
            place = int(line.removeprefix("id: "))
            data = next(lines).removeprefix("data: ")
            assert next(lines) == ""
            yield place, json.loads(data)


def told(event: dict[str, Any]) -> tuple[str, str]:
    """Return what happened, and to whom."""
    return event["detail-type"], event["detail"]["data"].get("userId", "-")


def test_a_life_is_heard_as_it_happens_and_again_from_any_place(tmp_path: Path) -> None:
    """The template's own function on the real stream; each is what its schema says."""
    with opened("--data", str(tmp_path), "--workers", "2") as program:
        with listening(program) as events:
            event_id = sold_out(program)
            post(program, "/cancel", userId="ada", eventId=event_id)
            heard = [next(events) for _ in range(6)]
        assert Counter(told(event) for _, event in heard) == Counter(
            [
                ("event.opened", "-"),
                ("booking.confirmed", "ada"),
                ("event.sold-out", "-"),
                ("waiting.joined", "bob"),
                ("booking.cancelled", "ada"),
                ("booking.promoted", "bob"),
            ]
        )
        of_bookings = [told(event) for _, event in heard if "userId" in event["detail"]["data"]]
        assert of_bookings[0] == ("booking.confirmed", "ada")
        assert of_bookings[-1] == ("booking.promoted", "bob")
        for _, event in heard:
            schemas.check(event["detail"])
            assert event["detail-type"] == event["detail"]["type"]
        with listening(program, str(heard[2][0])) as events:
            assert [next(events) for _ in range(3)] == heard[3:]
        with listening(program, place=None) as events:
            post(program, "/book", userId="cleo", eventId=event_id)
            assert told(next(events)[1]) == ("waiting.joined", "cleo")
        seconds, printed = program.interrupt()
        assert seconds < 5
        assert "Traceback" not in printed
    assert len(everything(tmp_path / "announcements")) == 7
    assert "Traceback" not in "".join(path.read_text() for path in (tmp_path / "logs").iterdir())


def test_who_listens_does_not_hold_up_the_stop_nor_the_others(tmp_path: Path) -> None:
    """One worker answers while somebody listens, says that it is there, and lets go at Ctrl-C."""
    with opened("--memory", "--workers", "1") as program, listening(program) as events:
        event_id = sold_out(program)
        assert status_of_bob(program, event_id) == "WAITING"
        assert [next(events)[1]["detail"]["type"] for _ in range(4)].count("event.sold-out") == 1
        seconds, _ = program.interrupt()
        assert seconds < 2
        assert list(events) == []


def test_so_many_may_listen_and_then_no_more(tmp_path: Path) -> None:
    """Until one of them leaves."""
    with opened("--memory", "--workers", "1") as program:
        url = f"{program.url}{listeners.PATH}"
        with httpx.Client(limits=httpx.Limits(max_connections=100)) as client:
            listening = [
                client.send(client.build_request("GET", url), stream=True) for _ in range(listeners.LISTENERS_MAX)
            ]
            assert {one.status_code for one in listening} == {200}
            assert client.get(url).status_code == 503
            listening.pop().close()

            def comes_in() -> bool:
                with client.stream("GET", url) as answer:
                    return answer.status_code == 200

            happens(comes_in)
            for one in listening:
                one.close()


def test_with_tokens_only_organisers_listen(tmp_path: Path) -> None:
    """What is told names users. A page asks with fetch, which can send the header; EventSource cannot."""
    origin = "https://tickets.example"
    cors = ("--parameter", f"CorsOrigins={origin}")
    with opened("--data", str(tmp_path), "--workers", "1", "--auth", *cors) as program:
        url = f"{program.url}{listeners.PATH}"
        assert httpx.get(url).status_code == 401
        assert httpx.get(f"{url}?token=x").status_code == 401
        buyer = {"Authorization": f"Bearer {issuer.token(tmp_path / issuer.FILE, {'sub': 'ada'})}"}
        assert httpx.get(url, headers=buyer).status_code == 403
        bookings = {"sub": "olga", "cognito:groups": [issuer.GROUP]}
        token = issuer.token(tmp_path / issuer.FILE, bookings)
        organiser = {"Authorization": f"Bearer {token}", "Origin": origin}
        with httpx.stream("GET", url, headers=organiser) as answer:
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize("part", ["AnnounceFunction", "local.bus"])
def test_what_is_killed_without_warning_loses_nothing(tmp_path: Path, part: str) -> None:
    """At least once: everything is told, what comes twice has the same id."""
    with opened("--data", str(tmp_path), "--workers", "1") as program:
        event_id = post(program, "/initialize", name="Concert", totalTickets=30).json()["eventId"]
        bookings = {}
        for number in range(60):
            if number in (15, 35, 50):
                program.kill(part)
            booked = post(program, "/book", userId=f"user-{number}", eventId=event_id).json()
            kind = "booking.confirmed" if booked["status"] == "CONFIRMED" else "waiting.joined"
            bookings[f"{kind}:{booked['bookingId']}"] = number
        expected = bookings.keys() | {f"event.opened:{event_id}", f"event.sold-out:{event_id}"}

        def found() -> set[str]:
            return {json.loads(line)["detail"]["id"] for line in everything(tmp_path / "announcements")}

        happens(lambda: found() == expected)


def test_where_nothing_happens_a_comment_says_that_somebody_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no proxy closes the connection; and after an event it is not said."""
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

        await here.stream(0, receive, send)

    begun_s = time.monotonic()
    asyncio.run(listen())
    assert sent == [b": nothing new\n\n"] * 3 + [b""]
    assert time.monotonic() - begun_s > 0.15
    assert here.place([(b"last-event-id", b"7")]) == 7
    for strange in (b"", b"-1", b"x", b"1" * 50):
        assert here.place([(b"last-event-id", strange)]) == 0
