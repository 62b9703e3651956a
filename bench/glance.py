"""`python -m bench.glance`: put the figures of the last runs where people look first: README.md, docs/organisers.md.

`make benchmark` and `make scale` call it. A test holds both pages against the figures.
"""

import re
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import record
from bench.cost import GB_SECONDS_USD
from shared.model import LANES_MAX, TICKETS_MAX, TICKETS_PER_LANE

ROOT = Path(__file__).resolve().parent.parent
CALM_MS = 500  # of the p99: up to here an on-sale feels like any other request
WARM_PER_BOOKING, WARM_FROM = 20, 1_000  # docs/scale.md, "Warm throughput"; fewer a second need none

_BEGIN, _END = "<!-- written by bench/glance: begin -->\n", "<!-- written by bench/glance: end -->\n"


def main() -> None:
    """Write both pages."""
    for name in PAGES:
        path = ROOT / name
        path.write_text(with_figures(name, path.read_text(encoding="utf-8")), encoding="utf-8")


def with_figures(name: str, page: str) -> str:
    """Return a page with the figures of the last runs in the place of those it had."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{PAGES[name]()}\n{_END}{after}"


def first_look() -> str:
    """Return what somebody wants to know who compares."""
    sales = _sales()
    load, cost, starts = record.read("load"), record.read("cost"), record.read("coldstart")
    [book] = [row for row in load["rows"] if row["section"] == "book, 16 in flight"]
    [booking] = [row for row in cost["office"] if row["request"] == "book, on sale"]
    start_ms = statistics.median(starts["functions"]["BookFunction"]["initMs"])
    counter, lanes = _calm(sales["one counter"]), _calm(sales[f"{LANES_MAX} lanes"])
    rows = [
        ["promises", _searches(), "[search](docs/guarantees.md)"],
        [
            "bookings of one event at AWS's limits",
            f"{_rate(lanes)}; one counter: {_rate(counter)}",
            "[simulation](docs/scale.md)",
        ],
        [
            "bookings on one machine, over HTTP, synced to disk",
            _rate(book),
            f"[a run](docs/benchmark.md#on-one-machine) on {load['machine']['cores']} cores, load generator included",
        ],
        [
            "cold start of the booking function",
            f"{start_ms:.0f} ms",
            "[Lambda's runtime](docs/benchmark.md#cold-start), locally",
        ],
        [
            "a million bookings",
            f"${booking['totalUsd']:.2f}, plus ${GB_SECONDS_USD / 1000:.4f} for each ms that a booking takes",
            "[units of a run](docs/benchmark.md#cost), list prices",
        ],
    ]
    return _table(["what", "figure", "from"], rows)


def lanes() -> str:
    """Return how many lanes an event has, and what they bear."""
    rows = []
    for design, found in _sales().items():
        if number := re.match(r"\d+", design):
            per_second = _calm(found)["offered_s"]
            warm = f"{WARM_PER_BOOKING * per_second:,}" if per_second > WARM_FROM else "0"
            rows.append([_tickets(int(number[0])), number[0], f"{per_second:,}", warm])
    return _table(["tickets", "lanes", "bookings a second", "`WarmWriteUnits`"], rows)


def _tickets(lanes: int) -> str:
    """Return for how many tickets there are so many lanes."""
    most = TICKETS_MAX if lanes == LANES_MAX else lanes * TICKETS_PER_LANE
    return f"{(lanes - 1) * TICKETS_PER_LANE + 1:,} to {most:,}"


def _sales() -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in record.read("scale")["rows"]:
        if row["section"] == "sales":
            found.setdefault(row["design"], []).append(row)
    return found


def _calm(rows: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the most that was sold while the p99 was below CALM_MS and nobody was told to try again."""
    calm = (row for row in rows if row["p99_ms"] < CALM_MS and not row["failed_s"])
    return max(calm, key=lambda row: float(row["per_second"]))


def _rate(row: Mapping[str, Any]) -> str:
    return f"{row['per_second']:,.0f} a second, p99 {row['p99_ms']:.0f} ms"


def _searches() -> str:
    """Return what the search says that it found."""
    page = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    found = re.search(r"went through (\S+) schedules with .* and found (.+)\.$", page, re.MULTILINE)
    assert found, "docs/guarantees.md says what its last run found"
    return f"{found[2]} in {float(found[1].replace(',', '')):.1e} schedules".replace("e+", "·10^").replace("^0", "^")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {"README.md": first_look, "docs/organisers.md": lanes}

if __name__ == "__main__":
    main()
