"""Every promise is searched where buyers, organisers and what works in the background meet."""

import pytest

from proof.controls import THREE_KINDS, caught_among_three_kinds, searched, searches

PROMISES = [*(f"P{number}" for number in range(1, 9)), *(f"O{number}" for number in range(1, 4))]


def test_no_promise_is_left_out() -> None:
    """Those of docs/guarantees.md."""
    assert list(THREE_KINDS) == PROMISES


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_is_searched_with_three_kinds_of_actors(promise: str) -> None:
    """Each of them sends requests during the race, in a scenario that `make test` searches."""
    scenario, _ = THREE_KINDS[promise]
    assert scenario in searches(whole=False)
    assert len(searched(scenario).kinds) >= 3


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_can_be_broken_among_three_kinds_of_actors(promise: str) -> None:
    """A control: without one clause or rule, the search finds it broken there."""
    caught = caught_among_three_kinds(promise)
    assert caught
    assert promise in {caught.promise, "P8"}
