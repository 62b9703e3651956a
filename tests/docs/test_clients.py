"""docs/clients.md: its client books, retries and waits; its table has every error of the office."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from harness.crowd import open_event
from harness.running import PROJECT, RunningOffice, running
from harness.serving import Fields, serving
from local import issuer
from shared.edge.api import PROBLEMS
from tests.docs import pages

PAGE = "docs/clients.md"
CLIENT = PROJECT / "examples" / "book_and_wait.py"
WAIT_S_MAX = 60


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of the office."""
    return tmp_path_factory.mktemp("office")


@pytest.fixture(scope="module")
def office(data: Path) -> Iterator[RunningOffice]:
    """Yield an office that requires no tokens."""
    with running(data, 1) as office:
        yield office


@contextmanager
def client(url: str, event_id: str, user: str, token: str = "") -> Iterator[subprocess.Popen[str]]:
    """Start the client of the page, and kill it afterwards."""
    environment = {**os.environ, "OFFICE": url, "TOKEN": token, "LOOK_EVERY_S": "0.2"}
    command = [sys.executable, str(CLIENT), event_id, user]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
        try:
            yield one
        finally:
            one.kill()


def ended(one: subprocess.Popen[str]) -> tuple[str, str, int]:
    """Wait for a client to exit; return its output, its error output and its exit code."""
    out, err = one.communicate(timeout=WAIT_S_MAX)
    return out, err, one.returncode


def ask(office: RunningOffice, path: str, event_id: str, user: str) -> httpx.Response:
    """Send a request for a user."""
    return httpx.post(f"{office.url}{path}", json={"eventId": event_id, "userId": user})


def test_the_page_shows_the_client_as_it_is() -> None:
    """A reader who copies it from the page has the code that is tested here."""
    assert pages.blocks(PAGE, "python") == [CLIENT.read_text(encoding="utf-8")]


def test_the_client_waits_until_a_cancellation_promotes_it(office: RunningOffice) -> None:
    """The command of the page prints what the page shows, however often it polls in between."""
    [(command, output)] = pages.shown(PAGE)
    event_id = open_event(office.url, tickets=1)
    assert ask(office, "/book", event_id, "anna").status_code == 201
    command = command.replace("http://localhost:3000", office.url).replace("$EVENT", event_id)
    with subprocess.Popen(
        ["bash", "-c", f"exec env LOOK_EVERY_S=0.2 {command}"], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as one:
        try:
            assert one.stdout
            first = one.stdout.readline() + one.stdout.readline()  # it polls again and again
            assert ask(office, "/cancel", event_id, "anna").status_code == 200
            rest, _ = one.communicate(timeout=WAIT_S_MAX)
        finally:
            one.kill()
    told = pages.masked(first + rest).splitlines(keepends=True)
    assert "".join(line for n, line in enumerate(told) if line not in told[:n]) == pages.masked(output)
    assert ask(office, "/book", event_id, "ben").json()["bookingId"] in rest


def test_the_client_sends_the_token_of_the_page(tmp_path: Path) -> None:
    """With --auth, Ben's token works for Ben. For Anna the client prints the error once and exits."""
    [block] = pages.blocks(PAGE, "sh")
    with running(tmp_path, 1, "--auth") as office:
        token = pages.run(f"{block.strip().replace('--user', f'--data {tmp_path} --user')}; echo $TOKEN").strip()
        organiser = issuer.token(tmp_path / issuer.FILE, {"sub": "olga", "groups": ["organiser"]})
        opened = httpx.post(
            f"{office.url}/initialize",
            json={"name": "The concert", "totalTickets": 1},
            headers={"authorization": f"Bearer {organiser}"},
        )
        event_id = opened.json()["eventId"]
        with client(office.url, event_id, "ben", token) as one:
            assert ended(one)[0].startswith("CONFIRMED ")
        with client(office.url, event_id, "anna", token) as one:
            out, err, code = ended(one)
    assert (out, json.loads(err)["code"], code) == ("", "not-your-booking", 1)


@contextmanager
def losing(office: RunningOffice, answers: int) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a proxy that drops the first responses of an office, and the paths it was asked for."""
    asked: list[str] = []

    def pass_on(_method: str, target: str, _headers: Fields, body: bytes) -> tuple[int, bytes]:
        asked.append(target)
        answer = httpx.post(f"{office.url}{target}", content=body, timeout=WAIT_S_MAX)
        if len(asked) <= answers:
            raise ConnectionError
        return answer.status_code, answer.content

    with serving(pass_on) as url:
        yield url, asked


def test_a_request_whose_response_is_lost_is_repeated_and_books_once(office: RunningOffice) -> None:
    """P7 from the client's side: two responses are lost, and one of two tickets is sold."""
    event_id = open_event(office.url, tickets=2)
    with losing(office, answers=2) as (url, asked), client(url, event_id, "ben") as one:
        assert ended(one)[0].startswith("CONFIRMED ")
    assert asked == ["/book"] * 3
    assert office.check_drained(event_id, within_s=5).event["totalTickets"] == 2
    assert httpx.get(f"{office.url}/status/{event_id}").json()["bookedTickets"] == 1


def test_the_client_retries_after_try_again(office: RunningOffice, data: Path) -> None:
    """The database is suspended until the office has responded with 503."""
    event_id = open_event(office.url, tickets=1)
    [engine] = office.pids("dynoxide serve")
    os.kill(engine, signal.SIGSTOP)
    try:
        with client(office.url, event_id, "ben") as one:
            _until(lambda: '"TryAgain"' in (data / "logs" / "worker-1.log").read_text())
            os.kill(engine, signal.SIGCONT)
            assert ended(one)[0].startswith("CONFIRMED ")
    finally:
        os.kill(engine, signal.SIGCONT)


def _until(happened: Callable[[], bool]) -> None:
    until_s = time.monotonic() + WAIT_S_MAX
    while not happened():
        assert time.monotonic() < until_s
        time.sleep(0.1)


@pytest.mark.parametrize(("page", "columns"), [(PAGE, 4), ("docs/api.md", 3)])
def test_every_error_is_in_the_table_with_its_status(page: str, columns: int) -> None:
    """The table has exactly the codes that the office can return."""
    [table] = [table for table in pages.tables(page) if table[0][:2] == ["status", "code"]]
    assert {len(row) for row in table} == {columns}
    listed = [(int(row[0]), code.strip("` ")) for row in table[1:] for code in row[1].split(",")]
    assert sorted(listed) == sorted({(status, code) for status, code, _ in PROBLEMS.values()})


def test_the_client_retries_exactly_what_the_table_says() -> None:
    """The table's statuses, plus those of API Gateway."""
    [table] = [table for table in pages.tables(PAGE) if table[0][:2] == ["status", "code"]]
    again = {int(row[0]) for row in table[1:] if row[2].startswith("yes")}
    assert {int(row[0]) for row in table[1:] if row[2] == "no"}.isdisjoint(again)
    assert f"NOT_NOW = {{{', '.join(map(str, sorted(again | {429, 502, 504})))}}}" in CLIENT.read_text()
