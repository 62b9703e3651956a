"""The search itself, short part: every promise holds in every schedule of every scenario (P1 to P8).

Without the rest of the suite: .venv/bin/python -m proof. It says more, and with --whole it searches more. Each test
compares what it found with its row in docs/guarantees.md, so that the tests need not run in one process.
"""

from typing import Any

import pytest

from proof import report
from proof.controls import (
    NEEDLESS,
    THREE_KINDS,
    Caught,
    all_omissions,
    caught_among_three_kinds,
    caught_omission,
    caught_rule,
    name_of,
    rules,
    searches,
)
from proof.explore import Found, Scenario, explore

SCENARIOS = searches(whole=False)
MEETINGS = [scenario for scenario, _ in THREE_KINDS.values()]
SEARCHES_ON_PAGE = report.found_of_page()
MUTANTS_ON_PAGE = report.caught_of_page()
OLD = "the page is old: .venv/bin/python -m proof --write"


def _row(name: str, found: Found) -> str:
    return report.table({name: found}, [])


def _is_on_page(caught: Caught) -> bool:
    assert caught in MUTANTS_ON_PAGE, OLD
    return True


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name_of)
def test_every_promise_holds_in_every_schedule(scenario: Scenario) -> None:
    """P1 to P8: all orders of all requests, with each crash and each fault that the scenario allows."""
    found = explore(scenario)
    assert not found.violation, "\n".join([found.violation, *found.trace])
    assert found.schedules
    assert bool(found.crashes) == bool(scenario.crashes)
    assert bool(found.faults) == bool(scenario.faults)
    assert scenario not in MEETINGS or len(found.kinds) >= 3
    name = name_of(scenario)
    assert _row(name, found) == _row(name, SEARCHES_ON_PAGE.get(name, Found())), OLD


@pytest.mark.parametrize("omission", all_omissions(), ids=str)
def test_each_condition_is_missed(omission: Any) -> None:
    """A control: without any clause, count or item of a transaction the search finds a promise broken."""
    caught = caught_omission(omission)
    assert bool(caught) != (str(omission) in NEEDLESS)
    assert not caught or _is_on_page(caught)


@pytest.mark.parametrize("rule", rules(whole=False), ids=lambda rule: rule.text)
def test_each_rule_is_missed(rule: Any) -> None:
    """A control: without any rule of order or memory the search finds a promise broken."""
    caught = caught_rule(rule)
    assert caught
    assert _is_on_page(caught)


@pytest.mark.parametrize("promise", THREE_KINDS)
def test_a_promise_can_be_broken_among_three_kinds_of_actors(promise: str) -> None:
    """A control: without one clause or rule, the search finds it broken where buyers, organisers and settlers meet."""
    caught = caught_among_three_kinds(promise)
    assert caught
    assert promise in {caught.promise, "P8"}


def test_every_promise_is_searched_where_three_kinds_of_actors_meet() -> None:
    """The promises are those of docs/guarantees.md, and `make test` searches each one's scenario."""
    of_three = (f"{kind}{number}" for kind in "OH" for number in range(1, 4))
    assert list(THREE_KINDS) == [*(f"P{number}" for number in range(1, 9)), *of_three, "T1", "D1"]
    assert {*MEETINGS} <= {*SCENARIOS}


def test_page_shows_what_was_found_and_nothing_else() -> None:
    """The tests above compare the rows; here, none is too many, and the sums are those of the rows."""
    assert list(SEARCHES_ON_PAGE) == [name_of(scenario) for scenario in SCENARIOS], OLD
    mutants = [*map(str, all_omissions()), *(f"not: {rule.text}" for rule in rules(whole=False))]
    assert [one.mutant for one in MUTANTS_ON_PAGE] == [mutant for mutant in mutants if mutant not in NEEDLESS], OLD
    assert report.PAGE.read_text() == report.page_with(report.table(SEARCHES_ON_PAGE, MUTANTS_ON_PAGE)), OLD
