"""The tables of docs/scale.md, from the figures of a run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import record

Row = dict[str, Any]
Column = tuple[str, str]  # its head, and the name of the figure

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"
FIGURES = "scale"  # in bench/results
DESIGNS: Mapping[int | None, str] = {None: "one counter", 1: "1 lane"}


def tables(figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a table for each section that was run."""
    for section, (title, columns) in SECTIONS.items():
        rows = [row for row in figures["rows"] if row["section"] == section]
        if rows:
            cells = [[_shown(row[figure]) for _, figure in columns] for row in rows]
            yield from ("", f"### {title}", "", record.table([name for name, _ in columns], cells))
    yield ""


def with_sections(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of before, with the sections that were run now in place of theirs.

    Nothing of before is kept if it had another seed.
    """
    run = {row["section"] for row in now["rows"]}
    old = before["rows"] if before["seed"] == now["seed"] else []
    rows = [row for row in old if row["section"] not in run] + now["rows"]
    return {"seed": now["seed"], "rows": sorted(rows, key=lambda row: list(SECTIONS).index(row["section"]))}


def page() -> str:
    """Return docs/scale.md with the tables of the last run in place of those it had."""
    figures = record.read(FIGURES)
    text = f"\nSeed {figures['seed']}.\n" + "\n".join(tables(figures))
    return record.put_between_marks(PAGE.read_text(encoding="utf-8"), "bench/scale", text)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return " ".join(f"{count} {name}" for name, count in value.items())
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004
    return f"{value:,}" if isinstance(value, int) else str(value)


_LOAD: list[Column] = [
    ("offered/s", "offered_s"),
    ("got/s", "per_second"),
    ("p50 ms", "p50_ms"),
    ("p99 ms", "p99_ms"),
    ("503/s", "failed_s"),
    ("conflicts", "conflicts"),
    ("throttled", "throttled"),
    ("environments", "environments"),
]
SECTIONS: dict[str, tuple[str, list[Column]]] = {
    "sales": ("Bookings on one event", [("design", "design"), *_LOAD]),
    "warm": (
        "10,000 bookings offered a second, by warm throughput of each table",
        [
            ("write units", "writes_s"),
            ("lanes", "lanes"),
            ("lanes on the fullest partition: median event", "fullest"),
            ("1 event in 100", "fullest_unlucky"),
            *_LOAD[1:],
        ],
    ),
    "holds": (
        "10,000 bookings offered a second, by how long a transaction holds its items",
        [("median ms", "hold_ms"), ("lanes", "lanes"), *_LOAD[1:]],
    ),
    "backoffs": (
        "By the pauses before a request is sent again",
        [("after a conflict, s", "conflict_s"), ("else", "other_s"), ("what", "what"), *_LOAD],
    ),
    "cold": ("With no environment ready, and a load that rises in two seconds", [("lanes", "lanes"), *_LOAD]),
    "joins": ("Joins on one event", [("design", "design"), *_LOAD]),
    "turns": (
        "The sold-out turn: from the last ticket",
        [
            ("offered/s", "offered_s"),
            ("lanes", "lanes"),
            ("first join answered, s", "first_s"),
            ("hundredth, s", "hundredth_s"),
            ("joined in 4 s", "joined"),
            ("503 in 4 s", "failed"),
            ("slowest of the last tickets, s", "late_ticket_s"),
        ],
    ),
    "releases": (
        "A second release of as many tickets",
        [
            ("the crowd comes", "crowd"),
            ("offered/s", "offered_s"),
            ("lanes", "lanes"),
            ("tickets of each", "tickets"),
            ("first release/s", "first_s"),
            ("second/s", "second_s"),
            ("users waiting before it", "waited"),
            ("back on sale after, s", "back_s"),
        ],
    ),
    "promotions": (
        "From the n-th cancellation to the n-th promotion",
        [
            ("cancelled/s", "offered_s"),
            ("shards", "shards"),
            ("p50 s", "p50_s"),
            ("p99 s", "p99_s"),
            ("promoted/s", "per_second"),
            ("conflicts", "conflicts"),
            ("records that came again", "failed_records"),
        ],
    ),
    "expiry": (
        "Holds of one event that expire at the same moment, just after a run of `ExpireFunction` has begun",
        [
            ("holds", "holds"),
            ("users waiting", "waiting"),
            ("shards", "shards"),
            ("released after, s: p50", "released_p50_s"),
            ("the last", "released_s"),
            ("last offer, s", "offered_s"),
            ("released/s", "per_second"),
            ("conflicts", "conflicts"),
            ("throttled", "throttled"),
        ],
    ),
    "watched": (
        "An on-sale of 96 lanes that many watch by `GET /status/{eventId}`",
        [
            ("write units", "writes_s"),
            ("statuses/s", "watchers_s"),
            ("bookings offered/s", "offered_s"),
            ("got/s", "per_second"),
            ("p50 ms", "p50_ms"),
            ("p99 ms", "p99_ms"),
            ("503/s", "failed_s"),
            ("status p99 ms", "seen_p99_ms"),
            ("read units/s", "read_units_s"),
            ("% of a count for each", "share"),
        ],
    ),
    "costs": (
        "What one booking costs",
        [
            ("lanes", "lanes"),
            ("events", "events"),
            ("bookings before it", "bookings"),
            ("requests", "requests"),
            ("write units", "write_units"),
            ("read units", "read_units"),
        ],
    ),
}
