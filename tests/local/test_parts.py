"""The parts by themselves: the scheduler's rhythm, the engine's index, the tie to the program."""

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
from local.runtime import Runtime
from local.scheduler import Scheduler
from local.template import Function, Schedule
from tests.local.programs import PROJECT, echo_template


class Sweep:
    """A function that notes its calls, and fails."""

    function = Function("F", "f.handler", 3, 128, {})

    def __init__(self) -> None:
        self.payloads: list[Any] = []

    def invoke(self, payload: Any, request_id: str) -> None:
        """Fail after noting the call."""
        self.payloads.append(payload)
        raise RuntimeError(request_id)


def test_a_schedule_keeps_its_rhythm_whatever_its_function_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call comes after one interval; one that was missed is not made up for twice."""
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


def test_the_stream_is_indexed_where_the_engine_looks_for_its_last_record(tmp_path: Path) -> None:
    """Without the index every write would read the whole stream (dynoxide 1.2.1)."""
    query = "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name = ?"
    with engine.running(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "tickets.db")) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {query}", ["BookingsTable"]).fetchall()
    assert "USING" in str(plan)
    assert "_stream_records_by_sequence" in str(plan)


def test_tables_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    """What they hold is kept from one run to the next."""
    item = {"eventId": {"S": "1"}}
    with engine.running(tmp_path) as endpoint:
        Database.embedded(endpoint).client().put_item(TableName="EventsTable", Item=item)
    with engine.running(tmp_path) as endpoint:
        found = Database.embedded(endpoint).client().get_item(TableName="EventsTable", Key=item)
    assert found["Item"] == item


@pytest.mark.parametrize("module", ["local.worker", "local.scheduler", "local.bus"])
def test_a_part_ends_when_its_lifeline_is_cut(tmp_path: Path, module: str) -> None:
    """Also on systems where the kernel does not see to it."""
    ours, theirs = socket.socketpair()
    listening = socket.create_server(("127.0.0.1", 0))
    arguments: dict[str, Any] = {
        "template": echo_template(tmp_path),
        "parameters": {},
        "issuer": None,
        "announcements": str(tmp_path),
        "parent": os.getpid(),
        "lifeline": theirs.fileno(),
        "socket": listening.fileno(),
    }
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


@pytest.mark.parametrize(
    ("url", "real", "region"),
    [
        ("http://127.0.0.1:8000", False, "eu-west-3"),
        ("https://dynamodb.eu-central-1.amazonaws.com", True, "eu-central-1"),
        ("https://123456789012.ddb.us-east-2.amazonaws.com", True, "us-east-2"),
        ("https://dynamodb.cn-north-1.amazonaws.com.cn", True, "cn-north-1"),
        ("https://dynamodb.eu-central-1.amazonaws.com.example", False, "eu-west-3"),
    ],
)
def test_an_endpoint_of_aws_is_known_by_its_name(
    monkeypatch: pytest.MonkeyPatch, url: str, real: bool, region: str
) -> None:
    """Its region follows from it; made-up credentials are for the others only, and only where there are none."""
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    database = Database.at(url)
    assert (database.is_real, database.environment["AWS_REGION"]) == (real, region)
    assert ("AWS_ACCESS_KEY_ID" in database.environment) is not real
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    assert "AWS_ACCESS_KEY_ID" not in Database.at(url).environment
    with pytest.raises(StartError, match="--endpoint takes a URL"):
        Database.at("dynamodb.eu-central-1.amazonaws.com")
