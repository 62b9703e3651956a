"""The supervisor: starts the parts, keeps them running, stops them in order.

start   engine -> tables -> workers, feeders, scheduler, event bus -> "ready"
run     what dies is started again; what keeps dying stops everything, with the reason
stop    workers -> feeders, scheduler -> event bus -> engine: nobody is left without what it needs; 5 s at most in all
"""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from local import STOP_SIGNALS
from local import engine as engines
from local.bus import BUS_VARIABLE
from local.checkpoint import Checkpoint
from local.database import Database
from local.engine import Engine, last_line
from local.errors import EngineError, StartError
from local.folder import Folder
from local.listening import Handout, listen
from local.parts import Part, bound_log, count_death
from local.template import System

DEATHS_MAX = 5  # of one part within DEATHS_S
DEATHS_S = 60.0
READY_S_MAX = 60.0  # to import the handlers; it takes 1 s
WORKERS_STOP_S_MAX = 2.0
OTHERS_STOP_S_MAX = 1.0
BUS_STOP_S_MAX = 0.5
_LOOK_S = 0.2
_LOOK_AT_LOGS_S = 2.0


class Supervisor:
    """All that runs for one ticket office."""

    def __init__(
        self,
        system: System,
        folder: Folder,
        handout: Handout,
        endpoint: str | None,
        issuer: str | None,
    ) -> None:
        """Prepare the parts; None for the endpoint stands for the embedded engine, None for the issuer for none.

        Raises: LocalError.
        """
        self._system = system
        self._folder = folder
        self._handout = handout
        self._engine = Engine(folder.database, _fresh(folder.logs / "engine.log")) if endpoint is None else None
        self.database = Database.embedded(self._engine.endpoint) if self._engine else Database.at(endpoint or "")
        self.made: list[str] = []  # tables
        self.workers = len(handout.ends)
        common = {"template": str(system.path), "parameters": dict(system.parameters)}
        kept = {"failed_records": str(folder.failed_records.absolute())}
        announced = {"announcements": str(folder.announcements)}
        fed = kept | {"database": asdict(self.database)}
        self._workers = [
            Part(f"worker-{number}", "local.worker", common | announced | {"issuer": issuer}, folder.logs)
            for number in range(1, self.workers + 1)
        ]
        self._others = []
        for function in dict.fromkeys(stream.function for stream in system.streams):
            path = folder.checkpoint(function)
            Checkpoint(path)  # a corrupt one is told now
            its = {"function": function, "checkpoint": str(path)}
            self._others.append(Part(f"feeder-{function}", "local.feeder", common | fed | its, folder.logs))
        if system.schedules:
            self._others.append(Part("scheduler", "local.scheduler", common | kept, folder.logs))
        self._bus = Part("bus", "local.bus", common | announced, folder.logs) if system.has_bus else None
        self._bus_socket = listen(engines.HOST, 0) if self._bus else None
        self._deaths: dict[str, deque[float]] = {}

    def start(self) -> None:
        """Start everything and wait until it does its work.

        Raises: LocalError, the first reason why it does not.
        """
        self.database.adopt()
        bus_url = f"http://{engines.HOST}:{self._bus_socket.getsockname()[1]}" if self._bus_socket else ""
        if bus_url:  # functions put their events there, whatever the database is
            os.environ[BUS_VARIABLE] = bus_url
        if self._engine:
            self._engine.start()
        try:
            self.made = engines.create_tables(self.database.client(), self._system)
        except (BotoCoreError, ClientError) as error:
            raise EngineError(f"the database at {self.database.endpoint} cannot be used: {error}") from None
        if self._engine:
            engines.index_stream(self._folder.database)
        self._folder.announce(self.database.announcement, bus_url)
        for part in self._parts():
            self._start(part)
        deadline = time.monotonic() + READY_S_MAX
        waiting = self._parts()
        while waiting := [part for part in waiting if not part.is_ready()]:
            for part in waiting:
                if part.death():
                    raise StartError(f"the {part.name} does not start: {last_line(part.log)}")
            if time.monotonic() > deadline:
                raise StartError(f"the {waiting[0].name} is not ready within {READY_S_MAX:.0f} s: see {waiting[0].log}")
            time.sleep(0.02)

    def keep(self, tell: Callable[[str], None]) -> None:
        """Start again what dies, until a signal asks to stop; `tell` gets a line for each time.

        The signal is noted here, and raises nothing: an exception within Popen.poll could leave its lock taken.

        Raises: LocalError when a part keeps dying.
        """
        asked: list[int] = []
        for number in STOP_SIGNALS:
            signal.signal(number, lambda number, _frame: asked.append(number))
        logs = [self._folder.logs / "engine.log", *(part.log for part in self._parts())]
        look_at_logs_s = 0.0
        while not asked:
            if self._engine and self._engine.process and (code := self._engine.process.poll()) is not None:
                self._count("engine", f"exit code {code}", logs[0], tell)
                self._engine.start()
            for part in self._parts():
                if death := part.death():
                    self._count(part.name, death, part.log, tell)
                    part.wait(0.0)
                    self._start(part)
            if time.monotonic() > look_at_logs_s:
                look_at_logs_s = time.monotonic() + _LOOK_AT_LOGS_S
                for log in logs:
                    bound_log(log)
            self._handout.serve(_LOOK_S, self._is_up)

    def stop(self) -> None:
        """Stop everything that runs, in order; what does not stop in its time is killed, which is safe too (P8)."""
        bus = [self._bus] if self._bus else []
        stops = ((self._workers, WORKERS_STOP_S_MAX), (self._others, OTHERS_STOP_S_MAX), (bus, BUS_STOP_S_MAX))
        for parts, seconds in stops:
            for part in parts:
                part.terminate()
            deadline = time.monotonic() + seconds
            for part in parts:
                part.wait(deadline)
        if self._engine:
            self._engine.stop()

    def _parts(self) -> list[Part]:
        return [*self._workers, *self._others, *([self._bus] if self._bus else [])]

    def _start(self, part: Part) -> None:
        end = self._handout.ends[self._workers.index(part)] if part in self._workers else None
        part.start(self._bus_socket if part is self._bus else end)

    def _is_up(self, worker: int) -> bool:
        return self._workers[worker].is_ready() and self._workers[worker].death() is None

    def _count(self, name: str, death: str, log: Path, tell: Callable[[str], None]) -> None:
        count = count_death(self._deaths.setdefault(name, deque()), DEATHS_S)
        if count >= DEATHS_MAX:
            raise StartError(f"the {name} died {count} times within {DEATHS_S:.0f} s ({death}): {last_line(log)}")
        tell(f"the {name} died ({death}) and is started again; its log is {log}")


def _fresh(log: Path) -> Path:
    log.write_bytes(b"")
    return log


def default_workers() -> int:
    """Give one more than the processors that this program may use: while some wait for the engine, another computes."""
    return 1 + (len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)
