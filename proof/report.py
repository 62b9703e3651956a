"""What a run of the search writes into docs/guarantees.md: its numbers, so that none is written by hand."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from proof.controls import NEEDLESS, Caught
from proof.explore import Found

PAGE = Path(__file__).resolve().parents[1] / "docs" / "guarantees.md"
_BEGIN = "<!-- written by tests/proof: begin -->\n"
_END = "<!-- written by tests/proof: end -->\n"
_SEARCHES = "| scenario | schedules | states | crash points | fault points |"
_MUTANTS = "| mutant | file | broke | in the scenario |"

_CHECKED_BY = {
    "P1": "every state",
    "P2": "every state",
    "P3": "every state",
    "P4": "every state, and every ticket as it is handed out",
    "P5": "every ticket as it is handed out",
    "P6": "every end, when the stream is drained; after a lost record, when the sweep was there",
    "P7": "every change, every answer, and at every end each request once more",
    "P8": "every search with a crash",
    "O1": "every booking as it is made",
    "O2": "every state, every answer; and every end, as P6",
    "O3": "every change; and every end, as P6",
    "H1": "every hold as it expires",
    "H2": "every change, every answer",
    "H3": "every end, after the holds that are left were expired",
    "D1": "every state, every change, every answer",
    "T1": "every change, every answer",
}


def page_with(table: str) -> str:
    """Return docs/guarantees.md with this in its place."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}{table}{_END}{after}"


def found_of_page() -> dict[str, Found]:
    """Return the searches of docs/guarantees.md, by scenario; schedules are rounded."""
    rows = _cells_below(_SEARCHES)
    return {
        name: Found(int(float(row[0])), int(row[1]), crashes=int(row[2]), faults=int(row[3])) for name, *row in rows
    }


def caught_of_page() -> list[Caught]:
    """Return the mutants of docs/guarantees.md that were caught."""
    return [Caught(mutant, file.strip("`"), *row) for mutant, file, *row in _cells_below(_MUTANTS) if file]


def _cells_below(head: str) -> Iterator[list[str]]:
    """Yield the cells of each row of a table of the page, without the commas of numbers."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(f"{head}\n")
    for line in rest.splitlines()[1:]:
        if not line.startswith("|"):
            return
        name, *cells = [cell.strip() for cell in line.split("|")[1:-1]]
        yield [name, *(cell.replace(",", "") if cell[:1].isdigit() else cell for cell in cells)]


def table(found: Mapping[str, Found], caught: list[Caught]) -> str:
    """Return what the short part of the search found, the same for the same code."""
    return "\n".join(["", *_promises(caught), "", *_searches(found), "", *_controls(caught), ""])


def total(found: Iterable[Found]) -> str:
    """Sum up searches in a sentence."""
    all_found = list(found)
    schedules = sum(int(float(_rounded(one.schedules).replace(",", ""))) for one in all_found)
    return (
        f"{len(all_found)} searches went through {_rounded(schedules)} schedules with "
        f"{sum(one.states for one in all_found):,} different states, {sum(one.crashes for one in all_found):,} crash "
        f"points and {sum(one.faults for one in all_found):,} fault points, and found "
        f"{sum(bool(one.violation) for one in all_found) or 'no'} violation."
    )


def _promises(caught: list[Caught]) -> Iterator[str]:
    yield "| promise | checked at | defended in | mutants that broke it first |"
    yield "|---|---|---|---|"
    for promise, checked_at in _CHECKED_BY.items():
        mutants = [one for one in caught if one.promise == promise]
        files = sorted({f"`{one.file}`" for one in mutants}) or ["all of these"]
        yield f"| {promise} | {checked_at} | {', '.join(files)} | {len(mutants) or '-'} |"


def _searches(all_found: Mapping[str, Found]) -> Iterator[str]:
    yield total(all_found.values())
    yield ""
    yield _SEARCHES
    yield "|---|--:|--:|--:|--:|"
    for name, found in all_found.items():
        yield f"| {name} | {_rounded(found.schedules)} | {found.states:,} | {found.crashes:,} | {found.faults:,} |"


def _controls(caught: list[Caught]) -> Iterator[str]:
    yield f"{len(caught)} mutants were caught, {len(NEEDLESS)} break nothing."
    yield ""
    yield _MUTANTS
    yield "|---|---|---|---|"
    for one in caught:
        yield f"| {one.mutant} | `{one.file}` | {one.promise} | {one.scenario} |"
    for mutant, why in NEEDLESS.items():
        yield f"| {mutant} | | nothing: {why} | |"


def _rounded(number: int) -> str:
    """Write a number that may be large: 5,321 or 3.7e+13."""
    return f"{number:,}" if number < 1_000_000 else f"{number:.1e}"
