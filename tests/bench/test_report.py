"""The pages show exactly the figures of the last runs."""

import re
from pathlib import Path

import pytest

from bench import glance, record, report
from bench.goals import GOALS


@pytest.mark.parametrize("path", report.pages(), ids=lambda path: path.name)
def test_a_page_has_the_figures_of_the_last_run(path: Path) -> None:
    """After a new measurement: python -m bench.report."""
    assert path.read_text(encoding="utf-8") == report.pages()[path]


def test_each_goal_has_its_figure() -> None:
    """Missed goals are not left out."""
    measured = {row["section"] for row in record.read("load")["rows"]}
    assert {*GOALS, *(other for other, _ in GOALS.values())} <= measured
    assert all(f"- {name}: " in report.page() for name in GOALS)


def test_a_missed_goal_is_called_missed() -> None:
    """With figures of a slow machine."""
    result = record.read("load")
    slow = [row | {"per_second": 1.0} if "p99_ms" in row else row for row in result["rows"]]
    text = report.load_section(result | {"rows": slow})
    assert text.count("short of it") == len(GOALS)


def test_the_readme_shows_the_highest_sustainable_rate() -> None:
    """The highest rate of a design at which no request was refused and 99 of 100 took less than half a second."""
    rows = [row for row in record.read("scale")["rows"] if row["section"] == "sales" and row["design"] == "96 lanes"]
    calm = [row for row in rows if not row["failed_s"] and row["p99_ms"] < glance.CALM_MS]
    most = max(row["per_second"] for row in calm)
    assert f"{most:,.0f} a second" in glance.first_look()
    assert any(row["per_second"] > most for row in rows), "there is more to be had, at another price"


def test_the_readme_repeats_what_the_search_found() -> None:
    """In the search's own words."""
    assert re.search(r"\| promises \| no violation in \d\.\d·10\^\d+ schedules \|", glance.first_look())
