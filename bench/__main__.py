"""`python -m bench`: measure, print a table, and write the figures as JSON.

Each section has an office of its own: `python -m local` with its data on disk. After each of them the promises are
checked on the tables. These machines are noisy: compare ratios, and medians of several runs.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench import floor, load
from bench.load import Measured
from tests import promises
from tests.crowd import open_event
from tests.running import RunningOffice, running

ONE_TICKET_EACH = 1_000_000  # more than any run sells
PROMOTED_WITHIN_S = 60.0


def main() -> None:
    """Run the sections that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the ticket office on this machine.")
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help=f"which ({', '.join(SECTIONS)})")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each load (8)")
    parser.add_argument("--workers", type=int, default=2, help="of the office (2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    os.environ.update(AWS_DEFAULT_REGION="us-east-1", AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench")
    rows = []
    print(f"{'section':34}{'/s':>9}{'p50 ms':>9}{'p99 ms':>9}  what else")  # noqa: T201  # this is the product
    for name in options.sections or SECTIONS:
        with tempfile.TemporaryDirectory() as data, running(Path(data), options.workers) as office:
            for row in SECTIONS[name](office, options.seconds, options.workers):
                rows.append(row)
                print(_line(row), flush=True)  # noqa: T201
    if options.json:
        machine = {"python": platform.python_version(), "system": platform.platform(), "command": sys.argv[1:]}
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n", encoding="utf-8")


def _book(office: RunningOffice, seconds: float, workers: int) -> Iterator[dict[str, Any]]:
    """Bookings of one hot event, 16 and 64 in flight, and the floor beside them."""
    rates = {}
    for in_flight in (16, 64):
        event_id = open_event(office.url, ONE_TICKET_EACH)
        measured = load.run(office.port, in_flight, seconds, partial(_bookings, event_id))
        rates[in_flight] = measured.per_second
        found = promises.check(office.database(), event_id, drained=True)
        assert len(found.confirmed) == measured.statuses[201]
        yield _row(f"book, {in_flight} in flight", measured)
    event_id = open_event(office.url, ONE_TICKET_EACH)
    lanes = len(promises.read(office.database(), event_id).lanes)
    rate = floor.bookings_per_second(office.database().meta.endpoint_url, event_id, lanes, workers, seconds)
    promises.check(office.database(), event_id, drained=True)
    yield {"section": "floor: bare boto3, same engine", "per_second": rate, "note": f"ratio {rates[64] / rate:.2f}"}


def _join(office: RunningOffice, seconds: float, _workers: int) -> Iterator[dict[str, Any]]:
    """Joins of one sold-out event."""
    event_id = open_event(office.url, tickets=1)
    load.run(office.port, 1, seconds, lambda _: iter([_booking(event_id, "first")]))
    measured = load.run(office.port, 64, seconds, partial(_bookings, event_id))
    found = office.check_drained(event_id, PROMOTED_WITHIN_S)
    assert len(found.waiting) == measured.statuses[202]
    yield _row("join a sold-out one, 64 in flight", measured)


def _cancel(office: RunningOffice, seconds: float, _workers: int) -> Iterator[dict[str, Any]]:
    """Every holder cancels at once; how long until each waiting user has the ticket."""
    users = 500
    event_id = open_event(office.url, users)
    for some in (range(users), range(users, 2 * users)):
        load.run(office.port, 16, seconds * 10, partial(_shares, event_id, some, 16))
    measured = load.run(office.port, 64, seconds * 10, partial(_cancellations, event_id, range(users), 64))
    ended_s = time.monotonic()
    found = office.check_drained(event_id, PROMOTED_WITHIN_S)
    after_s = time.monotonic() - ended_s
    assert len(found.waiting) == 0
    assert len(found.confirmed) == users
    cancelled = sorted(one["cancelledAt"] for one in found.bookings if one["status"] == "CANCELLED")
    promoted = sorted(one["promotedAt"] for one in found.bookings if "promotedAt" in one)
    waits = [_between_s(*pair) for pair in zip(cancelled, promoted, strict=True)]
    note = f"n-th cancellation to n-th promotion: median {statistics.median(waits):.2f} s, longest {max(waits):.2f} s"
    yield _row("cancel storm, 64 in flight", measured) | {"note": f"{note}; all done {after_s:.2f} s after the last"}


def _status(office: RunningOffice, seconds: float, _workers: int) -> Iterator[dict[str, Any]]:
    """Reads of one event of one lane, and of one of as many as there can be."""
    for tickets in (50, ONE_TICKET_EACH):
        event_id = open_event(office.url, tickets)
        request = load.get(f"/status/{event_id}")
        measured = load.run(office.port, 64, seconds, partial(_forever, request))
        lanes = len(promises.check(office.database(), event_id).lanes)
        yield _row(f"status of {lanes} lane(s), 64 in flight", measured)


SECTIONS = {"book": _book, "join": _join, "cancel": _cancel, "status": _status}


def _bookings(event_id: str, connection: int) -> Iterator[bytes]:
    for n in range(ONE_TICKET_EACH):
        yield _booking(event_id, f"user-{connection}-{n}")


def _shares(event_id: str, users: range, connections: int, connection: int) -> Iterator[bytes]:
    for n in users[connection::connections]:
        yield _booking(event_id, f"user-{n}")


def _cancellations(event_id: str, users: range, connections: int, connection: int) -> Iterator[bytes]:
    for n in users[connection::connections]:
        yield load.post("/cancel", json.dumps({"userId": f"user-{n}", "eventId": event_id}))


def _booking(event_id: str, user: str) -> bytes:
    return load.post("/book", json.dumps({"userId": user, "eventId": event_id}))


def _forever(request: bytes, _connection: int) -> Iterator[bytes]:
    while True:
        yield request


def _row(section: str, measured: Measured) -> dict[str, Any]:
    faults = sum(count for status, count in measured.statuses.items() if status >= 500)  # noqa: PLR2004  # HTTP
    assert faults == 0, measured.statuses
    return {
        "section": section,
        "per_second": measured.per_second,
        "p50_ms": measured.quantile_ms(0.50),
        "p99_ms": measured.quantile_ms(0.99),
        "note": " ".join(f"{count}x{status}" for status, count in sorted(measured.statuses.items())),
    }


def _line(row: dict[str, Any]) -> str:
    times = "".join(f"{row[name]:9.1f}" if name in row else " " * 9 for name in ("p50_ms", "p99_ms"))
    return f"{row['section']:34}{row['per_second']:9.0f}{times}  {row['note']}"


def _between_s(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


main()
