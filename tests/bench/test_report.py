"""docs/benchmark.md says what the figures of the last runs say, and nothing else."""

import re

from bench import record, report
from bench.goals import FASTEST, P99_MS


def test_the_page_is_written_from_the_figures() -> None:
    """Whoever measures anew writes the page anew: python -m bench.report."""
    assert report.PAGE.read_text(encoding="utf-8") == report.page()


def test_the_charts_are_there() -> None:
    """Each picture that the page shows."""
    shown = re.findall(r"\((benchmark-\w+\.png)\)", report.page())
    assert len(shown) == 3
    assert all((report.PAGE.parent / name).stat().st_size > 0 for name in shown)


def test_each_goal_has_its_figure() -> None:
    """None is left out because it was missed."""
    measured = {row["section"] for row in record.read("load")["rows"]}
    assert {*FASTEST, *P99_MS} <= measured
    assert all(name in report.page() for name in (*FASTEST, *P99_MS))


def test_a_goal_that_was_missed_is_said_to_be() -> None:
    """With figures of a slow machine."""
    result = record.read("load")
    slow = [row | {"per_second": 1.0, "p99_ms": 1_000.0} if "p99_ms" in row else row for row in result["rows"]]
    text = report.load_section(result | {"rows": slow})
    assert text.count("short of the goal") == len(FASTEST) + len(P99_MS)
