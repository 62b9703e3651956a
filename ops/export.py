"""export EVENT: write bookings and waiting list as CSV, page by page, so that memory does not grow with the rows.

Each row is as of its own moment: while users book, the whole is no snapshot. A row that cannot be read is reported and
left out.
"""

import csv
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from ops import rows
from shared.model import Booking, DamagedItem, Entry, Event
from shared.store import items
from shared.store.items import Item

COLUMNS = (
    "row", "userId", "bookingId", "generation", "status", "quantity", "atLeast", "sequence", "position",
    "joinedAt", "promotedAt", "heldAt", "expiresAt", "bookedAt", "cancelledAt", "expiredAt", "reducedAt",
    "checkedInAt", "transferredAt", "transferredTo", "transferredFrom",
    "reference", "bookedBy", "confirmedBy", "cancelledBy", "reducedBy", "checkedInBy", "transferredBy",
)  # fmt: skip
REPORTED_MAX = 100  # damaged rows that are named; the rest are only counted

_DONE, _WRONG = 0, 1
_BOM = "\ufeff"  # Excel reads a CSV file as UTF-8 only with it
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - full-width signs start formulas, too

Row = tuple[object, ...]
T = TypeVar("T")


class _Damage:
    """Report damaged rows on stderr."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, error: DamagedItem) -> None:
        self.count += 1
        if self.count <= REPORTED_MAX:
            sys.stderr.write(f"left out: {error}\n")

    def sum_up(self) -> None:
        if self.count:
            sys.stderr.write(f"{self.count} damaged rows were left out\n")


def run(event_id: str, only: str | None, output: Path | None, *, for_excel: bool = False) -> int:
    """Write the rows to the file or to standard output; return the exit code, 1 if rows were left out."""
    event = rows.event(event_id)
    bookings_wanted, entries_wanted = only != "waiting-list", only != "bookings"
    damage, written = _Damage(), 0
    with _opened(output) as file, rows.progress(_total(event, bookings_wanted, entries_wanted), "export") as bar:
        if for_excel:
            file.write(_BOM)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for page, uncounted in _pages(event, bookings_wanted, entries_wanted, damage):
            writer.writerows(map(_neutral, page) if for_excel else page)
            written += len(page)
            if bar.total is not None:
                bar.total += uncounted
            bar.update(len(page))
    if output:
        sys.stderr.write(f"{written} rows in {output}\n")
    damage.sum_up()
    return _WRONG if damage.count else _DONE


def _total(event: Event, bookings: bool, entries: bool) -> int:
    """Return how many rows the lanes count, without bookings that have ended; 0 if a lane cannot be read."""
    try:
        lanes = rows.lanes(event)
    except DamagedItem:
        return 0
    waiting = max(0, sum(lane.waiting for lane in lanes))
    owned = max(0, sum(lane.tickets - lane.available for lane in lanes))
    return bookings * (owned + waiting) + entries * waiting


def _pages(event: Event, bookings: bool, entries: bool, damage: _Damage) -> Iterator[tuple[list[Row], int]]:
    """Yield the rows of each page, and how many of them the lanes do not count: ended bookings."""
    if bookings:
        for page in rows.bookings(event):
            found = list(_readable(page, items.to_booking, damage))
            yield [_booking(one) for _, one in found], sum(not one.is_active for _, one in found)
    if entries:
        before = 0
        for page in rows.entries(event):
            yield [_entry(one, before + place) for place, one in _readable(page, items.to_entry, damage)], 0
            before += len(page)


def _readable(page: Iterable[Item], read: Callable[[Item], T], damage: _Damage) -> Iterator[tuple[int, T]]:
    """Yield each item of a page that can be read, with its place on the page, counted from 1."""
    for place, item in enumerate(page, 1):
        try:
            yield place, read(item)
        except DamagedItem as error:
            damage.add(error)


def _booking(one: Booking) -> Row:
    what = one.user_id, one.booking_id, one.generation, one.status, one.quantity, one.at_least, one.sequence, None
    waited = one.joined_at, one.promoted_at
    then = one.held_at, one.expires_at, one.booked_at, one.cancelled_at, one.expired_at, one.reduced_at
    used = one.checked_in_at, one.transferred_at, one.transferred_to, one.transferred_from
    by = one.booked_by, one.confirmed_by, one.cancelled_by, one.reduced_by, one.checked_in_by, one.transferred_by
    return "booking", *what, *waited, *then, *used, one.reference, *by


def _entry(one: Entry, position: int) -> Row:
    what = one.user_id, one.booking_id, None, None, one.quantity, one.at_least, one.sequence, position
    row = "waiting-list", *what, one.joined_at
    return *row, *(None for _ in COLUMNS[len(row) :])


def _neutral(row: Row) -> Row:
    """Put an apostrophe before each text that a spreadsheet would take for a formula."""
    return tuple(f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in row)


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[str]]:
    """Open the file or standard output; a file gets its name when it is complete."""
    if output is None:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # whatever the terminal's encoding is
        yield sys.stdout
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        os.replace(part, output)  # noqa: PTH105 - the name says what matters: it is atomic
    finally:
        part.unlink(missing_ok=True)
