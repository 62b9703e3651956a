"""The tables of docs/scale.md, from the figures of a run."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import record

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], Any]]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"
FIGURES = "scale"  # in bench/results
DESIGNS: Mapping[int | None, str] = {None: "one counter", 1: "1 lane"}


def tables(figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a table for each section that was run."""
    for section, (title, columns) in SECTIONS.items():
        rows = [row for row in figures["rows"] if row["section"] == section]
        if rows:
            cells = [[_shown(value(row)) for _, value in columns] for row in rows]
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
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004
    return f"{value:,}" if isinstance(value, int) else str(value)


def _of(name: str) -> Callable[[Row], Any]:
    return lambda row: row[name]


_LOAD: list[Column] = [
    ("offered/s", _of("offered_s")),
    ("got/s", _of("per_second")),
    ("p50 ms", _of("p50_ms")),
    ("p99 ms", _of("p99_ms")),
    ("503/s", _of("failed_s")),
    ("conflicts", _of("conflicts")),
    ("throttled", _of("throttled")),
    ("environments", _of("environments")),
]
SECTIONS: dict[str, tuple[str, list[Column]]] = {
    "sales": ("Bookings on one event", [("design", _of("design")), *_LOAD]),
    "warm": (
        "10,000 bookings offered a second, by warm throughput of each table",
        [
            ("write units", _of("writes_s")),
            ("lanes", _of("lanes")),
            ("lanes on the fullest partition: median event", _of("fullest")),
            ("1 event in 100", _of("fullest_unlucky")),
            *_LOAD[1:],
        ],
    ),
    "holds": (
        "10,000 bookings offered a second, by how long a transaction holds its items",
        [("median ms", _of("hold_ms")), ("lanes", _of("lanes")), *_LOAD[1:]],
    ),
    "backoffs": (
        "By the pauses before a request is sent again",
        [("after a conflict, s", _of("conflict_s")), ("else", _of("other_s")), ("what", _of("what")), *_LOAD],
    ),
    "cold": ("With no environment ready, and a load that rises in two seconds", [("lanes", _of("lanes")), *_LOAD]),
    "joins": ("Joins on one event", [("design", _of("design")), *_LOAD]),
    "turns": (
        "The sold-out turn: from the last ticket",
        [
            ("offered/s", _of("offered_s")),
            ("lanes", _of("lanes")),
            ("first join answered, s", _of("first_s")),
            ("hundredth, s", _of("hundredth_s")),
            ("joined in 4 s", _of("joined")),
            ("503 in 4 s", _of("failed")),
            ("slowest of the last tickets, s", _of("late_ticket_s")),
        ],
    ),
    "promotions": (
        "From the n-th cancellation to the n-th promotion",
        [
            ("cancelled/s", _of("offered_s")),
            ("shards", _of("shards")),
            ("p50 s", _of("p50_s")),
            ("p99 s", _of("p99_s")),
            ("promoted/s", _of("per_second")),
            ("conflicts", _of("conflicts")),
            ("records that came again", _of("failed_records")),
        ],
    ),
    "costs": (
        "What one booking costs",
        [
            ("lanes", _of("lanes")),
            ("events", _of("events")),
            ("bookings before it", _of("bookings")),
            ("requests", lambda row: " ".join(f"{count} {name}" for name, count in row["requests"].items())),
            ("write units", _of("write_units")),
            ("read units", _of("read_units")),
        ],
    ),
}
