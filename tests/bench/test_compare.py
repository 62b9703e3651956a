"""The comparison with a conventional service: its figures stand side by side, and its checks notice broken promises."""

import re
from typing import Any

import pytest

from bench import compare, glance, record, report

EVENT = {"total_tickets": 2, "available_tickets": 0}
LATER = "2026-05-01T18:00:00Z"


def _booking(booking_id: int, user: str, status: str, *, waited: bool = False) -> dict[str, Any]:
    has_ticket = status == "CONFIRMED"
    return {
        "booking_id": booking_id,
        "user_id": user,
        "status": status,
        "joined_at": LATER if waited or not has_ticket else None,
        "booked_at": LATER if has_ticket else None,
    }


FIRST, SECOND = _booking(1, "ann", "CONFIRMED"), _booking(2, "ben", "CONFIRMED")
WAITING = _booking(3, "cleo", "WAITING")
PROMOTED = _booking(4, "dan", "CONFIRMED", waited=True)


@pytest.mark.parametrize(
    ("left", "bookings", "broken"),
    [
        (0, [FIRST, SECOND, WAITING], []),
        (1, [FIRST], []),
        (0, [FIRST, PROMOTED], []),
        (0, [FIRST, SECOND, _booking(3, "cleo", "CONFIRMED")], ["P1"]),
        (-1, [FIRST, SECOND, _booking(3, "cleo", "CONFIRMED")], ["P1"]),
        (1, [FIRST, SECOND], ["P1"]),
        (0, [FIRST, _booking(2, "ann", "CONFIRMED")], ["P2"]),
        (0, [FIRST, SECOND, _booking(3, "ann", "WAITING")], ["P2"]),
        (1, [FIRST, WAITING], ["P6"]),
        (0, [FIRST, WAITING, PROMOTED], ["P5"]),
    ],
)
def test_the_checks_of_the_baseline_notice_what_is_broken(
    left: int, bookings: list[dict[str, Any]], broken: list[str]
) -> None:
    """A baseline that oversells would be no comparison."""
    found = compare.violations(EVENT | {"available_tickets": left}, bookings)
    assert [one[:2] for one in found] == broken


def test_a_ratio_is_the_median_of_ratios_within_rounds() -> None:
    """The second round ran on a machine that was busy with something else: that changes no ratio."""
    rounds = [
        {
            "office": {load: _figures(3.0 * speed) for load in compare.LOADS},
            "baseline": {load: _figures(2.0 * speed) for load in compare.LOADS},
        }
        for speed in (100, 10, 90)
    ]
    for row in compare.rows(rounds):
        assert row["ratios"] == [1.5, 1.5, 1.5]
        assert (row["office"]["per_second"], row["baseline"]["per_second"], row["ratio"]) == (270.0, 180.0, 1.5)


def test_the_page_says_where_the_office_is_slower() -> None:
    """Readers need not work it out from the table."""
    result = record.read("compare")
    for ratio, said in ((0.8, "**The office is slower than the baseline at "), (1.2, "The office is the faster of")):
        rows = [row | {"ratio": ratio if row["load"] == "join" else 1.5} for row in result["rows"]]
        text = compare.section(result | {"rows": rows})
        assert said in text
        assert (f"{compare.LOADS['join']} (0.80)" in text) == (ratio < 1)


def test_figures_of_a_busy_machine_come_with_a_warning() -> None:
    """It is busy if all cores had work before the run."""
    result = record.read("compare")
    for load_average, is_warned in ((1.9, False), (2.0, True)):
        machine = result["machine"] | {"cores": 2, "loadAverage": load_average}
        text = compare.section(result | {"machine": machine})
        assert ("The machine was busy" in text) == is_warned


def test_the_readme_shows_no_rate_without_the_one_beside_it() -> None:
    """Each line that has a rate has that of another design, from the same run."""
    lines = [line for line in _readme().splitlines() if re.search(r"\d a second", line)]
    assert len(lines) >= 3
    assert [line for line in lines if len(re.findall(r"[\d,]+ a second", line)) < 2] == []
    for row in record.read("compare")["rows"]:
        ours, theirs = (f"{row[side]['per_second']:,.0f} a second" for side in ("office", "baseline"))
        if row["load"] in {"book", "join"}:
            assert any(f"{ours}; Express and PostgreSQL: {theirs}" in line for line in lines)


def test_the_page_shows_each_load_of_both() -> None:
    """None is left out, such as one that the office loses."""
    rows = record.read("compare")["rows"]
    assert [row["load"] for row in rows] == list(compare.LOADS)
    page = report.page()
    for row in rows:
        ours, theirs = (f"{row[side]['per_second']:,.0f}" for side in ("office", "baseline"))
        assert re.search(rf"\| {re.escape(compare.LOADS[row['load']])} \| {ours} \| \d+ \| {theirs} \|", page)


def _figures(per_second: float) -> dict[str, float]:
    return {"per_second": per_second, "p50_ms": 1.0, "p99_ms": 2.0}


def _readme() -> str:
    return (glance.ROOT / "README.md").read_text(encoding="utf-8")
