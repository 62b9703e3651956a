"""What the README and the page for organisers say at a glance is what the figures of the last runs say."""

import re

import pytest

from bench import glance, record


@pytest.mark.parametrize("name", glance.PAGES)
def test_the_page_has_the_figures(name: str) -> None:
    """Whoever measures anew writes them anew: python -m bench.glance."""
    page = (glance.ROOT / name).read_text(encoding="utf-8")
    assert glance.with_figures(name, page) == page


def test_what_is_shown_of_the_simulation_is_what_nobody_was_refused_at() -> None:
    """The most of one design at which every request was answered, 99 of 100 within half a second."""
    rows = [row for row in record.read("scale")["rows"] if row["section"] == "sales" and row["design"] == "96 lanes"]
    better = [row for row in rows if not row["failed_s"] and row["p99_ms"] < glance.CALM_MS]
    most = max(row["per_second"] for row in better)
    assert f"{most:,.0f} a second" in glance.first_look()
    assert any(row["per_second"] > most for row in rows), "there is more to be had, at another price"


def test_a_search_that_found_something_would_say_so() -> None:
    """What is shown of it is its own sentence."""
    assert re.search(r"\| promises \| no violation in \d\.\d·10\^\d+ schedules \|", glance.first_look())
