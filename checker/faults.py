"""Faults: processes die or stop, the disk is full, the clock jumps. Each is healed before the next begins."""

import os
import random
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from checker.history import Exchange, History
from checker.program import Program, signal_all

PARTS_KILLED_MAX = 4  # per run of the program: it gives up when one part dies five times within a minute
FULL_S = (0.3, 2.0)
STOPPED_S = (0.2, 1.0)
JUMPS_S = (-1_800, -30, -1, 1, 30, 1_800)  # docs/events.md: announcements that are an hour old are given up
DISK = "64m"  # size of the file system


class Disk:
    """A small file system of its own for the data folder, to be filled; needs the right to mount one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.why_not = ""

    def mount(self) -> None:
        """Mount it, or say in `why_not` why it cannot."""
        self._folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "checker", str(self._folder)]
        try:
            tried = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            self.why_not = str(error)
            return
        if tried.returncode != 0:
            self.why_not = f"no tmpfs can be mounted here ({tried.stderr.strip()})"

    def unmount(self) -> None:
        """Unmount it."""
        if not self.why_not:
            subprocess.run(["umount", "--lazy", str(self._folder)], check=False)

    def fill(self, full_s: float) -> None:
        """Keep the disk full for some seconds."""
        filler = self._folder / "filler"
        try:
            with filler.open("wb", buffering=0) as file:
                until = time.monotonic() + full_s
                while time.monotonic() < until:  # also fill what the office frees
                    with suppress(OSError):
                        while file.write(bytes(65536)):
                            pass
                        continue
                    with suppress(OSError):
                        while file.write(b"0"):
                            pass
                    time.sleep(0.01)
        finally:
            filler.unlink(missing_ok=True)


class Clock:
    """The wall clock that the office's programs see, shifted by a preloaded library; needs a C compiler."""

    def __init__(self, folder: Path) -> None:
        self.why_not = ""
        self.environment: dict[str, str] = {}
        self._offset = folder / "clock"
        self._library = folder / "clock.so"

    def build(self) -> None:
        """Compile the library, or say in `why_not` why it cannot."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            self.why_not = "this machine has no C compiler"
            return
        source = Path(__file__).with_name("clock.c")
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(self._library), str(source), "-ldl"]
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            self.why_not = f"{compiler} cannot compile {source.name}: {tried.stderr.strip()}"
            return
        self.set(0)
        self.environment = {"LD_PRELOAD": str(self._library), "CHECKER_CLOCK": str(self._offset)}

    def set(self, offset_s: float) -> None:
        """Show the time `offset_s` seconds off."""
        data = struct.pack("=q", int(offset_s * 1e9))
        if not self._offset.exists():
            self._offset.write_bytes(data)
            return
        with self._offset.open("r+b") as file:  # the same file: it is mapped
            file.write(data)


class Faults:
    """The faults of a round, by kind."""

    def __init__(self, program: Program, history: History, disk: Disk, clock: Clock, rng: random.Random) -> None:
        self._program = program
        self._history = history
        self._disk = disk
        self._clock = clock
        self._rng = rng
        self._parts_killed = 0
        self._kinds: dict[str, Callable[[], str]] = {
            "kill-part": self._kill_part,
            "stop-part": self._stop_part,
            "kill-main": lambda: self._kill(whole=False),
            "kill-program": lambda: self._kill(whole=True),
            "stop-program": self._stop_program,
            "disk": self._fill_disk,
            "clock": self._shift_clock,
        }

    def inject(self, kind: str) -> None:
        """Cause one fault, heal it, and record when it happened."""
        begin = time.monotonic()
        what = self._kinds[kind]()
        if what:
            self._history.add(Exchange("fault", begin, time.monotonic(), response=what, body={"kind": kind}))

    def _part(self) -> int | None:
        parts = self._program.processes()[1:]
        return self._rng.choice(sorted(parts)) if parts else None

    def _kill_part(self) -> str:
        pid = self._part()
        if pid is None or self._parts_killed >= PARTS_KILLED_MAX:
            return ""
        self._parts_killed += 1
        name = _name(pid)
        signal_all([pid], signal.SIGKILL)
        return f"killed {name}"

    def _stop_part(self) -> str:
        pid = self._part()
        return self._stop([pid]) if pid is not None else ""

    def _stop_program(self) -> str:
        return self._stop(self._program.processes())

    def _stop(self, pids: list[int]) -> str:
        names = ", ".join(_name(pid) for pid in pids)
        signal_all(pids, signal.SIGSTOP)
        try:
            time.sleep(self._rng.uniform(*STOPPED_S))
        finally:
            signal_all(pids, signal.SIGCONT)
        return f"stopped {names}"

    def _kill(self, *, whole: bool) -> str:
        self._program.kill(whole=whole)
        self._program.start()
        self._parts_killed = 0
        return "killed the program and all below it" if whole else "killed the program's first process"

    def _fill_disk(self) -> str:
        if self._disk.why_not:
            return ""
        full_s = self._rng.uniform(*FULL_S)
        self._disk.fill(full_s)
        return f"the disk was full for {full_s:.1f} s"

    def _shift_clock(self) -> str:
        if self._clock.why_not:
            return ""
        offset_s = self._rng.choice(JUMPS_S)
        self._clock.set(offset_s)
        time.sleep(self._rng.uniform(*STOPPED_S))
        self._clock.set(0)
        return f"the clock was off by {offset_s} s for a while"


def _name(pid: int) -> str:
    """Return the beginning of a process's command line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return str(pid)
    return " ".join([os.path.basename(words[0]), *words[1:3]])  # noqa: PTH119
