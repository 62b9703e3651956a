"""Start, stop and failures as the user of `python -m local` sees them."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

from harness.running import PROJECT, below, client_of, free_port
from local import STOP_SIGNALS, engine, folder, issuer, parts
from local.child import AFTER_ENGINE, LOW_PRIORITY
from local.listening import Handout, listen
from local.supervisor import Supervisor
from local.template import load
from tests.local.programs import (
    ECHO_TEMPLATE,
    FEEDERS,
    PARTS,
    SCHEDULERS,
    Program,
    alive,
    echo_template,
    happens,
    opened,
    post,
    sold_out,
    started,
    status_of_bob,
)

STOP_S_MAX = 5.0


def test_it_prints_its_addresses_and_what_to_try_and_stops_with_ctrl_c(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    """It stops within 5 s, without a traceback, and leaves no process. Without --auth nobody needs or gets a token."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / issuer.FILE).touch()  # left by a killed program
    with opened("--data", str(tmp_path / "data"), "--workers", "1") as program:
        printed_lines = [program.process.stdout.readline() for _ in range(5)]  # type: ignore[union-attr]
        assert sum("curl" in line for line in printed_lines[:3]) == 2
        assert printed_lines[4].startswith("No token is needed: anyone may do anything")
        database = re.search(r"its database listens at (http://127\.0\.0\.1:\d+)\.", program.printed)
        assert database
        assert "BookingsTable" in client_of(database[1]).list_tables()["TableNames"]
        event_id = sold_out(program)
        children = program.pids()
        assert len(children) == PARTS
        assert os.getpgid(program.process.pid) not in {
            os.getpgid(child) for child in children
        }  # Ctrl-C reaches us only
        seconds, printed = program.interrupt()
        assert program.process.returncode == 0
        assert seconds < STOP_S_MAX
        assert "Traceback" not in printed
        assert alive(children) == []
    logs = "".join(path.read_text() for path in (tmp_path / "data" / "logs").iterdir())
    assert "Traceback" not in logs
    assert event_id in logs
    line = refusal("token", "--data", str(tmp_path / "data"), "--user", "ada")
    assert line == f"no ticket office with --auth uses the data folder {tmp_path / 'data'}"


def test_a_running_request_is_answered_before_the_stop(echo: str) -> None:
    """A closed terminal, which sends SIGHUP, does not abort it either. No process is left."""
    with opened("--template", echo, "--memory", "--workers", "1") as program:
        children = program.pids()
        with socket.create_connection(("127.0.0.1", program.port)) as client:
            client.sendall(b"GET /do/sleep-0.7 HTTP/1.1\r\nhost: localhost\r\n\r\n")
            time.sleep(0.2)
            program.process.send_signal(signal.SIGHUP)
            printed, _ = program.process.communicate(timeout=STOP_S_MAX)
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert program.process.returncode == 0
        assert "Traceback" not in printed
        assert alive(children) == []


def test_a_stop_signal_raises_no_exception(tmp_path: Path, echo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception within Popen.poll could leave its lock taken, and the stop would wait for it."""
    looked: list[str] = []

    def death(part: parts.Part) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        looked.append(part.name)

    monkeypatch.setattr(parts.Part, "death", death)
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    system = load(Path(echo))
    try:
        with folder.opened(tmp_path / "data") as data, closing(Handout([listen("127.0.0.1", 0)], 3)) as handout:
            Supervisor(system, data, handout, "http://127.0.0.1:1", None).keep(print)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert [name for name in looked if "worker" in name] == ["worker-1", "worker-2", "worker-3"]


def test_a_handler_that_does_not_end_is_killed_at_the_stop(tmp_path: Path, echo: str) -> None:
    """After 2 s; every crash is safe (P8)."""
    patient = Path(echo).read_text().replace("Timeout: 1", "Timeout: 60")
    template = echo_template(tmp_path, template=patient)
    with opened("--template", template, "--memory", "--workers", "1") as program:
        children = program.pids()
        with socket.create_connection(("127.0.0.1", program.port)) as client:
            client.sendall(b"GET /do/sleep-50 HTTP/1.1\r\nhost: localhost\r\n\r\n")
            time.sleep(0.2)
            program.process.terminate()
            printed, _ = program.process.communicate(timeout=STOP_S_MAX)
        assert "Traceback" not in printed
        assert alive(children) == []


def test_ctrl_c_stops_it_at_any_moment_of_the_start(echo: str) -> None:
    """There is no traceback, and no process is left."""
    for delay_s in (0.15, 0.4, 0.8):
        with started("--template", echo, "--memory", "--port", "0") as program:
            time.sleep(delay_s)
            children = program.pids()
            seconds, printed = program.interrupt()
            assert "Traceback" not in printed
            assert seconds < STOP_S_MAX
            assert alive(children) == []


def test_a_port_that_is_about_to_become_free_is_waited_for() -> None:
    """A killed program may hold it for a moment."""
    other = socket.create_server(("127.0.0.1", 0))
    port = other.getsockname()[1]
    closing_it = threading.Timer(0.3, other.close)
    closing_it.start()
    listening = listen("127.0.0.1", port)
    closing_it.join()
    listening.close()


def kill_each(program: Program, part: str, times: int) -> None:
    """Kill so many processes of a part, each as soon as it appears."""
    killed: set[int] = set()
    while len(killed) < times:
        pid = happens(lambda: set(program.pids(part)) - killed).pop()
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)


@pytest.mark.parametrize("part", ["dynoxide", "local.worker"])
def test_a_part_that_is_killed_during_the_first_start_is_started_again(echo: str, part: str) -> None:
    """Only a part that exits by itself ends the program."""
    with started("--port", "0", "--template", echo, "--memory", "--workers", "1") as program:
        kill_each(program, part, times=3)
        program.wait_until_open()
        assert httpx.get(f"{program.url}/do/nothing").status_code == 200


@pytest.fixture(scope="module")
def office() -> Iterator[Program]:
    """Yield an office with one worker, in which each test has events of its own."""
    with opened("--memory", "--workers", "1") as program:
        yield program


def test_whatever_is_killed_even_while_it_starts_again_is_started_again(office: Program) -> None:
    """A death during a restart is a death like any other; nothing that was acknowledged is lost (P8)."""
    event_id = sold_out(office)
    before = set(office.pids())
    for part in ("dynoxide", "local.worker", *FEEDERS, *SCHEDULERS, "local.bus"):
        kill_each(office, part, times=2)
    assert post(office, "/cancel", userId="ada", eventId=event_id).json()["was"] == "CONFIRMED"
    happens(lambda: status_of_bob(office, event_id) == "CONFIRMED")
    happens(lambda: len(after := office.pids()) == PARTS and not before & set(after))


def test_the_engine_comes_first_and_announcements_last(office: Program) -> None:
    """All parts wait for the engine. It has one thread, since it serves one request at a time."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    parts = ("dynoxide", "local.worker", *FEEDERS, "local.bus")
    part, last = own + AFTER_ENGINE, own + AFTER_ENGINE + LOW_PRIORITY

    def niceness() -> list[int]:
        return [os.getpriority(os.PRIO_PROCESS, pid) for part in parts for pid in office.pids(part)]

    happens(lambda: niceness() == [own, part, part, part, last, last])  # some may just have begun
    [engine] = office.pids("dynoxide")
    assert len(list(Path(f"/proc/{engine}/task").iterdir())) == 2  # the first only waits for the other


def test_kill_9_leaves_no_orphan_and_the_next_start_has_the_data(tmp_path: Path) -> None:
    """The next start uses the same port and data at once, and promotes whom this one did not (P6).

    Connections that the worker closed linger on that port for a minute. The feeders are suspended, so that they do not
    see the record of the cancellation.
    """
    arguments = ("--data", str(tmp_path), "--workers", "1", "--port", str(free_port()))
    with opened(*arguments) as program:
        event_id = sold_out(program)
        httpx.get(f"{program.url}/health", headers={"connection": "close"})
        for feeder in program.pids("local.feeder"):
            os.kill(feeder, signal.SIGSTOP)
        assert post(program, "/cancel", userId="ada", eventId=event_id).json()["was"] == "CONFIRMED"
        assert status_of_bob(program, event_id) == "WAITING"
        children = program.pids()
        assert len(children) == PARTS
        program.process.kill()
        program.process.wait()
        happens(lambda: alive(children) == [], within_s=2.0)
    with opened(*arguments) as program:
        happens(lambda: status_of_bob(program, event_id) == "CONFIRMED")


def test_a_cancelled_event_is_emptied_even_if_its_feeder_is_killed(office: Program) -> None:
    """Another process goes on with the stream of the Events table (O3)."""
    event_id = sold_out(office)
    [feeder] = office.pids('"function": "FollowFunction"')
    os.kill(feeder, signal.SIGSTOP)
    answer = post(office, f"/events/{event_id}/cancel")
    assert (answer.status_code, answer.json()["bookedTickets"]) == (202, 1)
    assert post(office, "/book", userId="eve", eventId=event_id).json()["code"] == "event-cancelled"
    assert status_of_bob(office, event_id) == "WAITING"
    os.kill(feeder, signal.SIGKILL)
    happens(lambda: status_of_bob(office, event_id) == "CANCELLED")
    happens(lambda: post(office, f"/events/{event_id}/cancel").status_code == 200)


SLOW_PROMOTER_TEMPLATE = """
  PromoteFunction:
    Type: AWS::Serverless::Function
    Properties:
      Handler: slow.handler
      Environment: {Variables: {COLOUR: red}}
      Events:
        Things:
          Type: DynamoDB
          Properties: {Stream: !GetAtt Things.StreamArn, StartingPosition: TRIM_HORIZON}
  Things:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      StreamSpecification: {StreamViewType: KEYS_ONLY}
"""
SLOW_PROMOTER = """
import pathlib, time
FOLDER = pathlib.Path(__file__).parent
def handler(event, context):
    (FOLDER / "began").touch()
    time.sleep(0.5)
    (FOLDER / "ended").touch()
"""


def test_a_running_batch_is_finished_before_the_stop(tmp_path: Path) -> None:
    """The checkpoint is saved, so that the batch does not come again."""
    template = echo_template(tmp_path, template=ECHO_TEMPLATE + SLOW_PROMOTER_TEMPLATE)
    (tmp_path / "slow.py").write_text(SLOW_PROMOTER)
    with opened("--template", template, "--data", str(tmp_path / "data"), "--workers", "1") as program:
        endpoint = httpx.get(f"{program.url}/do/nothing").json()["database"]
        client_of(endpoint).put_item(TableName="Things", Item={"id": {"S": "1"}})
        happens((tmp_path / "began").exists)
        seconds, _ = program.interrupt()
        assert seconds < STOP_S_MAX
    assert (tmp_path / "ended").exists()
    assert '"sequence": "1"' in (tmp_path / "data" / "checkpoints" / "PromoteFunction.json").read_text()


def test_another_dynamodb_is_used_with_endpoint(tmp_path: Path) -> None:
    """Missing tables are made."""
    with engine.running(None) as endpoint:
        client = client_of(endpoint)
        client.delete_table(TableName="WaitingListTable")
        with opened("--endpoint", endpoint, "--memory", "--workers", "1") as program:
            assert f"Tables are at {endpoint}; made WaitingListTable." in program.printed
            assert not program.pids("dynoxide")
            event_id = sold_out(program)
            post(program, "/cancel", userId="ada", eventId=event_id)
            happens(lambda: status_of_bob(program, event_id) == "CONFIRMED")


PARENT_OF_A_GUARD = """
import subprocess, sys, time
guard = [sys.executable, "-c", "import local.guard as g; g._ON_LINUX = False; g.main()", "0", "/bin/sleep", "60"]
process = subprocess.Popen(guard, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
print(process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def guarded() -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """Start a parent, its guard and a guarded program, as on a system without PR_SET_PDEATHSIG."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT_OF_A_GUARD], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    found: list[int] = []
    try:
        assert parent.stdout
        guard = int(parent.stdout.readline())
        found = [guard]
        [sleeper] = happens(lambda: list(below(guard)))
        found = [guard, sleeper]
        yield parent, guard, sleeper
    finally:
        for pid in [parent.pid, *found]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        parent.communicate()


def test_a_guarded_program_ends_when_its_parent_is_killed(guarded: tuple[subprocess.Popen[str], int, int]) -> None:
    """The guard ends, too."""
    parent, guard, sleeper = guarded
    parent.kill()
    happens(lambda: alive([guard, sleeper]) == [], within_s=5.0)


def test_a_guarded_program_ends_when_its_guard_is_terminated(guarded: tuple[subprocess.Popen[str], int, int]) -> None:
    """The guard forwards SIGTERM, and ends with the program."""
    _, guard, sleeper = guarded
    os.kill(guard, signal.SIGTERM)
    happens(lambda: alive([guard, sleeper]) == [], within_s=5.0)


def test_a_log_that_is_too_long_is_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer does not notice; the last old log is kept."""
    monkeypatch.setattr(parts, "LOG_BYTES_MAX", 100)
    part = parts.Part(tmp_path / "worker-1.log", "local.worker", load(), {})
    log = part.log
    with log.open("ab", buffering=0) as writer:
        for _ in range(3):
            writer.write(b"x" * 101)
            part.bound_log()
            assert log.read_bytes() == b""
        writer.write(b"y")
    part.bound_log()
    assert log.read_bytes() == b"y"
    assert log.with_suffix(".log.1").read_bytes() == b"x" * 101
    assert len(list(tmp_path.iterdir())) == 2


def test_temporary_folders_of_killed_runs_are_removed_and_those_in_use_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed runs do not fill up the memory. The lock of one in use is held, however old it looks."""
    monkeypatch.setattr(folder, "_SHARED_MEMORY", tmp_path)
    left = tmp_path / "ticket-office-of-a-killed-run"
    left.mkdir()
    (left / "lock").touch()
    with folder.opened(None) as used:
        assert left.is_dir(), "it may be about to take the lock"
        for path in (left, used.path):
            os.utime(path, (0, 0))
        with folder.opened(None) as another:
            assert used.path.is_dir()
            assert not left.exists()
            assert another.path != used.path
    assert list(tmp_path.iterdir()) == []
