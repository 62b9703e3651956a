"""The data folder: what is kept between runs, and a lock that lets only one program use it.

Only the owner can read what is in it.

DATA/
    lock             locked with flock while the program runs; the system frees it even after kill -9. It holds the
                     process id and, after the start, the addresses of database and event bus, with their
                     secret (for `python -m ops`)
    tickets.db       the tables (SQLite)
    checkpoints/     how far each function has read its streams, one file each
    issuer.json      the private key that signs tokens, while the program runs with --auth
    announcements/   the events on the event bus, as JSON lines (local/announcements.py)
    failed-records/  stream records that were given up, as Lambda writes them to S3
    logs/            one log for each part, emptied at each start
"""

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from local.errors import FolderInUse, StartError
from local.system import Function

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a tmpfs on Linux; mkdtemp makes private folders
_THROW_AWAY_PREFIX = "ticket-office-"
_THROW_AWAY_AGE_S_MIN = 60  # the lock of a younger one may just be about to be taken
_FREE_BYTES_MIN = 256 * 1024
_LOCK_BYTES_MAX = 1024


class Folder:
    """A data folder that only this process uses."""

    def __init__(self, path: Path, is_throw_away: bool = False) -> None:
        """Make the folder if it is missing, and lock it.

        Raises: StartError if it cannot be written; FolderInUse if another program uses it.
        """
        self.path = path
        self.is_throw_away = is_throw_away
        self.database = path / "tickets.db"
        self.checkpoints = path / "checkpoints"
        self.failed_records = path / "failed-records"
        self.announcements = path / "announcements"
        self.issuer = path / "issuer.json"
        self.logs = path / "logs"
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            self.failed_records.mkdir(exist_ok=True)
            self.checkpoints.mkdir(exist_ok=True)
            self.announcements.mkdir(exist_ok=True)
            check_space(path)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StartError(f"the data folder {path} cannot be used: {error.strerror}") from None
        if not _locked(self._lock):
            said = os.pread(self._lock, _LOCK_BYTES_MAX, 0).decode("utf-8", "replace").splitlines()
            os.close(self._lock)
            owner, announced, bus = [*said, "", "", ""][:3]
            raise FolderInUse(
                f"the data folder {path} is in use by another ticket office (process {owner or 'unknown'})",
                announced or None,
                bus or None,
            )
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def checkpoint(self, function: str) -> Path:
        """Return the file of a function's checkpoint."""
        return self.checkpoints / f"{function}.json"

    def announce(self, database: str, bus: str = "") -> None:
        """Write the addresses of database and bus into the lock, for example "embedded http://127.0.0.1:1"."""
        os.pwrite(self._lock, f"{os.getpid()}\n{database}\n{bus}\n".encode(), 0)

    def close(self) -> None:
        """Unlock the folder."""
        os.close(self._lock)


def check_space(path: Path) -> None:
    """Refuse to write to a disk that is full, or so nearly full that a write may be cut short.

    Raises: OSError.
    """
    disk = os.statvfs(path)
    if disk.f_blocks and disk.f_bavail * disk.f_frsize < _FREE_BYTES_MIN:  # some file systems count no blocks
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@contextmanager
def opened(path: Path | None) -> Iterator[Folder]:
    """Open a data folder; None opens a temporary one, in memory if possible. Raises: StartError."""
    folder = Folder(_new_throw_away(), is_throw_away=True) if path is None else Folder(path.absolute())
    try:
        yield folder
    finally:
        if folder.is_throw_away:
            shutil.rmtree(folder.path, ignore_errors=True)
        folder.close()


def _new_throw_away() -> Path:
    base = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    for left in base.glob(f"{_THROW_AWAY_PREFIX}*"):
        _remove_if_left(left)
    return Path(tempfile.mkdtemp(prefix=_THROW_AWAY_PREFIX, dir=base))


def _remove_if_left(path: Path) -> None:
    """Remove a temporary folder whose program was killed."""
    with suppress(OSError):  # it belongs to another user, or was just removed
        if path.is_symlink() or time.time() - path.stat().st_mtime < _THROW_AWAY_AGE_S_MIN:
            return
        descriptor = os.open(path / "lock", os.O_RDWR)
        try:
            if _locked(descriptor):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def with_failed_records(function: Function, folder: str) -> Function:
    """Give a function that uses the bucket of failed records the folder that replaces it here."""
    if "FAILED_RECORDS" not in function.environment:
        return function
    return replace(function, environment={**function.environment, "FAILED_RECORDS": folder})
