"""The drilled office: `python -m local` with the project's functions and an engine behind a proxy.

Its template is the project's with two changes: the functions are those of tests/operations/live.py, and a failing
record is tried three times, not eleven, so that it is given up within a second.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import boto3
import httpx

from harness import promises
from harness.running import PROJECT, RunningOffice, running
from local import announcements, engine, template
from local.system import System
from tests.operations import aws_metrics, cloudwatch, proxy
from tests.operations.aws_metrics import Response
from tests.operations.cloudwatch import Datum, Line
from tests.operations.proxy import Proxy
from tests.template.stack import folder_of

REQUEST_S_MAX = 30.0
# Invokes the scheduled functions whose names it reads, and writes an empty line after the log lines of each.
BY_HAND = """
import sys
from pathlib import Path
from local import folder, runtime, template
known = template.load(Path(sys.argv[1])).functions
scheduled = [folder.with_failed_records(known[f"{name}Function"], sys.argv[2]) for name in ("Sweep", "Expire")]
functions = runtime.load(scheduled)
for name in sys.stdin:
    try:
        functions[name.strip()].invoke({}, "by hand")
    except Exception as error:
        sys.stderr.write(f"{error!r}\\n")
    print(flush=True)
"""


class Stage:
    """A running office, what can be done to it, and what AWS would measure of it."""

    def __init__(self, folder: Path, database: Any, way: Proxy) -> None:
        self.data = folder / "data"
        self.failed_records = self.data / "failed-records"
        self.database = database  # a client of the engine itself
        self.proxy = way
        self.blocked: set[str] = set()  # users whom a firewall in front of the API blocks
        self.stated: list[Datum] = []  # what only AWS can measure, as a test states it
        self.crowd = 1  # so many times are the tables asked what they are asked here
        self._folder = folder
        self._template = folder / "template.yaml"
        self._routes = {folder_of(route.function): route for route in written(self._template).routes}
        self._running = ExitStack()
        self._office: RunningOffice | None = None
        self._answers: list[Response] = []
        self._by_hand: subprocess.Popen[bytes] | None = None
        self._invoked: list[Line] = []  # the lines of functions that were invoked by hand
        self._read: dict[Path, int] = {}  # bytes of each log
        self._given_up: set[Path] = set()

    def start(self) -> None:
        """Start the office."""
        arguments = ("--template", str(self._template), "--endpoint", self.proxy.endpoint)
        self._office = self._running.enter_context(running(self.data, 2, *arguments))

    def stop(self) -> None:
        """Stop it."""
        if self._by_hand:
            self._by_hand.communicate()  # its input ends
        self._running.close()

    def opens(self, tickets: int) -> str:
        """Open an event; return its id."""
        answer = self.asks("initialize", name="The concert", totalTickets=tickets)
        return str(answer.json()["eventId"])

    def sold_out(self, *waiting: str) -> str:
        """Open an event whose one ticket anna has and for which these users wait; return its id."""
        event_id = self.opens(tickets=1)
        for user in ("anna", *waiting):
            self.books(event_id, user)
        return event_id

    def books(self, event_id: str, user: str) -> int:
        """Book; return the status, 403 for a blocked user."""
        if user in self.blocked:
            return 403
        return self.asks("book", userId=user, eventId=event_id).status_code

    def cancels(self, event_id: str, user: str) -> int:
        """Cancel; return the status."""
        return self.asks("cancel", userId=user, eventId=event_id).status_code

    def asks(self, folder: str, event_id: str = "", **fields: Any) -> httpx.Response:
        """Send a request to the function in functions/<folder>, with the fields as body, or as query of a GET."""
        assert self._office
        route = self._routes[folder]
        asked_s = time.monotonic()
        answer = httpx.request(
            route.method,
            f"{self._office.url}{route.path.format(eventId=event_id)}",
            params=fields if route.method == "GET" else None,
            json=fields if fields and route.method != "GET" else None,
            timeout=REQUEST_S_MAX,
        )
        self._answers.append(Response(answer.status_code, asked_s, time.monotonic()))
        return answer

    def at_once(self, many: int, ask: Callable[[int], object]) -> None:
        """Call `ask` so many times at once, each with its number."""
        with ThreadPoolExecutor(many) as crowd:
            list(crowd.map(ask, range(many)))

    def sweeps(self) -> None:
        """Invoke SweepFunction."""
        self._invoke("SweepFunction")

    def expires(self) -> None:
        """Invoke ExpireFunction."""
        self._invoke("ExpireFunction")

    def _invoke(self, function: str) -> None:
        if not self._by_hand:
            environment = os.environ | {"AWS_ENDPOINT_URL_DYNAMODB": self.proxy.endpoint}
            command = [sys.executable, "-c", BY_HAND, str(self._template), str(self.failed_records)]
            self._by_hand = subprocess.Popen(
                command, cwd=PROJECT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        assert self._by_hand.stdin
        assert self._by_hand.stdout
        self._by_hand.stdin.write(f"{function}\n".encode())
        self._by_hand.stdin.flush()
        self._invoked += _lines(b"".join(takewhile(lambda line: line != b"\n", self._by_hand.stdout)))

    @contextmanager
    def bad(self, what: str) -> Iterator[None]:
        """Deploy a function that does not start, or make the event bus slow or unavailable, for the block."""
        bad = self._folder / what
        bad.touch()
        try:
            yield
        finally:
            bad.unlink()

    @contextmanager
    def stopped(self, function: str = "PromoteFunction") -> Iterator[None]:
        """Stop one reader of the streams for the block."""
        assert self._office
        [feeder] = self._office.pids(f'"function": "{function}"')
        os.kill(feeder, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(feeder, signal.SIGCONT)

    def invoked(self, function: str) -> int:
        """Return how many invocations a stream reader has finished."""
        return (self.data / "logs" / f"feeder-{function}.log").read_bytes().count(b'"invoked": ')

    def announced(self) -> list[str]:
        """Return the ids of all announcements on the event bus."""
        place, found = 0, []
        while lines := announcements.read(self.data / "announcements", place):
            found += [json.loads(line)["detail"]["id"] for _, line in lines]
            place = lines[-1][0]
        return found

    def status_of(self, event_id: str, user: str) -> str:
        """Return the status of a user's booking in the tables."""
        found = {one["userId"]: one["status"] for one in promises.read(self.database, event_id).bookings}
        return str(found[user])

    def look(self) -> list[Datum]:
        """Return what AWS would have measured since the last call."""
        lines = [*self._new_lines(), *self._invoked]
        answers, exchanges, files, stated = self._answers, self.proxy.look(), self._new_files(), self.stated
        self._answers, self._invoked, self.stated = [], [], []
        return [
            *cloudwatch.of_lines(lines),
            *aws_metrics.of_functions(lines),
            *aws_metrics.of_api(answers),
            *aws_metrics.of_tables(exchanges * self.crowd),
            *aws_metrics.of_destination(files),
            *stated,
        ]

    def _new_lines(self) -> Iterator[Line]:
        for log in sorted((self.data / "logs").glob("*.log")):
            with log.open("rb") as file:
                file.seek(self._read.get(log, 0))
                whole = _whole(file.read())
            self._read[log] = self._read.get(log, 0) + len(whole)
            yield from _lines(whole)

    def _new_files(self) -> list[Any]:
        new = set(self.failed_records.glob("*.json")) - self._given_up
        self._given_up |= new
        return [json.loads(path.read_text()) for path in new]


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Yield a running office with its own engine, open to all."""
    with engine.running(None) as endpoint, proxy.before(endpoint) as way:
        stage = Stage(folder, boto3.client("dynamodb", endpoint_url=endpoint), way)
        try:
            stage.start()
            yield stage
        finally:
            stage.stop()


def written(path: Path) -> System:
    """Write the stage's template and read it. Its functions want a DRILL_FOLDER in their environment."""
    text, found = re.subn(r"functions\.(\w+)\.app\.handler", r"tests.operations.live.\1", template.TEMPLATE.read_text())
    assert found
    text, found = re.subn(r"MaximumRetryAttempts: (10|-1)\b", "MaximumRetryAttempts: 2", text)
    assert found
    path.write_text(text)
    return template.load(path)


def _whole(written: bytes) -> bytes:
    """Return the complete lines of a log; the last one may be incomplete."""
    return written[: written.rfind(b"\n") + 1]


def _lines(log: bytes) -> list[Line]:
    return [json.loads(line) for line in log.splitlines() if line.startswith(b"{")]
