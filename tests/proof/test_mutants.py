"""The controls of the search: without any one clause, count, item or rule, it finds a promise broken.

As in test_search.py, each test checks its row in docs/guarantees.md. It looks first in the scenario that the row names.
"""

from functools import cache
from typing import Any

import pytest

from proof import report
from proof.conditions import Omission
from proof.controls import (
    NEEDLESS,
    THREE_KINDS,
    Caught,
    all_omissions,
    caught_among_three_kinds,
    caught_omission,
    caught_rule,
    rules,
)

MUTANTS_ON_PAGE = report.caught_of_page()
OLD = "the page is old: .venv/bin/python -m proof --write"
OMISSIONS_ON_PAGE = [one for one in MUTANTS_ON_PAGE if not one.mutant.startswith("not: ")]

pytestmark = pytest.mark.timeout(400)  # one of them needs 245,000 states


@cache
def _omissions() -> dict[str, Omission]:
    return {str(one): one for one in all_omissions()}


def _is_on_page(caught: Caught) -> bool:
    assert caught in MUTANTS_ON_PAGE, OLD
    return True


def test_the_page_has_every_mutant_but_the_needless() -> None:
    """So the tests below leave none out. That nothing misses what is NEEDLESS, `make proof` checks."""
    mutants = [*_omissions(), *(f"not: {rule.text}" for rule in rules(whole=False))]
    assert [one.mutant for one in MUTANTS_ON_PAGE] == [mutant for mutant in mutants if mutant not in NEEDLESS], OLD


@pytest.mark.parametrize("row", OMISSIONS_ON_PAGE, ids=lambda row: row.mutant)
def test_each_condition_is_missed(row: Caught) -> None:
    """A control: without any clause, count or item of a transaction the search finds a promise broken."""
    caught = caught_omission(_omissions()[row.mutant], row.scenario)
    assert caught
    assert _is_on_page(caught)


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
