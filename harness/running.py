"""The whole office as one process tree: `python -m local`, with its HTTP port, parts and database."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from harness import expiring, promises
from local import gate

PROJECT = Path(__file__).parent.parent
START_S_MAX = 60  # it takes about two, but much longer on a busy machine
STOP_S_MAX = 10


@dataclass
class RunningOffice:
    """An office that has been started, and what it has printed."""

    process: subprocess.Popen[str]
    printed: str = ""

    def wait_until_open(self) -> None:
        """Wait until it prints its URL: then all workers accept requests."""
        assert self.process.stdout
        until = time.monotonic() + START_S_MAX
        while "http://" not in self.printed:
            line = self.process.stdout.readline()
            self.printed += line
            assert line, f"the office has ended: {self.printed}"
            assert time.monotonic() < until, self.printed

    @property
    def url(self) -> str:
        """Return the URL of the office."""
        return f"http://127.0.0.1:{self.port}"

    @cached_property
    def port(self) -> int:
        """Return the port of the office."""
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.printed)
        assert found, self.printed
        return int(found[1])

    def pids(self, part: str = "") -> list[int]:
        """Return the process ids of a part: worker, feeder, scheduler, bus or dynoxide; or those of all."""
        return sorted(pid for pid, command in below(self.process.pid).items() if part in command)

    def wait_for(self, part: str, count: int) -> None:
        """Wait until `count` processes of a part run, as after one was killed."""
        until = time.monotonic() + START_S_MAX
        while len(self.pids(part)) != count:
            assert time.monotonic() < until, f"{len(self.pids(part))} of {count} {part}"
            time.sleep(0.05)

    def kill(self, part: str) -> int:
        """Kill one process of a part without warning. Return its id."""
        pid = self.pids(part)[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    @cached_property
    def database(self) -> Any:
        """Return a client of the engine, which has the same port whenever it is started again."""
        return client_of(self._endpoint)

    def streams(self) -> Any:
        """Return a client of the engine's streams. It does not validate ids: the engine's are shorter than AWS's."""
        config = Config(parameter_validation=False)
        return boto3.client("dynamodbstreams", endpoint_url=self._endpoint, config=config)

    def changes(self, event_id: str) -> list[promises.Item]:
        """Return all states of an event's bookings, in the order of the stream."""
        streams, found = self.streams(), []
        arn = self.database.describe_table(TableName="BookingsTable")["Table"]["LatestStreamArn"]
        for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
            position = streams.get_shard_iterator(
                StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while (page := streams.get_records(ShardIterator=position))["Records"]:
                found += [promises.plain(record["dynamodb"]["NewImage"]) for record in page["Records"]]
                position = page["NextShardIterator"]
        return [booking for booking in found if booking.get("eventId") == event_id]  # a note has none

    @cached_property
    def _endpoint(self) -> str:
        [command] = [command for command in below(self.process.pid).values() if "dynoxide" in command.partition(" ")[0]]
        port = re.search(r"--port (\d+)", command)
        assert port, command
        endpoint = f"http://127.0.0.1:{port[1]}"
        gate.use(endpoint)
        return endpoint

    def check_drained(self, event_id: str, within_s: float) -> promises.Snapshot:
        """Assert that all promises hold once the promoter is done, in time. Return what the tables contain."""
        until = time.monotonic() + within_s
        while True:
            found = promises.read(self.database, event_id)
            broken = promises.violations(found, drained=True)
            if not broken or time.monotonic() > until:
                assert broken == [], broken
                return found
            time.sleep(0.05)

    def expire(self, ahead_s: float = 0.0) -> int:
        """Expire the holds that will be due in so many seconds. Return how many expired."""
        return expiring.expire(self._endpoint, ahead_s)

    def stop(self) -> str:
        """Stop the office as Ctrl-C does. Return what it printed."""
        self.process.send_signal(signal.SIGINT)
        output, _ = self.process.communicate(timeout=STOP_S_MAX)
        return output


@contextmanager
def running(data: Path | None = None, workers: int = 4, *options: str) -> Iterator[RunningOffice]:
    """Start the office, in memory or with its data in a folder. Stop it at the end."""
    where = ["--memory"] if data is None else ["--data", str(data)]
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "--port", "0", "--workers", str(workers), *where, *options],
        cwd=PROJECT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # so that Ctrl-C of the test run does not reach it
    )
    office = RunningOffice(process)
    try:
        office.wait_until_open()
        yield office
    finally:
        if process.poll() is None:
            try:
                office.stop()
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise
        else:
            process.communicate()  # a test has killed it: read its output and close the pipe


def client_of(endpoint: str) -> Any:
    """Return a client of an engine, through its gate if it has one."""
    gate.use(endpoint)
    return boto3.client("dynamodb", endpoint_url=endpoint)


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def below(root: int) -> dict[int, str]:
    """Return the command lines of all processes below one. An ended process has an empty one."""
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                commands[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
    found: set[int] = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: commands[pid] for pid in found - {root} if pid in commands}
