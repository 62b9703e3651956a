"""Parts on their own: the scheduler's rhythm, the engine's index, the tie to the program."""

import errno
import itertools
import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from local import engine, parts
from local.database import Database
from local.errors import StartError
from local.parts import Part, Process, wait_until_ready
from local.runtime import Runtime
from local.scheduler import Scheduler
from local.system import Function, Schedule
from local.template import load
from tests.local.programs import ECHO_HANDLER, echo_template, happens


class Sweep:
    """A function that records its calls and fails."""

    function = Function("F", "f.handler", 3, 128, {})

    def __init__(self) -> None:
        self.payloads: list[Any] = []

    def invoke(self, payload: Any, request_id: str) -> None:
        """Record the call and fail."""
        self.payloads.append(payload)
        raise RuntimeError(request_id)


def test_a_schedule_keeps_its_rhythm_when_its_function_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call comes after one interval, and missed calls are made up for once."""
    now_s = 1000.0
    monkeypatch.setattr("local.scheduler.time.monotonic", lambda: now_s)
    sweep = Sweep()
    scheduler = Scheduler([Schedule("F", 300)], {"F": cast("Runtime", sweep)})

    calls = []
    for step_s in (0.0, 299.0, 1.0, 10.0, 290.0, 1000.0, 0.0, 300.0):
        now_s += step_s
        pause_s = scheduler.turn()
        assert 0 <= pause_s <= 300
        calls.append(len(sweep.payloads))
    assert calls == [0, 0, 1, 1, 2, 3, 3, 4]
    assert sweep.payloads[0]["source"] == "aws.scheduler"


def test_the_engine_finds_the_last_stream_record_by_an_index(tmp_path: Path) -> None:
    """Without it every write would read the whole stream (dynoxide 1.2.1)."""
    query = "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name = ?"
    with engine.running(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "tickets.db")) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {query}", ["BookingsTable"]).fetchall()
    assert "USING" in str(plan)
    assert "_stream_records_by_sequence" in str(plan)


@contextmanager
def a_worker(folder: Path, handler: str = ECHO_HANDLER) -> Iterator[Part]:
    """Start a worker with a handler; kill it at the end."""
    arguments = {"keys": None, "announcements": str(folder), "issuer": str(folder)}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        system = load(Path(echo_template(folder, handler)))
        part = Part(folder / "worker-1.log", "local.worker", system, arguments, listening)
        part.start()
        try:
            yield part
        finally:
            part.wait(0.0)


def test_a_part_ends_when_its_lifeline_is_cut(tmp_path: Path) -> None:
    """On some systems the kernel does not end it."""
    with a_worker(tmp_path) as part:
        happens(part.is_ready)
        vars(part)["_lifeline"].close()
        happens(lambda: part.death() == "exit code 1")


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("import nowhere", "EchoFunction: cannot import echo: No module named 'nowhere'"),
        ("", "EchoFunction: echo has no handler"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_handler_that_cannot_be_loaded_is_reported(tmp_path: Path, handler: str, reason: str) -> None:
    """The reason is the last line of the worker's log."""
    with a_worker(tmp_path, handler) as part, pytest.raises(StartError) as refused:
        wait_until_ready([part], time.monotonic() + 20)
    assert str(refused.value) == f"the worker-1 does not start: {reason}"


@pytest.mark.parametrize("url", ["dynamodb.example.com", "ftp://127.0.0.1", "https://dynamodb.eu-west-1.amazonaws.com"])
def test_an_endpoint_is_a_url_and_not_one_of_aws(url: str) -> None:
    """On AWS the stack has its own tables."""
    with pytest.raises(StartError, match="--endpoint takes a"):
        Database.at(url)


def test_a_database_is_used_without_the_users_aws_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its credentials and its region are for AWS."""
    for name in (*Database.embedded("").environment, "AWS_PROFILE"):
        monkeypatch.setenv(name, "the user's")
    Database.at("http://127.0.0.1:8000").adopt()
    assert os.environ["AWS_ENDPOINT_URL_DYNAMODB"] == "http://127.0.0.1:8000"
    assert "AWS_PROFILE" not in os.environ
    assert "the user's" not in {os.environ[name] for name in Database.embedded("").environment}


class Dying(Process):
    """A process that is dead after so many looks at it. Its starts are noted, and may be refused."""

    def __init__(self, folder: Path, looks: int = 0, refusal: OSError | None = None) -> None:
        super().__init__("part", folder / "part.log")
        self.log.write_text("it cannot work")
        self.looks, self.refusal = looks, refusal
        self.starts: list[float] = []

    def start(self) -> None:
        """Note a start."""
        self.starts.append(time.monotonic())
        if self.refusal:
            raise self.refusal

    def is_ready(self) -> bool:
        """Never."""
        return False

    def death(self) -> str | None:
        """Count the looks."""
        self.looks -= 1
        return "exit code 1" if self.looks < 0 else None


def test_a_part_that_ends_between_two_looks_does_not_start(tmp_path: Path) -> None:
    """It is reported with its reason, and not started again as one that was killed."""
    part, told = Dying(tmp_path, looks=1), list[str]()
    with pytest.raises(StartError, match="the part does not start: it cannot work"):
        wait_until_ready([part], time.monotonic() + 5, told.append)
    assert (part.starts, told) == ([], [])


def test_a_part_that_keeps_dying_is_started_again_after_longer_and_longer_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never gives up, since the cause may go away, and it does not waste the processor meanwhile."""
    now_s = 1000.0
    monkeypatch.setattr("local.parts.time.monotonic", lambda: now_s)
    dying = Dying(tmp_path)
    for _ in range(4000):
        dying.revive()
        now_s += 0.01
    pauses = [later - earlier for earlier, later in itertools.pairwise(dying.starts)]
    assert pauses[:6] == [pytest.approx(pause_s, abs=0.03) for pause_s in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)]
    assert pauses[6:] == [pytest.approx(parts.PAUSE_S_MAX, abs=0.03)] * len(pauses[6:])
    assert len(pauses) > 10

    now_s += parts.DEATHS_S + 1
    dying.revive()
    assert dying.starts[-1] == now_s  # older deaths are forgotten


def test_a_process_that_cannot_be_started_now_is_started_later(tmp_path: Path) -> None:
    """The machine may be out of processes for a moment."""
    part = Dying(tmp_path, refusal=BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"))
    assert "cannot be started" in str(part.revive())
    happens(lambda: part.revive() is None and len(part.starts) > 1)
