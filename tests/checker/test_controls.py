"""The checker notices each fault planted in a toy office, and finds no violation without one.

Each of these tests fails if its check is removed. `make test` plants the first fault of each check, `make proof` all.
"""

import os
import random
import time

import pytest

from checker import client as client_module
from checker import crowd as crowd_module
from checker import rounds
from checker.checks import holds
from checker.checks.story import Violation
from checker.client import Client
from checker.crowd import Crowd, fill, sales
from checker.history import History
from tests.checker.toy import Server, Toy

PLANTS_ALL = bool(os.environ.get("PROOF_FAULTS"))
HOLDS_END_S = 8.0
OVERDUE_MAX_S = 0.5
LOADS_S = (0.3, 1.0, 3.0, 5.0, 8.0, 8.0)  # of each try: on a busy machine a crowd may be too slow to trigger a fault
FAULTS = {
    "books twice": "bookings",
    "says created twice": "bookings",
    "loses bookings": "bookings",
    "rolls back": "bookings",
    "cancels the wrong one": "bookings",
    "changes a moment": "facts",
    "oversells": "tickets",
    "lets newcomers pass": "order",
    "promotes the last": "order",
    "places wrongly": "positions",
    "turns the list around": "positions",
    "refuses a raise": "changes",
    "refuses and changes": "changes",
    "loses changes": "changes",
    "keeps counts": "counts",
    "books outside the window": "window",
    "books after the end": "cancelled",
    "changes after the end": "cancelled",
    "keeps a booking after the end": "cancelled",
    "miscounts": "lists",
    "omits a booking": "lists",
    "strands a waiting user": "lists",
    "key forgotten": "openings",
    "fails": "responses",
    "lets two in": "bookings",
    "forgets who came": "bookings",
    "cancels what was used": "bookings",
    "miscounts the door": "lists",
    "gives it twice": "bookings",
    "loses what is given": "announced",
    "keeps what is given": "bookings",
    "replaces what the recipient has": "bookings",
    "announces refusals": "announced",
    "forgets to announce": "announced",
    "announces what did not happen": "announced",
    "announces half a line": "stream",
    "listener skips": "stream",
}
LOADS_OF_HOLDS_S = (2.5, 2.5, 5.0, 8.0, 8.0, 8.5, 9.0)
BREATH_OF_HOLDS_S = 0.05  # so that some buyers are too slow to confirm
FAULTS_OF_HOLDS = {
    "expires early": "holds",
    "forgets holds": "holds",
    "extends holds": "facts",
    "confirms too late": "bookings",
    "expires what is confirmed": "bookings",
    "confirms the wrong one": "bookings",
    "overwrites the reference": "facts",
    "confirms offers": "bookings",
    "sells held tickets": "tickets",
    "counts no holds": "lists",
    "loses expired tickets": "lists",
    "offers expired tickets to the last": "order",
    "announces that it waits": "announced",
    "announces expiry as a cancellation": "announced",
    "names the wrong actor": "announced",
    "lets in who only holds": "bookings",
}
LOADS_OF_GROUPS_S = (1.0, 3.0, 6.0, 8.0, 8.0)
FAULTS_OF_GROUPS = {
    "returns tickets twice": "lists",
    "returns all instead of some": "bookings",
    "keeps more than there are": "bookings",
    "reduces what was used": "bookings",
    "gives some of the tickets": "bookings",
    "gives too many": "bookings",
    "gives groups too few": "bookings",
    "gives fewer than are free": "sales",
    "sells too many at once": "sales",
    "counts too few": "sales",
    "tells to wait beside free tickets": "sales",
    "goes back on sale too early": "sales",
    "lets singles pass": "order",
    "puts who wants fewer last": "positions",
    "strands groups": "lists",
    "forgets to announce that it is back on sale": "announced",
    "announces an end of the sale twice": "announced",
    "forgets to announce fewer tickets": "announced",
}


def _planted(faults: dict[str, str]) -> list[tuple[str, str]]:
    first = {check: fault for fault, check in reversed(faults.items())}
    return [(fault, check) for fault, check in faults.items() if PLANTS_ALL or first[check] == fault]


def _judge(monkeypatch: pytest.MonkeyPatch, fault: str, kinds: list[str], load_s: float) -> list[Violation]:
    """Let a crowd use a toy office for so long, and judge the history."""
    monkeypatch.setattr(client_module, "SILENCE_S", 0.2)
    monkeypatch.setattr(rounds, "CALM_S", 0.1)
    monkeypatch.setattr(rounds, "REST_S", 0.0)
    monkeypatch.setattr(rounds, "HOLDS_END_S", HOLDS_END_S)
    monkeypatch.setattr(holds, "OVERDUE_MAX_S", OVERDUE_MAX_S)
    monkeypatch.setattr(crowd_module, "HOLD_S_MAX", 1)
    monkeypatch.setattr(crowd_module, "BREATH_S", BREATH_OF_HOLDS_S if "holds" in kinds else 0.0)
    monkeypatch.setattr(crowd_module, "ORGANISER_S", (0.02, 0.05))
    rng = random.Random(f"{fault} {load_s}")
    with Server(Toy(fault)) as server:
        client = Client(server.port, History())
        listener = rounds.Listener(client)
        crowd = Crowd(client, sales(kinds), 0.0, 0.0)
        rounds.look_at_clock(client.history)
        for sale in crowd.sales:
            crowd.open(rng, sale)
            if sale.kind == "doubled":
                fill(crowd, rng, sale)
        until = time.monotonic() + load_s
        listener.start()
        try:
            Crowd(client, crowd.sales, until, until).run(f"{fault} {load_s}", 6, lambda: None)
            return rounds.settle(client, listener, rng)
        finally:
            listener.stop()
            client.close()


@pytest.mark.parametrize("kinds", [["busy", "small", "window", "ending"], ["doubled"]])
def test_a_correct_office_has_no_violations(monkeypatch: pytest.MonkeyPatch, kinds: list[str]) -> None:
    """No false alarms."""
    assert _judge(monkeypatch, "", kinds, 1.0) == []


def test_a_correct_office_with_holds_has_no_violations(monkeypatch: pytest.MonkeyPatch) -> None:
    """No false alarms."""
    assert _judge(monkeypatch, "", ["holds", "offers", "carts", "ending"], LOADS_OF_HOLDS_S[0]) == []


def test_a_correct_office_with_groups_has_no_violations(monkeypatch: pytest.MonkeyPatch) -> None:
    """No false alarms."""
    assert _judge(monkeypatch, "", ["groups", "releases"], LOADS_OF_HOLDS_S[0]) == []


@pytest.mark.parametrize(("fault", "check"), _planted(FAULTS))
def test_each_planted_fault_is_noticed(monkeypatch: pytest.MonkeyPatch, fault: str, check: str) -> None:
    """The check that is meant for the fault reports it."""
    _is_noticed(monkeypatch, fault, check, ["busy", "small", "window", "ending"], LOADS_S)


@pytest.mark.parametrize(("fault", "check"), _planted(FAULTS_OF_HOLDS))
def test_each_planted_fault_of_holds_is_noticed(monkeypatch: pytest.MonkeyPatch, fault: str, check: str) -> None:
    """The check that is meant for the fault reports it."""
    _is_noticed(monkeypatch, fault, check, ["holds", "offers", "carts"], LOADS_OF_HOLDS_S)


@pytest.mark.parametrize(("fault", "check"), _planted(FAULTS_OF_GROUPS))
def test_each_planted_fault_of_groups_is_noticed(monkeypatch: pytest.MonkeyPatch, fault: str, check: str) -> None:
    """The check that is meant for the fault reports it."""
    _is_noticed(monkeypatch, fault, check, ["groups", "releases"], LOADS_OF_GROUPS_S)


def _is_noticed(
    monkeypatch: pytest.MonkeyPatch, fault: str, check: str, kinds: list[str], loads_s: tuple[float, ...]
) -> None:
    found: set[str] = set()
    for load_s in loads_s:
        found |= {one.check for one in _judge(monkeypatch, fault, kinds, load_s)}
        if check in found:
            break
    assert check in found
