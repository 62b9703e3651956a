"""The office as a program: started by its public options, found in the table of processes, killed, started again."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

EXPIRE_EVERY_S = 1
START_S = 60.0  # on a busy machine
STOP_S = 30.0
LOOK_EVERY_S = 0.1
PROJECT = Path(__file__).resolve().parent.parent


class CannotStart(Exception):
    """The office does not answer within a minute."""


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def descendants(root: int) -> list[int]:
    """Return the processes below `root`, from /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found: list[int] = []
    pending = [root]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def signal_all(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to processes; some may be gone."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


class Program:
    """`python -m local` on one port and one data folder, which stay the same when it is started again."""

    def __init__(self, data: Path, log: Path, environment: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self.is_wanted = False  # it should be running; if it is not, it exited by itself
        self._log = log
        options = ["--data", str(data), "--port", str(self.port), "--expire-every", str(EXPIRE_EVERY_S)]
        self._command = [sys.executable, "-m", "local", *options]
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers. Processes of a killed program may hold its port or data for a moment.

        Raises:
            CannotStart: it does not come up.
        """
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                with self._log.open("ab") as log:
                    self._process = subprocess.Popen(
                        self._command, cwd=PROJECT, env=self._environment, stdout=log, stderr=log
                    )
            if self._answers():
                self.is_wanted = True
                return
            time.sleep(LOOK_EVERY_S)
        raise CannotStart(f"{' '.join(self._command)} does not answer within {START_S:.0f} s: {self.last_words()}")

    def stop(self) -> None:
        """Ask it to stop; kill it if it does not stop in time."""
        self.is_wanted = False
        if self._process is None:
            return
        everything = self.processes()
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            signal_all(everything, signal.SIGKILL)
            self._process.wait()

    def processes(self) -> list[int]:
        """Return all of its processes, the program itself first."""
        assert self._process is not None
        return [self._process.pid, *descendants(self._process.pid)]

    def kill(self, *, whole: bool) -> None:
        """Kill the program and, if `whole`, everything below it, at once."""
        assert self._process is not None
        self.is_wanted = False
        signal_all(self.processes() if whole else [self._process.pid], signal.SIGKILL)
        self._process.wait()

    def exit_code(self) -> int | None:
        """Return the code with which it exited by itself; None while it runs, or if it was killed."""
        assert self._process is not None
        return self._process.poll() if self.is_wanted else None

    def last_words(self) -> str:
        """Return the last lines of its log."""
        with suppress(OSError):
            return " / ".join(self._log.read_text(errors="replace").splitlines()[-3:])
        return ""

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/events")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
