"""A part of the running program: one child process, its log, its lifeline, and how often it died."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from local.lifeline import READY
from local.template import PROJECT

_KILL_S_MAX = 1.0  # until a process that was killed is gone
LOG_BYTES_MAX = 50 * 1024 * 1024


class Part:
    """A child process that runs one of our modules, and can be started again."""

    def __init__(self, name: str, module: str, arguments: Mapping[str, Any], logs: Path) -> None:
        """Prepare the part; its arguments reach it as JSON."""
        self.name = name
        self.log = logs / f"{name}.log"
        self.log.write_bytes(b"")
        self._module = module
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: socket.socket | None = None

    def start(self, given: socket.socket | None = None) -> None:
        """Start the process; it is given a socket that outlives it."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        arguments = {**self._arguments, "parent": os.getpid(), "lifeline": theirs.fileno()}
        inherited = [theirs.fileno()]
        if given is not None:
            arguments["socket"] = given.fileno()
            inherited.append(given.fileno())
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, json.dumps(arguments)],
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=inherited,
                process_group=0,  # Ctrl-C is for the program, which stops its parts in order
            )
        theirs.close()
        self._lifeline = ours

    @property
    def pid(self) -> int:
        """The process number of the last start, 0 before the first."""
        return self._process.pid if self._process else 0

    def is_ready(self) -> bool:
        """Say whether the part has said that it does its work."""
        try:
            return self._lifeline is not None and self._lifeline.recv(1, socket.MSG_PEEK) == READY
        except BlockingIOError:
            return False

    def death(self) -> str | None:
        """Say how the process ended; None while it runs."""
        code = self._process.poll() if self._process else None
        if code is None:
            return None
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def terminate(self) -> None:
        """Ask the process to stop after what it has in hand."""
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def wait(self, deadline_s: float) -> None:
        """Wait for the end until a moment of the monotonic clock, then kill."""
        if self._process is None:
            return
        wait_or_kill(self._process, max(0.0, deadline_s - time.monotonic()))
        if self._lifeline:
            self._lifeline.close()


def wait_or_kill(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait so long for a process to end, then kill it. Bounded: an interrupted Popen.poll leaves its lock taken."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_KILL_S_MAX)


def count_death(deaths: deque[float], within_s: float) -> int:
    """Note a death now; give how many there were within the last seconds."""
    now = time.monotonic()
    deaths.append(now)
    while deaths[0] < now - within_s:
        deaths.popleft()
    return len(deaths)


def bound_log(log: Path) -> None:
    """Move a log that is too long to LOG.1 and begin it anew; its writer appends and does not notice."""
    try:
        if log.stat().st_size > LOG_BYTES_MAX:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)
    except OSError:
        pass  # no log is worth stopping for
