"""What a run of the search writes into docs/guarantees.md: its numbers, so that none is written by hand."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from proof.controls import (
    NEEDLESS,
    Caught,
    all_omissions,
    bounds_of,
    caught_omission,
    caught_rule,
    rules,
    searched,
    searches,
)
from proof.explore import Found

PAGE = Path(__file__).resolve().parents[1] / "docs" / "guarantees.md"
_BEGIN = "<!-- written by tests/proof: begin -->\n"
_END = "<!-- written by tests/proof: end -->\n"

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
}


def page_with(table: str) -> str:
    """Return docs/guarantees.md with this in its place."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}{table}{_END}{after}"


def table() -> str:
    """Return what the short part of the search found, the same for the same code."""
    caught = all_caught(whole=False)
    return "\n".join(["", *_promises(caught), "", *_searches(), "", *_controls(caught), ""])


def all_caught(*, whole: bool) -> list[Caught]:
    """Return all mutants that were caught."""
    found = [*map(caught_omission, all_omissions()), *map(caught_rule, rules(whole=whole))]
    return [one for one in found if one]


def total(found: Iterable[Found]) -> str:
    """Sum up searches in a sentence."""
    all_found = list(found)
    schedules = sum(one.schedules for one in all_found)
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


def _searches() -> Iterator[str]:
    scenarios = searches(whole=False)
    yield total(map(searched, scenarios))
    yield ""
    yield "| scenario | schedules | states | crash points | fault points |"
    yield "|---|--:|--:|--:|--:|"
    for scenario in scenarios:
        found = searched(scenario)
        name = f"{scenario.name}{bounds_of(scenario)}"
        yield f"| {name} | {_rounded(found.schedules)} | {found.states:,} | {found.crashes:,} | {found.faults:,} |"


def _controls(caught: list[Caught]) -> Iterator[str]:
    yield f"{len(caught)} mutants were caught, {len(NEEDLESS)} break nothing."
    yield ""
    yield "| mutant | file | broke | in the scenario |"
    yield "|---|---|---|---|"
    for one in caught:
        yield f"| {one.mutant} | `{one.file}` | {one.promise} | {one.scenario} |"
    for mutant, why in NEEDLESS.items():
        yield f"| {mutant} | | nothing: {why} | |"


def _rounded(number: int) -> str:
    """Write a number that may be large: 5,321 or 3.7e+13."""
    return f"{number:,}" if number < 1_000_000 else f"{number:.1e}"
