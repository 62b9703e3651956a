"""The controls of the search: without any one clause, count, item or rule, it finds a promise broken.

As in test_search.py, each test checks its row in docs/guarantees.md.
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
    rules,
)

MUTANTS_ON_PAGE = report.caught_of_page()

pytestmark = pytest.mark.timeout(400)  # one of them needs 245,000 states


def _is_on_page(caught: Caught) -> bool:
    assert caught in MUTANTS_ON_PAGE, "the page is old: .venv/bin/python -m proof --write"
    return True


@pytest.mark.parametrize("omission", [one for one in all_omissions() if str(one) not in NEEDLESS], ids=str)
def test_each_condition_is_missed(omission: Any) -> None:
    """A control: without any clause, count or item of a transaction the search finds a promise broken.

    That nothing misses what is NEEDLESS, `make proof` checks.
    """
    caught = caught_omission(omission)
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
