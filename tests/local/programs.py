"""`python -m local` as a user runs it, with handlers of a test or of the project."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from harness.running import below

PROJECT = Path(__file__).resolve().parents[2]
MODULE = ("-m", "local")
OPEN_S_MAX = 30.0
HAPPEN_S_MAX = 30.0
FEEDERS = [f'"function": "{name}Function"' for name in ("Promote", "Follow", "Announce")]
SCHEDULERS = [f'"function": "{name}Function", "every_s"' for name in ("Expire", "Sweep")]
PARTS = 3 + len(FEEDERS) + len(SCHEDULERS)  # engine, one worker, event bus

ECHO_TEMPLATE = """
Resources:
  EchoFunction:
    Type: AWS::Serverless::Function
    Properties:
      Handler: echo.handler
      Timeout: 1
      MemorySize: 256
      Environment: {Variables: {COLOUR: red}}
      Events:
        Post: {Type: HttpApi, Properties: {Method: POST, Path: "/echo/{id}"}}
        Get: {Type: HttpApi, Properties: {Method: GET, Path: "/do/{what}"}}
"""
ECHO_HANDLER = '''
import json, os, signal, sys, time

busy = 0


def handler(event, context):
    """Do what the path says, and answer with the payload and the context."""
    global busy
    busy += 1
    try:
        what = (event.get("pathParameters") or {}).get("what", "")
        if what == "raise":
            raise ValueError("as the test wants it")
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what.startswith("sleep-"):
            time.sleep(float(what.removeprefix("sleep-")))
        if what == "nonsense":
            return {"statusCode": 200, "body": {"not": "text"}}
        if what == "hold":
            try:
                time.sleep(30)
            except Exception:
                return {"statusCode": 200, "body": "held on"}
        context_seen = {
            "aws_request_id": context.aws_request_id,
            "function_name": context.function_name,
            "memory_limit_in_mb": context.memory_limit_in_mb,
            "invoked_function_arn": context.invoked_function_arn,
            "remaining_ms": context.get_remaining_time_in_millis(),
        }
        seen = {
            "event": event,
            "context": context_seen,
            "busy": busy,
            "pid": os.getpid(),
            "colour": os.environ["COLOUR"],
            "name": os.environ["AWS_LAMBDA_FUNCTION_NAME"],
            "database": os.environ["AWS_ENDPOINT_URL_DYNAMODB"],
        }
        return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(seen)}
    finally:
        busy -= 1
'''


@dataclass
class Program:
    """A started program."""

    process: subprocess.Popen[str]
    greeting: str = ""

    @property
    def url(self) -> str:
        """The URL at which it answers."""
        found = re.search(r"http://127\.0\.0\.1:\d+", self.greeting)
        assert found, self.greeting
        return found[0]

    @property
    def port(self) -> int:
        """The port of the URL."""
        return int(self.url.rpartition(":")[2])

    def wait_until_open(self) -> None:
        """Read its output until it prints its URL."""
        assert self.process.stdout
        deadline = time.monotonic() + OPEN_S_MAX
        while "http://" not in self.greeting:
            line = self.process.stdout.readline()
            self.greeting += line
            assert line, f"it ended: {self.greeting}"
            assert time.monotonic() < deadline

    def pids(self, part: str = "") -> list[int]:
        """Return its child processes: those of one part, or all."""
        return sorted(pid for pid, command in below(self.process.pid).items() if part in command)

    def kill(self, part: str) -> None:
        """Kill one process of a part."""
        os.kill(self.pids(part)[0], signal.SIGKILL)

    def interrupt(self) -> tuple[float, str]:
        """Press Ctrl-C, which goes to the whole process group; return the seconds until its end, and its output."""
        started = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        rest, _ = self.process.communicate(timeout=20)
        return time.monotonic() - started, self.greeting + rest


@contextmanager
def started(
    *arguments: str,
    cwd: Path = PROJECT,
    options: tuple[str, ...] = (),
    program: tuple[str, ...] = MODULE,
    **environment: str,
) -> Iterator[Program]:
    """Start the program without waiting; at the end kill whatever is left of it."""
    process = subprocess.Popen(
        [sys.executable, *options, *program, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield Program(process)
    finally:
        left = below(process.pid)
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=10)
        for pid in [process.pid, *left]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


@contextmanager
def opened(*arguments: str, **environment: str) -> Iterator[Program]:
    """Start the program on a free port and wait until it is open."""
    with started("--port", "0", *arguments, cwd=PROJECT, options=(), program=MODULE, **environment) as program:
        program.wait_until_open()
        yield program


def echo_template(folder: Path, handler: str = ECHO_HANDLER, template: str = ECHO_TEMPLATE) -> str:
    """Write a template and a handler; return the template's path."""
    (folder / "echo.py").write_text(handler)
    (folder / "template.yaml").write_text(template)
    return str(folder / "template.yaml")


def refused(*arguments: str, cwd: Path = PROJECT, options: tuple[str, ...] = (), **environment: str) -> str:
    """Start the program where it must fail; return its only line, printed before exit code 1."""
    with started(*arguments, cwd=cwd, options=options, program=MODULE, **environment) as program:
        output, _ = program.process.communicate(timeout=OPEN_S_MAX)
        assert program.process.returncode == 1, output
        assert output.count("\n") == 1, output
        return output.strip()


def alive(pids: list[int]) -> list[int]:
    """Return the processes that run; zombies do not."""
    found = []
    for pid in pids:
        with suppress(OSError):
            if (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(pid)
    return found


def happens(what: Callable[[], Any], within_s: float = HAPPEN_S_MAX) -> Any:
    """Wait until a result is true; return it."""
    deadline = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < deadline, "it does not happen in time"
        time.sleep(0.01)
    return found


def post(program: Program, path: str, **fields: Any) -> httpx.Response:
    """Send a request; try again after 503 and after a broken connection, as when a part was killed (P7)."""

    def answer() -> httpx.Response | None:
        with suppress(httpx.TransportError):
            content = json.dumps(fields) if fields else None
            response = httpx.post(f"{program.url}{path}", content=content, timeout=15)
            return None if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else response
        return None

    response: httpx.Response = happens(answer)
    return response


def sold_out(program: Program) -> str:
    """Open an event with one ticket, which ada gets, while bob waits."""
    event_id: str = post(program, "/initialize", name="Concert", totalTickets=1).json()["eventId"]
    assert post(program, "/book", userId="ada", eventId=event_id).json()["status"] == "CONFIRMED"
    assert post(program, "/book", userId="bob", eventId=event_id).json()["status"] == "WAITING"
    return event_id


def status_of_bob(program: Program, event_id: str) -> str:
    """Return the status of bob's booking."""
    answer = httpx.get(f"{program.url}/status/{event_id}?userId=bob", timeout=15)
    status: str = answer.json()["booking"]["status"]
    return status
