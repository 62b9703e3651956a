"""export EVENT: bookings and waiting list as CSV, a page at a time, so that a million rows take no more memory.

Each row is as of its own moment: while people book, the whole is no snapshot.
"""

import csv
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ops import rows
from shared.model import Booking, Entry, Event, Status
from shared.store import items

COLUMNS = (
    "row", "userId", "bookingId", "generation", "status", "sequence", "position",
    "bookedAt", "joinedAt", "promotedAt", "cancelledAt",
)  # fmt: skip


def run(event_id: str, only: str | None, output: Path | None) -> int:
    """Write what is wanted, to the file or to standard output; give the exit code."""
    event = rows.event(event_id)
    lanes = rows.lanes(event)
    waiting = max(0, sum(lane.waiting for lane in lanes))
    confirmed = max(0, sum(lane.tickets - lane.available for lane in lanes))
    bookings_wanted, entries_wanted = only != "waiting-list", only != "bookings"
    total = bookings_wanted * (confirmed + waiting) + entries_wanted * waiting
    written = 0
    with _opened(output) as file, rows.progress(total, "export") as bar:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for page, gone in _pages(event, bookings_wanted, entries_wanted):
            writer.writerows(page)
            written += len(page)
            if bar.total is not None:
                bar.total += gone  # cancelled bookings: nobody has counted them before
            bar.update(len(page))
    if output:
        sys.stderr.write(f"{written} rows in {output}\n")
    return 0


def _pages(event: Event, bookings: bool, entries: bool) -> Iterator[tuple[list[tuple[object, ...]], int]]:
    """Yield the rows of each page, and how many of them are cancelled bookings."""
    if bookings:
        for page in rows.bookings(event):
            found = [items.to_booking(item) for item in page]
            yield [_booking(one) for one in found], sum(one.status is Status.CANCELLED for one in found)
    if entries:
        position = 0
        for page in rows.entries(event):
            yield [_entry(items.to_entry(item), position + n) for n, item in enumerate(page, 1)], 0
            position += len(page)


def _booking(one: Booking) -> tuple[object, ...]:
    times = one.booked_at, one.joined_at, one.promoted_at, one.cancelled_at
    return "booking", one.user_id, one.booking_id, one.generation, one.status, one.sequence, None, *times


def _entry(one: Entry, position: int) -> tuple[object, ...]:
    times = None, one.joined_at, None, None
    return "waiting-list", one.user_id, one.booking_id, None, None, one.sequence, position, *times


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[str]]:
    """Open what is written to; a file gets its name when it is whole."""
    if output is None:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # whatever the terminal's is
        yield sys.stdout
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        os.replace(part, output)  # noqa: PTH105 - the name says what matters: it is atomic
    finally:
        part.unlink(missing_ok=True)
