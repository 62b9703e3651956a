"""Parts on their own: the scheduler's rhythm, the engine's index, the tie to the program."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from local import engine
from local.database import Database
from local.errors import StartError
from local.lifeline import READY
from local.parts import Process, wait_until_ready
from local.runtime import Runtime
from local.scheduler import Scheduler
from local.template import Function, Schedule
from tests.local.programs import PROJECT, echo_template


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


@pytest.mark.parametrize("module", ["local.worker", "local.scheduler", "local.bus"])
def test_a_part_ends_when_its_lifeline_is_cut(tmp_path: Path, module: str) -> None:
    """On some systems the kernel does not end it."""
    ours, theirs = socket.socketpair()
    listening = socket.create_server(("127.0.0.1", 0))
    arguments: dict[str, Any] = {
        "template": echo_template(tmp_path), "parameters": {}, "keys": None, "announcements": str(tmp_path),
        "issuer": str(tmp_path), "parent": os.getpid(), "lifeline": theirs.fileno(), "socket": listening.fileno(),
        "function": "EchoFunction", "every_s": [60], "failed_records": str(tmp_path),
    }  # fmt: skip
    with ours, theirs, listening:
        part = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(arguments)],
            cwd=PROJECT,
            pass_fds=[theirs.fileno(), listening.fileno()],
            env={**os.environ, "COLOUR": "red"},
        )
        try:
            theirs.close()
            ours.settimeout(20)
            if module == "local.worker":
                assert ours.recv(1) == READY
            else:
                time.sleep(0.1)
            ours.close()
            assert part.wait(10) == 1
        finally:
            part.kill()
            part.wait()


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
    """A process that ends by itself after the first look at it."""

    def __init__(self, folder: Path) -> None:
        super().__init__("part", folder / "part.log")
        self.log.write_text("it cannot work")
        self.looks = self.starts = 0

    def start(self) -> None:
        """Count the starts."""
        self.starts += 1

    def is_ready(self) -> bool:
        """Never."""
        return False

    def death(self) -> str | None:
        """Live until it was looked at once."""
        self.looks += 1
        return "exit code 1" if self.looks > 1 else None


def test_a_part_that_ends_between_two_looks_does_not_start(tmp_path: Path) -> None:
    """It is reported with its reason, and not started again as one that was killed."""
    part, told = Dying(tmp_path), list[str]()
    with pytest.raises(StartError, match="the part does not start: it cannot work"):
        wait_until_ready([part], time.monotonic() + 5, told.append)
    assert (part.starts, told) == (0, [])
