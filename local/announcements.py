"""What was put on the event bus, kept as JSON lines: one writer, any number of readers.

    DATA/announcements/00000000000000000000.jsonl    the name is where the file begins, counted in bytes
                       00000000000005242911.jsonl    over all that was ever written

A place in the whole is a number that stays valid: a reader that was away goes on where it was, or with the oldest line
that is still kept. Each line is an event in the form in which EventBridge hands it to the target of a rule.
"""

import os
from collections.abc import Sequence
from pathlib import Path

FILE_BYTES_MAX = 5 * 1024 * 1024
FILES_MAX = 4  # the oldest is removed when there would be more
READ_BYTES_MAX = 512 * 1024  # at once; a line has half of it at the most


class Writer:
    """Appends lines. There is one at a time."""

    def __init__(self, folder: Path) -> None:
        """Go on after the last whole line: a writer that was killed may have left half of one."""
        self._folder = folder
        self._start, self._path = (_files(folder) or [(0, _path(folder, 0))])[-1]
        self._size = self._path.read_bytes().rfind(b"\n") + 1 if self._path.exists() else 0
        if self._path.exists():
            os.truncate(self._path, self._size)

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines, each without its end; when this returns they are read, also after this process was killed."""
        if self._size >= FILE_BYTES_MAX:
            for _, old in _files(self._folder)[: 1 - FILES_MAX]:
                old.unlink()
            self._start += self._size
            self._path = _path(self._folder, self._start)
        with open(self._path, "ab", opener=_private) as file:
            file.write(b"".join(line + b"\n" for line in lines))
            self._size = file.tell()


def end(folder: Path) -> int:
    """Give the place after all that was written."""
    files = _files(folder)
    return files[-1][0] + files[-1][1].stat().st_size if files else 0


def read(folder: Path, place: int) -> list[tuple[int, bytes]]:
    """Read whole lines from a place on, READ_BYTES_MAX at the most; give each with the place after it.

    A place that is not kept any more stands for the oldest that is, one that never was for the end.
    """
    files = _files(folder)
    if not files or place >= end(folder):
        return []
    start, path = next((file for file in reversed(files) if file[0] <= place), files[0])
    place = max(place, start)
    try:
        with path.open("rb") as file:
            file.seek(place - start)
            data = file.read(READ_BYTES_MAX)
    except FileNotFoundError:  # removed in this moment: the next look finds what is kept
        return []
    if not data:  # all of this file was read, and there is another
        return read(folder, next(following for following, _ in files if following > start))
    found = []
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        place += len(line) + 1
        found.append((place, line))
    return found


def _files(folder: Path) -> list[tuple[int, Path]]:
    """List the files with their beginnings, in order."""
    return sorted((int(path.stem), path) for path in folder.glob("*.jsonl"))


def _path(folder: Path, start: int) -> Path:
    return folder / f"{start:020d}.jsonl"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
