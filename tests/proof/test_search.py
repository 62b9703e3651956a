"""The search itself, short part: every promise holds in every schedule of every scenario (P1 to P8).

Without the rest of the suite: .venv/bin/python -m proof. It says more, and with --whole it searches more. Each test
compares what it found with its row in docs/guarantees.md, so that the tests need not run in one process.
"""

import pytest

from proof import report
from proof.controls import THREE_KINDS, name_of, searches
from proof.explore import Found, Scenario, explore

SCENARIOS = searches(whole=False)
MEETINGS = [scenario for scenario, _ in THREE_KINDS.values()]
SEARCHES_ON_PAGE = report.found_of_page()
MUTANTS_ON_PAGE = report.caught_of_page()
OLD = "the page is old: .venv/bin/python -m proof --write"


def _row(name: str, found: Found) -> str:
    return report.table({name: found}, [])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name_of)
def test_every_promise_holds_in_every_schedule(scenario: Scenario) -> None:
    """P1 to P8: all orders of all requests, with each crash and each fault that the scenario allows."""
    found = explore(scenario)
    assert not found.violation, "\n".join([found.violation, *found.trace])
    assert found.schedules
    assert not found.is_cut
    assert bool(found.crashes) == bool(scenario.crashes)
    assert bool(found.faults) == bool(scenario.faults)
    assert scenario not in MEETINGS or len(found.kinds) >= 3
    name = name_of(scenario)
    assert _row(name, found) == _row(name, SEARCHES_ON_PAGE.get(name, Found())), OLD


def test_every_promise_is_searched_where_three_kinds_of_actors_meet() -> None:
    """The promises are those of docs/guarantees.md, and `make test` searches each one's scenario."""
    of_three = (f"{kind}{number}" for kind in "OH" for number in range(1, 4))
    assert list(THREE_KINDS) == [*(f"P{number}" for number in range(1, 9)), *of_three, "T1", "D1"]
    assert {*MEETINGS} <= {*SCENARIOS}


def test_page_shows_what_was_found_and_nothing_else() -> None:
    """The tests above compare the rows; here, none is too many, and the sums are those of the rows."""
    assert list(SEARCHES_ON_PAGE) == [name_of(scenario) for scenario in SCENARIOS], OLD
    assert report.PAGE.read_text() == report.page_with(report.table(SEARCHES_ON_PAGE, MUTANTS_ON_PAGE)), OLD
