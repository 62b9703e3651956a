"""Disks that fill up: a small tmpfs where mounting is allowed, and a limit on the size of files, for any user."""

import os
import resource
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.local.programs import Program

_DISK_BYTES = 16 * 1024 * 1024
_PAUSE_S = 0.02


@dataclass(frozen=True)
class Disk:
    """Where a data folder can be, how to leave it no space, and how to give the space back."""

    path: Path
    fill: Callable[[Program], None]
    clear: Callable[[Program], None]

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


def _limit(program: Program, size: int) -> None:
    """Let no file that the program writes have more bytes."""
    for pid in (program.process.pid, *program.pids()):  # the first passes it on to the processes that it starts
        with suppress(ProcessLookupError):
            _, hardest = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hardest))


@contextmanager
def small_disk(path: Path) -> Iterator[Disk]:
    """Yield a small file system, or a limit on files where the user may not mount one."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False, timeout=10).returncode != 0:
        yield Disk(path, lambda program: _limit(program, 0), lambda program: _limit(program, resource.RLIM_INFINITY))
        return
    filler = path / "filler"

    def fill(_: Program) -> None:
        """Write until not one byte more fits."""
        with suppress(OSError), filler.open("ab", buffering=0) as file:
            while True:
                file.write(b"x" * 65_536)

    try:
        yield Disk(path, fill, lambda _: filler.unlink())
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
