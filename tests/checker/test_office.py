"""The checker against the real office: a short round of each kind, about two minutes in all. `make proof` runs more.

P1 to P8, O1 to O3, and what docs/api.md, docs/events.md and docs/clients.md say, as far as it can be seen from outside.
"""

from pathlib import Path

import pytest

from checker.rounds import KINDS, Plan, run

LOAD_S = 8.0
EVENTS = ("busy", "small", "window", "ending")
HOLDS = ("holds", "offers", "carts", "ending")
GROUPS = ("groups", "releases")
ROUNDS = {
    "changes are doubled": Plan("1", ("doubled",), (), LOAD_S),
    "parts die and the clock jumps": Plan("2", (*EVENTS, "holds"), ("kill-part", "clock"), LOAD_S),
    "parts die while holds expire, groups book, and more is released": Plan(
        "5", (*HOLDS, *GROUPS), ("kill-part",), LOAD_S
    ),
    "the disk is full and parts stop": Plan("3", EVENTS, ("disk", "stop-part"), LOAD_S),
    "the program dies and stops": Plan("4", (*EVENTS, *HOLDS[:2], "doubled"), ("kill-program", "stop-program"), LOAD_S),
}


@pytest.mark.timeout(240)  # a failing round waits longer for the office to come to rest
@pytest.mark.parametrize("name", ROUNDS)
def test_the_office_keeps_its_promises(name: str, tmp_path: Path) -> None:
    """No check finds a violation. Faults that this machine does not allow are printed."""
    result = run(ROUNDS[name], tmp_path)
    result.history.save(tmp_path / "history.jsonl")
    print(f"{result.requests} requests, {dict(result.faults)}, not injected: {result.not_injected}")  # noqa: T201
    assert not result.violations, [f"{one.check}: {one.text}" for one in result.violations[:5]]
    assert result.acknowledged > 0
    assert set(result.faults) | set(result.not_injected) <= set(KINDS)
