"""The processes that the program starts: any of them may die at any moment, and is started again.

A process that dies once is started again at once. One that keeps dying is started again after pauses that double up to
PAUSE_S_MAX, for as long as the program runs: whatever kills it (a full disk, an operator) may end.
"""

import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from local import PROJECT
from local.errors import StartError
from local.lifeline import READY
from local.system import System

PAUSE_S_MIN = 0.1  # before the second start within DEATHS_S; it doubles with each death
PAUSE_S_MAX = 5.0
DEATHS_S = 60.0  # older deaths are forgotten
_DEATHS_MAX = 16  # more of them make no difference to the pause
_KILL_S_MAX = 1.0  # until a killed process is gone
LOG_BYTES_MAX = 50 * 1024 * 1024


class Process(ABC):
    """A child process that can be started again."""

    def __init__(self, name: str, log: Path) -> None:
        """Begin with an empty log. Raises: OSError."""
        self.name = name
        self.log = log
        self.log.write_bytes(b"")
        self._process: subprocess.Popen[bytes] | None = None
        self._deaths: deque[float] = deque(maxlen=_DEATHS_MAX)
        self._due_s: float | None = None  # when a dead process is started again

    @abstractmethod
    def start(self) -> None:
        """Start the process without waiting for it. Raises: OSError."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Return whether the process does its work."""

    def death(self) -> str | None:
        """Return how the process ended: "signal 9" or "exit code 1"; None while it runs."""
        code = self._process.poll() if self._process else None
        if code is None:
            return None
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def was_killed(self) -> bool:
        """Return whether a signal ended the process, which says nothing about whether it works."""
        return (self.death() or "").startswith("signal")

    def revive(self) -> str | None:
        """Start the process again if it is dead and its pause is over; return a line to print if it has just died."""
        death = self.death()
        if death is None:
            return None
        line = None
        if self._due_s is None:
            pause_s = self._pause_s()
            self._due_s = time.monotonic() + pause_s
            when = f"in {pause_s:.1f} s" if pause_s else "now"
            line = f"the {self.name} died ({death}) and is started again {when}; its log is {self.log}"
        if time.monotonic() >= self._due_s:
            self._due_s = None
            try:
                self.start()
            except OSError as error:  # too many processes, say: this counts as another death
                line = f"the {self.name} cannot be started: {error}"
        return line

    def terminate(self) -> None:
        """Ask the process to stop after the work in hand."""
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def wait(self, deadline_s: float) -> None:
        """Wait until a moment of the monotonic clock for the process to end, then kill it."""
        if self._process is None:
            return
        try:  # bounded: an interrupted Popen.poll leaves its lock taken
            self._process.wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_KILL_S_MAX)

    def bound_log(self) -> None:
        """Move a log that is too long to LOG.1 and empty it; the process appends and does not notice."""
        with suppress(OSError):  # no log is worth stopping for
            if self.log.stat().st_size > LOG_BYTES_MAX:
                old = self.log.with_suffix(".log.1")
                try:
                    shutil.copyfile(self.log, old)
                except OSError:  # the disk is full: better no old log than one that keeps it full
                    old.unlink()
                os.truncate(self.log, 0)

    def last_line(self) -> str:
        """Return the last line of the log, which usually says why the process died."""
        try:
            lines = self.log.read_bytes()[-4096:].decode("utf-8", "replace").split("\n")
        except OSError:
            lines = []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it left no message")

    def _pause_s(self) -> float:
        """Note a death; return how long to wait before the next start."""
        now_s = time.monotonic()
        self._deaths.append(now_s)
        while self._deaths[0] < now_s - DEATHS_S:
            self._deaths.popleft()
        count = len(self._deaths)
        return min(PAUSE_S_MAX, PAUSE_S_MIN * 2.0 ** (count - 2)) if count > 1 else 0.0


class Part(Process):
    """A child process that runs one of our modules."""

    def __init__(
        self, log: Path, module: str, system: System, arguments: Mapping[str, Any], given: socket.socket | None = None
    ) -> None:
        """Prepare the part, named like its log: it gets arguments as JSON, and maybe a socket that outlives it."""
        super().__init__(log.stem, log)
        self._module = module
        self._system = pickle.dumps(system)
        self._arguments = arguments
        self._given = given
        self._lifeline: socket.socket | None = None

    def start(self) -> None:
        """Start the process without waiting for it. Raises: OSError."""
        if self._lifeline:
            self._lifeline.close()
        self._lifeline, theirs = socket.socketpair()
        self._lifeline.setblocking(False)
        arguments = {**self._arguments, "parent": os.getpid(), "lifeline": theirs.fileno()}
        inherited = [theirs.fileno()]
        if self._given is not None:
            arguments["socket"] = self._given.fileno()
            inherited.append(self._given.fileno())
        with theirs, self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, json.dumps(arguments)],
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=inherited,
                process_group=0,  # Ctrl-C reaches only the program, which stops its parts in order
            )
        assert self._process.stdin
        with suppress(BrokenPipeError), self._process.stdin as pipe:  # it has died
            pipe.write(self._system)

    def wait(self, deadline_s: float) -> None:
        """Wait until a moment of the monotonic clock for the process to end, then kill it."""
        super().wait(deadline_s)
        if self._lifeline:
            self._lifeline.close()

    def is_ready(self) -> bool:
        """Return whether the part has said that it does its work."""
        try:
            return self._lifeline is not None and self._lifeline.recv(1, socket.MSG_PEEK) == READY
        except OSError:  # nothing yet, or it died
            return False


def wait_until_ready(
    processes: Collection[Process], deadline_s: float, tell: Callable[[str], None] = lambda _line: None
) -> None:
    """Wait until all processes do their work; one that is killed meanwhile is started again.

    Raises: StartError when one ends by itself, or when the deadline passes.
    """
    while waiting := [one for one in processes if not one.is_ready()]:
        for one in waiting:
            if one.death() is None:
                continue
            if not one.was_killed():
                raise StartError(f"the {one.name} does not start: {one.last_line()}")
            if line := one.revive():
                tell(line)
        if time.monotonic() > deadline_s:
            raise StartError(f"the {waiting[0].name} is not ready in time: see {waiting[0].log}")
        time.sleep(0.01)
