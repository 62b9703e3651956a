"""The search itself, short part: every promise holds in every schedule of every scenario (P1 to P8).

Without the rest of the suite: .venv/bin/python -m proof. It says more, and with --whole it searches more.
"""

from typing import Any

import pytest

from proof import report
from proof.controls import (
    NEEDLESS,
    all_omissions,
    bounds_of,
    caught_omission,
    caught_rule,
    rules,
    searched,
    searches,
)
from proof.explore import Scenario


def _name(scenario: Scenario) -> str:
    return f"{scenario.name}{bounds_of(scenario)}"


@pytest.mark.parametrize("scenario", searches(whole=False), ids=_name)
def test_every_promise_holds_in_every_schedule(scenario: Scenario) -> None:
    """P1 to P8: all orders of all requests, with each crash and each fault that the scenario allows."""
    found = searched(scenario)
    assert not found.violation, "\n".join([found.violation, *found.trace])
    assert found.schedules
    assert bool(found.crashes) == bool(scenario.crashes)
    assert bool(found.faults) == bool(scenario.faults)


@pytest.mark.parametrize("omission", all_omissions(), ids=str)
def test_each_condition_is_missed(omission: Any) -> None:
    """A control: without any clause, count or item of a transaction the search finds a promise broken."""
    assert bool(caught_omission(omission)) != (str(omission) in NEEDLESS)


@pytest.mark.parametrize("rule", rules(whole=False), ids=lambda rule: rule.text)
def test_each_rule_is_missed(rule: Any) -> None:
    """A control: without any rule of order or memory the search finds a promise broken."""
    assert caught_rule(rule)


@pytest.mark.timeout(600)  # seconds; none of it is searched again after the tests above
def test_page_shows_what_was_found() -> None:
    """The numbers of docs/guarantees.md are those of a run: .venv/bin/python -m proof --write."""
    assert report.PAGE.read_text() == report.page_with(report.table())
