"""Disks that fill up: a small tmpfs where mounting is allowed, and a limit on the size of files, for any user."""

import os
import resource
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.local.programs import Program

_DISK_BYTES = 16 * 1024 * 1024
_PAUSE_S = 0.02


class Disk(ABC):
    """Where a data folder can be, and how to fill it up."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def full(self, program: Program) -> Iterator[None]:
        """Leave the program no space, whatever it frees, as long as the context lasts."""
        done = threading.Event()

        def keep_full() -> None:
            while not done.wait(_PAUSE_S):
                self.fill(program)

        self.fill(program)
        filling = threading.Thread(target=keep_full)
        filling.start()
        try:
            yield
        finally:
            done.set()
            filling.join()
            self.clear(program)

    @abstractmethod
    def fill(self, program: Program) -> None:
        """Leave no space."""

    @abstractmethod
    def clear(self, program: Program) -> None:
        """Give the space back."""


class _SmallDisk(Disk):
    """A file system of a few megabytes."""

    def fill(self, program: Program) -> None:
        """Write until not one byte more fits."""
        del program
        with suppress(OSError), (self.path / "filler").open("ab", buffering=0) as filler:
            while True:
                filler.write(b"x" * 65_536)

    def clear(self, program: Program) -> None:
        """Remove what was written."""
        del program
        (self.path / "filler").unlink()


class _LimitedDisk(Disk):
    """A disk that takes nothing from one program: no file that it writes may have a byte."""

    def fill(self, program: Program) -> None:
        """Refuse every write."""
        self._limit(program, 0)

    def clear(self, program: Program) -> None:
        """Allow writes."""
        self._limit(program, resource.RLIM_INFINITY)

    @staticmethod
    def _limit(program: Program, size: int) -> None:
        for pid in (program.process.pid, *program.pids()):  # the first passes it on to the processes that it starts
            with suppress(ProcessLookupError):
                _, hardest = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hardest))


@contextmanager
def small_disk(path: Path) -> Iterator[Disk]:
    """Yield a small file system, or a limit on files where the user may not mount one."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False, timeout=10).returncode != 0:
        yield _LimitedDisk(path)
        return
    try:
        yield _SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True, timeout=10)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Cut off every write of this process beyond so many bytes of a file, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
