"""The supervisor: starts the parts, keeps them running, stops them in order.

start   engine -> tables -> workers, feeders, schedulers, event bus -> "ready". A part that ends by itself ends the
        program, with the reason; one that is killed is started again
run     whatever dies is started again, as often as it takes
stop    workers -> feeders, schedulers -> event bus -> engine: no part loses what it needs; within 5 s in all
"""

import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from local import STOP_SIGNALS
from local import engine as engines
from local.bus import BUS_VARIABLE
from local.checkpoint import Checkpoint
from local.database import Database
from local.engine import Engine
from local.errors import EngineError, StartError
from local.folder import Folder
from local.listening import Handout, listen
from local.parts import Part, Process, wait_until_ready
from local.system import System
from local.trim import trim
from shared.store.aws_client import NoResponse, RequestFailed

START_S_MAX = 60.0  # of everything; it takes 2 s
WORKERS_STOP_S_MAX = 2.0
OTHERS_STOP_S_MAX = 1.0
BUS_STOP_S_MAX = 0.5
TRIM_S = 2.0  # between two looks for records to delete
_TRIM_PAUSE_S = 0.05  # between two batches, for the engine
_LOOK_S = 0.2
_LOOK_AT_LOGS_S = 2.0
_DYING_S = 0.3  # after the engine's connections broke, until its end is known

Tell = Callable[[str], None]  # prints a line


class Supervisor:
    """All processes of one ticket office."""

    def __init__(
        self, system: System, folder: Folder, handout: Handout, endpoint: str | None, keys: Any = None
    ) -> None:
        """Prepare the parts; without an endpoint the embedded engine runs, without an issuer's keys no token is needed.

        Raises: LocalError; OSError.
        """
        self._system = system
        self._folder = folder
        self._handout = handout
        self._engine = Engine(folder.database, folder.logs / "engine.log") if endpoint is None else None
        self.database = Database.embedded(self._engine.endpoint) if self._engine else Database.at(endpoint or "")
        self.made: list[str] = []  # tables
        self.workers = len(handout.ends)
        kept = {"failed_records": str(folder.failed_records.absolute())}
        announced = {"announcements": str(folder.announcements)}
        signing = {"keys": keys, "issuer": str(folder.issuer)}
        fed = kept | {"database": {"endpoint": self.database.endpoint, "is_embedded": self.database.is_embedded}}
        self._workers = [
            Part(folder.logs / f"worker-{number}.log", "local.worker", system, announced | signing, end)
            for number, end in enumerate(handout.ends, 1)
        ]
        self._others = []
        for function in dict.fromkeys(stream.function for stream in system.streams):
            path = folder.checkpoint(function)
            Checkpoint(path)  # a corrupt one is reported now
            its = {"function": function, "checkpoint": str(path)}
            log = folder.logs / f"feeder-{function}.log"
            self._others.append(Part(log, "local.feeder", system, fed | its))
        for function in dict.fromkeys(schedule.function for schedule in system.schedules):
            called = kept | {"function": function}
            log = folder.logs / f"scheduler-{function}.log"
            self._others.append(Part(log, "local.scheduler", system, called))
        self._bus: list[Part] = []
        self._bus_url = ""
        if system.has_bus:
            listening = listen(engines.HOST, 0)
            self._bus_url = f"http://{engines.HOST}:{listening.getsockname()[1]}"
            self._bus.append(Part(folder.logs / "bus.log", "local.bus", system, announced, listening))
        self._stopping = threading.Event()
        self._trimming = threading.Thread(target=self._trim)
        self._parts = [*self._workers, *self._others, *self._bus]
        self._processes: list[Process] = [*([self._engine] if self._engine else []), *self._parts]

    def start(self, tell: Tell) -> None:
        """Start everything and wait until it does its work; `tell` gets a line for each part that is killed meanwhile.

        Raises: LocalError, the first reason why it does not; OSError.
        """
        deadline_s = time.monotonic() + START_S_MAX
        self.database.adopt()
        if self._bus_url:  # functions put their events there, whatever the database is
            os.environ[BUS_VARIABLE] = self._bus_url
        if self._engine:
            self._engine.start()
        while not self._make_tables(deadline_s, tell):
            pass
        self._folder.announce(self.database.announcement, self._bus_url)
        for part in self._parts:
            part.start()
        wait_until_ready(self._processes, deadline_s, tell)
        if self._engine:
            self._trimming.start()

    def _make_tables(self, deadline_s: float, tell: Tell) -> bool:
        """Make the tables that are missing; return False if the engine was killed meanwhile. Raises: LocalError."""
        if self._engine:
            wait_until_ready([self._engine], deadline_s, tell)
        try:
            self.made += engines.create_tables(self.database, self._system)
            if self._engine:
                engines.index_stream(self._folder.database)
        except (NoResponse, RequestFailed, sqlite3.Error) as error:
            time.sleep(_DYING_S)
            if self._engine and self._engine.was_killed():
                return False
            raise EngineError(f"the database at {self.database.endpoint} cannot be used: {error}") from None
        return True

    def keep(self, tell: Tell) -> None:
        """Start again whatever dies, until a signal asks to stop; `tell` gets a line for each death.

        The signal is noted here, and raises nothing: an exception within Popen.poll could leave its lock taken.
        """
        asked: list[int] = []
        for number in STOP_SIGNALS:
            signal.signal(number, lambda number, _frame: asked.append(number))
        look_at_logs_s = 0.0
        while not asked:
            for process in self._processes:
                if line := process.revive():
                    tell(line)
            if time.monotonic() > look_at_logs_s:
                look_at_logs_s = time.monotonic() + _LOOK_AT_LOGS_S
                for process in self._processes:
                    process.bound_log()
            self._handout.serve(_LOOK_S, self._is_up)

    def stop(self) -> None:
        """Stop everything in order; what does not stop in its time is killed, which is safe too (P8)."""
        self._stopping.set()
        stops = (
            (self._workers, WORKERS_STOP_S_MAX),
            (self._others, OTHERS_STOP_S_MAX),
            (self._bus, BUS_STOP_S_MAX),
        )
        for parts, seconds in stops:
            for part in parts:
                part.terminate()
            deadline_s = time.monotonic() + seconds
            for part in parts:
                part.wait(deadline_s)
        if self._trimming.is_alive():
            self._trimming.join()
        if self._engine:
            self._engine.stop()

    def _trim(self) -> None:
        pause_s = TRIM_S
        while not self._stopping.wait(pause_s):
            pause_s = TRIM_S
            with suppress(sqlite3.OperationalError, StartError):  # busy, or a full disk: later
                if trim(self._system, self._folder):
                    pause_s = _TRIM_PAUSE_S

    @property
    def exposure(self) -> str:
        """Why other users and web pages can reach the embedded engine; empty if they cannot."""
        return self._engine.exposure if self._engine else ""

    def _is_up(self, worker: int) -> bool:
        return self._workers[worker].is_ready() and self._workers[worker].death() is None


def default_workers() -> int:
    """Return one more than the processors that this program may use: one of them usually waits for the engine."""
    return 1 + (len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)
