"""The figures of the last runs that README.md and docs/organisers.md show at a glance."""

import re
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import bill, record
from shared.model import LANES_MAX, TICKETS_MAX, TICKETS_PER_LANE

ROOT = Path(__file__).resolve().parent.parent
CALM_MS = 500  # of the p99: up to here an on-sale feels like any other request

Row = Mapping[str, Any]


def with_figures(name: str, page: str) -> str:
    """Return a page with the figures of the last runs in place of those it had."""
    return record.put_between_marks(page, "bench/glance", f"\n{PAGES[name]()}\n\n")


def first_look() -> str:
    """Return what a reader of the README wants to know first."""
    starts, beside = record.read("coldstart"), record.read("compare")
    start_ms = statistics.median(starts["functions"]["BookFunction"]["initMs"])
    lanes, counter = (_rate(_calm(design)) for design in (f"{LANES_MAX} lanes", "one counter"))
    machine = f"{beside['machine']['cores']} cores, load average {beside['machine']['loadAverage']:.0f} before it"
    both = f"[one run of both](docs/benchmark.md#beside-a-conventional-service), {machine}"
    tickets, _ = bill.EVENTS["medium"]
    rows = [
        ["promises", _searches(), "[search](docs/guarantees.md)"],
        [
            "bookings of one event at AWS's limits",
            f"{lanes}; a single counter item instead of lanes: {counter}",
            "[simulation](docs/scale.md)",
        ],
        ["bookings on one machine, over HTTP, synced to disk", _both(beside, "book"), both],
        ["joins of the waiting list, likewise", _both(beside, "join"), both],
        [
            "cold start of the booking function",
            f"{start_ms:.0f} ms",
            "[Lambda's runtime](docs/benchmark.md#cold-start), locally",
        ],
        [
            f"an event of {tickets:,} tickets, all that AWS charges",
            f"${sum(bill.of_event('medium').values()):.2f}; the stack ${sum(bill.of_month().values()):.2f} a month",
            "[units and log bytes of a run](docs/benchmark.md#the-whole-bill), list prices",
        ],
    ]
    return record.table(["what", "figure", "from"], rows, figures=False)


def lanes() -> str:
    """Return how many lanes an event has, and how many bookings a second they take."""
    rows = [
        [_tickets(int(number[0])), number[0], f"{_calm(design)['offered_s']:,}"]
        for design in dict.fromkeys(row["design"] for row in _sales())
        if (number := re.match(r"\d+", design))
    ]
    return record.table(["tickets", "lanes", "bookings a second"], rows, figures=False)


PAGES: Mapping[str, Callable[[], str]] = {"README.md": first_look, "docs/organisers.md": lanes}


def _tickets(lanes: int) -> str:
    """Return for how many tickets there are so many lanes."""
    most = TICKETS_MAX if lanes == LANES_MAX else lanes * TICKETS_PER_LANE
    return f"{(lanes - 1) * TICKETS_PER_LANE + 1:,} to {most:,}"


def _sales() -> list[Row]:
    return [row for row in record.read("scale")["rows"] if row["section"] == "sales"]


def _calm(design: str) -> Row:
    """Return the most that a design sold with a p99 below CALM_MS and no request refused."""
    calm = (row for row in _sales() if row["design"] == design and row["p99_ms"] < CALM_MS and not row["failed_s"])
    return max(calm, key=lambda row: float(row["per_second"]))


def _rate(row: Row) -> str:
    return f"{row['per_second']:,.0f} a second, p99 {row['p99_ms']:.0f} ms"


def _both(result: Row, load: str) -> str:
    """Return the rates of a load of the office and, always, of the service beside it."""
    [row] = [row for row in result["rows"] if row["load"] == load]
    ours, theirs = (f"{row[side]['per_second']:,.0f} a second" for side in ("office", "baseline"))
    return f"{ours}; Express and PostgreSQL: {theirs}"


def _searches() -> str:
    """Return what the search says that it found."""
    page = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    found = re.search(r"went through (\S+) schedules with .* and found (.+)\.$", page, re.MULTILINE)
    assert found, "docs/guarantees.md says what its last run found"
    return f"{found[2]} in {float(found[1].replace(',', '')):.1e} schedules".replace("e+", "·10^").replace("^0", "^")
