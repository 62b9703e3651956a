"""Starting, stopping, failing: what the user of `python -m local` sees, and what must never be left behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

from harness.running import below
from local import STOP_SIGNALS, engine, folder, parts
from local.child import GIVES_WAY
from local.database import Database
from local.listening import Handout, listen
from local.supervisor import Supervisor
from local.template import load
from tests.local.programs import (
    ECHO_TEMPLATE,
    PROJECT,
    Program,
    alive,
    echo_template,
    free_port,
    happens,
    opened,
    post,
    sold_out,
    started,
    status_of_bob,
)

STOP_S_MAX = 5.0
FEEDERS = [f'"function": "{name}Function"' for name in ("Promote", "Follow", "Announce")]
PARTS = 4 + len(FEEDERS)  # engine, worker, scheduler, event bus


def test_it_says_where_it_is_and_what_to_try_and_stops_with_ctrl_c(tmp_path: Path) -> None:
    """Within 5 s, without a traceback, without a process left, and the answers it gave are kept."""
    with opened("--data", str(tmp_path / "data"), "--workers", "1") as program:
        assert sum("curl" in program.process.stdout.readline() for _ in range(3)) == 2  # type: ignore[union-attr]
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_stops_as_well_when_it_is_asked_to_or_its_terminal_is_closed(echo: str, number: signal.Signals) -> None:
    """In the same order, with the same exit code."""
    with opened("--template", echo, "--memory", "--workers", "1") as program:
        children = program.pids()
        program.process.send_signal(number)
        printed, _ = program.process.communicate(timeout=STOP_S_MAX)
        assert program.process.returncode == 0
        assert "Traceback" not in printed
        assert alive(children) == []


def test_a_request_in_hand_is_answered_before_the_stop(echo: str) -> None:
    """Ctrl-C does not cut it off."""
    with opened("--template", echo, "--memory", "--workers", "1") as program:
        with socket.create_connection(("127.0.0.1", program.port)) as client:
            client.sendall(b"GET /do/sleep-0.7 HTTP/1.1\r\nhost: x\r\n\r\n")
            time.sleep(0.2)
            seconds, _ = program.interrupt()
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert seconds < STOP_S_MAX


def test_a_signal_to_stop_is_noted_and_interrupts_nothing(
    tmp_path: Path, echo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception in the midst of looking after a process could leave its lock taken; the stop would wait for it."""
    looked: list[str] = []

    def death(part: parts.Part) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        looked.append(part.name)

    monkeypatch.setattr(parts.Part, "death", death)
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    system = load(Path(echo))
    try:
        with folder.opened(tmp_path / "data") as data, closing(Handout(listen("127.0.0.1", 0), 3)) as handout:
            Supervisor(system, data, handout, "http://127.0.0.1:1", None).keep(print)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert [name for name in looked if "worker" in name] == ["worker-1", "worker-2", "worker-3"]


def test_a_handler_that_does_not_end_does_not_hold_the_stop(tmp_path: Path, echo: str) -> None:
    """Its worker is killed after 2 s: safe, as every crash is (P8)."""
    patient = Path(echo).read_text().replace("Timeout: 1", "Timeout: 60")
    template = echo_template(tmp_path, template=patient)
    with opened("--template", template, "--memory", "--workers", "1") as program:
        children = program.pids()
        with socket.create_connection(("127.0.0.1", program.port)) as client:
            client.sendall(b"GET /do/sleep-50 HTTP/1.1\r\nhost: x\r\n\r\n")
            time.sleep(0.2)
            seconds, printed = program.interrupt()
        assert seconds < STOP_S_MAX
        assert "Traceback" not in printed
        assert alive(children) == []


def test_ctrl_c_during_the_start_stops_as_well(echo: str) -> None:
    """At any moment: no traceback, nothing left."""
    for delay_s in (0.15, 0.4, 0.8):
        with started("--template", echo, "--memory", "--port", "0") as program:
            time.sleep(delay_s)
            children = program.pids()
            seconds, printed = program.interrupt()
            assert "Traceback" not in printed
            assert seconds < STOP_S_MAX
            assert alive(children) == []


def test_a_port_that_is_just_being_let_go_of_is_waited_for() -> None:
    """The workers of a program that was killed end a moment after it."""
    other = socket.create_server(("127.0.0.1", 0))
    port = other.getsockname()[1]
    letting_go = threading.Timer(0.3, other.close)
    letting_go.start()
    listening = listen("127.0.0.1", port)
    letting_go.join()
    listening.close()


def test_a_port_that_was_in_use_a_moment_ago_is_taken_again(echo: str) -> None:
    """Connections that the workers closed wait for a minute; the next start does not."""
    port = str(free_port())
    for _ in range(2):
        with opened("--template", echo, "--memory", "--workers", "2", "--port", port) as program:
            for _ in range(16):  # enough for both workers
                httpx.get(f"{program.url}/do/nothing", headers={"connection": "close"})
            program.interrupt()


def test_a_part_that_keeps_dying_stops_everything_with_the_reason(tmp_path: Path, echo: str) -> None:
    """After five deaths within a minute it would only go round in circles."""
    with opened("--template", echo, "--data", str(tmp_path / "data"), "--workers", "1") as program:
        children = program.pids()

        def ended() -> bool:
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{program.url}/do/die")
            return program.process.poll() is not None

        happens(ended, within_s=30)
        printed, _ = program.process.communicate(timeout=10)
        assert program.process.returncode == 1
        assert printed.count("is started again") == 4
        assert "the worker-1 died 5 times within 60 s (signal 9)" in printed.splitlines()[-1]
        assert alive(children) == []


def test_whatever_is_killed_is_started_again_and_the_office_goes_on(tmp_path: Path) -> None:
    """The engine with what it had acknowledged, feeders from their checkpoints, and all the others (P8)."""
    with opened("--data", str(tmp_path), "--workers", "1") as program:
        event_id = sold_out(program)
        before = set(program.pids())
        for part in ("dynoxide", "local.worker", *FEEDERS, "local.scheduler", "local.bus"):
            program.kill(part)
        assert post(program, "/cancel", userId="ada", eventId=event_id).json()["was"] == "CONFIRMED"
        happens(lambda: status_of_bob(program, event_id) == "CONFIRMED")
        happens(lambda: len(after := program.pids()) == PARTS and not before & set(after))


def test_what_nobody_waits_for_gives_way(tmp_path: Path) -> None:
    """Announcing goes after answers and promotions. The engine does one request at a time, so it has one thread."""
    with opened("--data", str(tmp_path), "--workers", "1") as program:
        own = os.getpriority(os.PRIO_PROCESS, 0)
        pids = [program.pids(part)[0] for part in ("local.worker", *FEEDERS, "local.bus")]
        niceness = [os.getpriority(os.PRIO_PROCESS, pid) for pid in pids]
        assert niceness == [own, own, own, own + GIVES_WAY, own + GIVES_WAY]
        [engine] = program.pids("dynoxide")
        assert len(list(Path(f"/proc/{engine}/task").iterdir())) == 2  # the first waits for the other


def test_kill_9_leaves_no_orphan_and_the_next_start_has_the_data(tmp_path: Path) -> None:
    """On the same port and the same data, at once."""
    port = str(free_port())
    with opened("--data", str(tmp_path), "--workers", "1", "--port", port) as program:
        event_id = sold_out(program)
        children = program.pids()
        assert len(children) == PARTS
        program.process.kill()
        program.process.wait()
        happens(lambda: alive(children) == [], within_s=2.0)
    with opened("--data", str(tmp_path), "--workers", "1", "--port", port) as program:
        assert status_of_bob(program, event_id) == "WAITING"


def test_a_cancellation_made_just_before_a_stop_is_promoted_after_the_next_start(tmp_path: Path) -> None:
    """The feeder is held, so that it cannot have seen the record before the stop (P6)."""
    with opened("--data", str(tmp_path), "--workers", "1") as program:
        event_id = sold_out(program)
        [feeder] = program.pids('"function": "PromoteFunction"')
        os.kill(feeder, signal.SIGSTOP)
        assert post(program, "/cancel", userId="ada", eventId=event_id).json()["was"] == "CONFIRMED"
        assert status_of_bob(program, event_id) == "WAITING"
        seconds, _ = program.interrupt()
        assert seconds < STOP_S_MAX
    with opened("--data", str(tmp_path), "--workers", "1") as program:
        happens(lambda: status_of_bob(program, event_id) == "CONFIRMED")


def test_a_change_of_a_sold_out_event_hands_out_its_tickets(tmp_path: Path) -> None:
    """By the filter of the Events table's stream; another event, of which nothing was changed, stays as it is."""

    def changes(event_id: str, expression: str, **values: dict[str, str]) -> None:
        database.update_item(
            TableName="EventsTable",
            Key={"eventId": {"S": event_id}},
            UpdateExpression=expression,
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
        )

    def ticket_for(event_id: str) -> None:
        database.update_item(
            TableName="LanesTable",
            Key={"laneId": {"S": f"{event_id}#0"}},
            UpdateExpression="ADD available :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    with opened("--data", str(tmp_path), "--workers", "1") as program:
        other, event_id, last = (sold_out(program) for _ in range(3))
        post(program, "/cancel", userId="ada", eventId=last)
        happens(lambda: status_of_bob(program, last) == "CONFIRMED")  # so those who joined before are done with
        database = Database.announced((tmp_path / "lock").read_text().splitlines()[1]).client()
        for one in (other, event_id):
            ticket_for(one)
        changes(event_id, "SET revision = :next", next={"N": "1"})
        happens(lambda: status_of_bob(program, event_id) == "CONFIRMED")
        assert status_of_bob(program, other) == "WAITING"


def test_a_cancelled_event_is_emptied_by_itself_though_its_feeder_is_killed(tmp_path: Path) -> None:
    """O3: the Events table's stream goes on where it was, in another process."""
    with opened("--data", str(tmp_path), "--workers", "1") as program:
        event_id = sold_out(program)
        [feeder] = program.pids('"function": "FollowFunction"')
        os.kill(feeder, signal.SIGSTOP)
        answer = post(program, f"/events/{event_id}/cancel")
        assert (answer.status_code, answer.json()["bookedTickets"]) == (202, 1)
        assert post(program, "/book", userId="eve", eventId=event_id).json()["code"] == "event-cancelled"
        assert status_of_bob(program, event_id) == "WAITING"
        os.kill(feeder, signal.SIGKILL)
        happens(lambda: status_of_bob(program, event_id) == "CANCELLED")
        happens(lambda: post(program, f"/events/{event_id}/cancel").status_code == 200)


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


def test_a_batch_in_hand_is_finished_before_the_stop(tmp_path: Path) -> None:
    """And the checkpoint says so: after the next start it does not come again."""
    template = echo_template(tmp_path, template=ECHO_TEMPLATE + SLOW_PROMOTER_TEMPLATE)
    (tmp_path / "slow.py").write_text(SLOW_PROMOTER)
    with opened("--template", template, "--data", str(tmp_path / "data"), "--workers", "1") as program:
        endpoint = httpx.get(f"{program.url}/do/nothing").json()["database"]
        Database.embedded(endpoint).client().put_item(TableName="Things", Item={"id": {"S": "1"}})
        happens((tmp_path / "began").exists)
        seconds, _ = program.interrupt()
        assert seconds < STOP_S_MAX
    assert (tmp_path / "ended").exists()
    assert '"sequence": "1"' in (tmp_path / "data" / "checkpoints" / "PromoteFunction.json").read_text()


def test_a_throw_away_run_leaves_nothing_and_clears_what_a_killed_one_left(echo: str) -> None:
    """Memory is not filled up by runs that were killed."""
    with opened("--template", echo, "--memory", "--workers", "1") as program:
        [place] = {
            part
            for command in commands(program)
            for part in command.split()
            if "ticket-office-" in part and part.endswith(".db")
        }
        left = Path(place).parent
        assert left.is_dir()
        program.process.kill()
        program.process.wait()
    assert left.is_dir()
    os.utime(left, (0, 0))
    with opened("--template", echo, "--memory", "--workers", "1") as program:
        assert not left.exists()
        mine = next(
            Path(part).parent
            for command in commands(program)
            for part in command.split()
            if part.endswith("tickets.db")
        )
        program.interrupt()
    assert not mine.exists()


def commands(program: Program) -> list[str]:
    """Give the command lines of what it started."""
    return [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in program.pids()]


def test_another_dynamodb_is_used_where_one_is_named(tmp_path: Path) -> None:
    """Its tables are made where they are missing, and taken as they are where not."""
    with engine.running(tmp_path / "other") as endpoint:
        client = Database.embedded(endpoint).client()
        client.delete_table(TableName="WaitingListTable")
        with opened("--endpoint", endpoint, "--memory", "--workers", "1") as program:
            assert f"Tables are at {endpoint}; made WaitingListTable." in program.greeting
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
    """Start a parent, its guard and the guarded program, as on a system without PR_SET_PDEATHSIG."""
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


def test_a_guarded_program_ends_with_its_parent(guarded: tuple[subprocess.Popen[str], int, int]) -> None:
    """Even when that one is killed."""
    parent, guard, sleeper = guarded
    parent.kill()
    happens(lambda: alive([guard, sleeper]) == [], within_s=5.0)


def test_a_guarded_program_is_stopped_by_stopping_its_guard(guarded: tuple[subprocess.Popen[str], int, int]) -> None:
    """SIGTERM goes on to the program, whose end is the guard's."""
    _, guard, sleeper = guarded
    os.kill(guard, signal.SIGTERM)
    happens(lambda: alive([guard, sleeper]) == [], within_s=5.0)


def test_a_log_that_is_too_long_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer goes on at the new start; the old text is kept once."""
    monkeypatch.setattr(parts, "LOG_BYTES_MAX", 100)
    log = tmp_path / "worker-1.log"
    with log.open("ab", buffering=0) as writer:
        for _ in range(3):
            writer.write(b"x" * 101)
            parts.bound_log(log)
            assert log.read_bytes() == b""
        writer.write(b"y")
    parts.bound_log(log)
    assert log.read_bytes() == b"y"
    assert log.with_suffix(".log.1").read_bytes() == b"x" * 101
    assert len(list(tmp_path.iterdir())) == 2


def test_the_folder_of_somebody_else_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A throw-away folder that is locked is in use, however old it looks."""
    monkeypatch.setattr(folder, "_SHARED_MEMORY", tmp_path)
    with folder.opened(None) as used:
        os.utime(used.path, (0, 0))
        with folder.opened(None) as another:
            assert used.path.is_dir()
            assert another.path != used.path
    assert list(tmp_path.iterdir()) == []
