"""The announcements: what was put on the event bus, kept as JSON lines. One process writes, any number read.

    DATA/announcements/00000000000000000000.jsonl    the name is the place where the file begins, in bytes of all that
                       00000000000005242911.jsonl    was ever written
                       identity                      tells this folder's places from those of another

A place is a number that stays valid: a reader that was away goes on where it was, or with the oldest line that is kept.
Each line is an event in the form in which EventBridge hands it to the target of a rule. Only whole lines are ever read,
so a writer may be killed, or the disk may fill up, in the middle of one.
"""

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

FILE_BYTES_MAX = 5 * 1024 * 1024
FILES_MAX = 4  # then the oldest is removed
_IDENTITY_BYTES = 4
READ_BYTES_MAX = 512 * 1024  # at once; a line has at most half of it


class Writer:
    """Appends lines. There is one at a time."""

    def __init__(self, folder: Path) -> None:
        """Go on where the last writer stopped."""
        self._folder = folder
        self._start, self._path = (_files(folder) or [(0, _path(folder, 0))])[-1]
        self._size = 0
        self._may_be_torn = True  # the last write may have ended within a line

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines, given without their ends; on return they can be read, even if this process is killed.

        Raises: OSError, for example when the disk is full. The first few lines may have been written then.
        """
        if self._may_be_torn:
            self._cut_off_half_a_line()
        if self._size >= FILE_BYTES_MAX:
            for _, old in _files(self._folder)[: 1 - FILES_MAX]:
                old.unlink()
            self._start += self._size
            self._path, self._size = _path(self._folder, self._start), 0
        data = b"".join(line + b"\n" for line in lines)
        self._may_be_torn = True
        with self._path.open("ab") as file:
            file.write(data)
        self._may_be_torn = False
        self._size += len(data)

    def _cut_off_half_a_line(self) -> None:
        """Keep the whole lines: readers have seen them."""
        if self._path.exists():
            self._size = _whole_bytes(self._path)
            os.truncate(self._path, self._size)


def identity(folder: Path) -> bytes:
    """Return what tells this folder from others; it is made once. Raises: OSError."""
    path = folder / "identity"
    if not path.exists():
        new = folder / f"identity.{os.getpid()}"
        new.write_text(secrets.token_hex(_IDENTITY_BYTES))
        with suppress(FileExistsError):  # another process was first
            path.hardlink_to(new)
        new.unlink()
    return path.read_bytes()


def end(folder: Path) -> int:
    """Return the place after the last whole line."""
    files = _files(folder)
    return files[-1][0] + _whole_bytes(files[-1][1]) if files else 0


def read(folder: Path, place: int) -> list[tuple[int, bytes]]:
    """Read whole lines from a place on, at most READ_BYTES_MAX; return each with the place after it.

    A place that is no longer kept stands for the oldest that is; one within a line for the end of that line.
    """
    files = _files(folder)
    while files:
        start, path = next((file for file in reversed(files) if file[0] <= place), files[0])
        if found := _read_file(path, start, max(place, start)):
            return found
        files = [file for file in files if file[0] > start]  # this one is read to its end
    return []


def _read_file(path: Path, start: int, place: int) -> list[tuple[int, bytes]]:
    before = min(1, place - start)  # one byte more, which is the end of a line
    try:
        if place - start >= path.stat().st_size:
            return []
        with path.open("rb") as file:
            file.seek(place - before - start)
            data = file.read(READ_BYTES_MAX)
    except FileNotFoundError:  # removed in this moment
        return []
    lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
    if lines and before:
        place += len(lines.pop(0)) - 1
    found = []
    for line in lines:
        place += len(line)
        found.append((place, line[:-1]))
    return found


def _whole_bytes(path: Path) -> int:
    """Return where the last whole line of a file ends."""
    with path.open("rb") as file:
        skipped = file.seek(max(0, path.stat().st_size - READ_BYTES_MAX))
        return skipped + file.read().rfind(b"\n") + 1


def _files(folder: Path) -> list[tuple[int, Path]]:
    """List the files with their beginnings, in order."""
    return sorted((int(path.stem), path) for path in folder.glob("*.jsonl"))


def _path(folder: Path, start: int) -> Path:
    return folder / f"{start:020d}.jsonl"
