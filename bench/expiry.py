"""`python -m bench.expiry`: let many holds of one event expire in the same minute; measure when their tickets are free.

The office is `python -m local` with its data on disk and its own schedule: ExpireFunction runs once a minute. H3 allows
two minutes from the expiry of a hold.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from bench import load, record
from harness import promises
from harness.crowd import open_event
from harness.running import RunningOffice, running
from local.supervisor import default_workers
from shared.booking.expiry import HOLDS_PER_S_MAX
from shared.booking.tally import OVERDUE_S_MAX

HOLDS = 5_000
HOLD_S = 5  # seconds
IN_FLIGHT = 64
BOOKED_S_MAX = 300.0
POLL_S = 0.5


def main() -> None:
    """Measure, print, and write bench/results/expiry.json."""
    argparse.ArgumentParser(prog="python -m bench.expiry", description="Let many holds expire at once.").parse_args()
    os.environ.update(AWS_DEFAULT_REGION="us-east-1", AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench")
    machine, workers = record.machine(), default_workers()
    with tempfile.TemporaryDirectory() as data, running(Path(data), workers) as office:
        figures = measure(office, HOLDS)
    result = {"command": "python -m bench.expiry", "machine": machine, "workers": workers, **figures}
    record.write("expiry", result)
    print(section(result))  # noqa: T201  # this is the product


def measure(office: RunningOffice, holds: int) -> dict[str, Any]:
    """Have so many users hold a ticket of one event; wait until all tickets are free, and check the promises."""
    event_id = open_event(office.url, holds, holdSeconds=HOLD_S)
    measured = load.run(office.port, IN_FLIGHT, BOOKED_S_MAX, partial(_bookings, event_id, holds))
    assert measured.statuses == {201: holds}, measured.statuses
    _wait_until_free(office.url, event_id, holds)
    found = promises.check(office.database, event_id, drained=True)
    assert {one["status"] for one in found.bookings} == {"EXPIRED"}
    held_s, expired_s = ([_second(one[name]) for one in found.bookings] for name in ("heldAt", "expiredAt"))
    late_s = sorted(after - before - HOLD_S for before, after in zip(held_s, expired_s, strict=True))
    return {
        "holds": holds,
        "holdSeconds": HOLD_S,
        "expireWithinS": round(max(held_s) - min(held_s), 1),
        "releaseS": round(max(expired_s) - min(expired_s), 1),
        "earliestS": round(late_s[0], 1),
        "medianS": round(statistics.median(late_s), 1),
        "latestS": round(late_s[-1], 1),
    }


def section(result: dict[str, Any]) -> str:
    """Render the part of docs/benchmark.md."""
    return f"""## Holds that expire at once

`{result["command"]}`: {result["holds"]:,} holds of one event expire within {result["expireWithinS"]:g} s, in
`python -m local` with {result["workers"]} workers and its data on disk. `ExpireFunction` runs once a minute and
releases at most {HOLDS_PER_S_MAX} holds a second. It released all of them within {result["releaseS"]:g} s: the median
{result["medianS"]:g} s after the hold's expiry, the latest {result["latestS"]:g} s after it. The
[promise H3](guarantees.md#the-promises) allows {OVERDUE_S_MAX:g} s.
{record.described(result["machine"])}.
"""


def _bookings(event_id: str, holds: int, connection: int) -> Iterator[bytes]:
    for n in range(connection, holds, IN_FLIGHT):
        yield load.ask("/book", event_id, f"user-{n}")


def _wait_until_free(url: str, event_id: str, tickets: int) -> None:
    """Wait until all tickets are free. The run fails if that takes longer than H3 allows."""
    until_s = time.monotonic() + HOLD_S + OVERDUE_S_MAX
    while (free := httpx.get(f"{url}/status/{event_id}").json()["availableTickets"]) < tickets:
        assert time.monotonic() < until_s, f"only {free:,} of {tickets:,} tickets are free"
        time.sleep(POLL_S)


def _second(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


if __name__ == "__main__":
    main()
