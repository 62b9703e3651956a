"""The checker notices each fault planted in a toy office, and finds no violation without one.

Each of these tests fails if its check is removed.
"""

import random
import time

import pytest

from checker import client as client_module
from checker import crowd as crowd_module
from checker import rounds
from checker.checks.story import Violation
from checker.client import Client
from checker.crowd import Crowd, fill, sales
from checker.history import History
from tests.checker.toy import Server, Toy

LOAD_S = 1.0
TRIES_MAX = 3
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
    "books outside the window": "window",
    "books after the end": "cancelled",
    "changes after the end": "cancelled",
    "keeps a booking after the end": "cancelled",
    "miscounts": "lists",
    "omits a booking": "lists",
    "strands a waiting user": "lists",
    "key forgotten": "openings",
    "fails": "responses",
    "announces refusals": "announced",
    "forgets to announce": "announced",
    "announces what did not happen": "announced",
    "announces half a line": "stream",
    "listener skips": "stream",
}


def _judge(monkeypatch: pytest.MonkeyPatch, fault: str, kinds: list[str]) -> list[Violation]:
    """Let a crowd use a toy office for a second, and judge the history."""
    monkeypatch.setattr(client_module, "SILENCE_S", 0.2)
    monkeypatch.setattr(rounds, "CALM_S", 0.1)
    monkeypatch.setattr(rounds, "REST_S", 0.0)
    monkeypatch.setattr(crowd_module, "BREATH_S", 0.0)
    monkeypatch.setattr(crowd_module, "ORGANISER_S", (0.02, 0.05))
    rng = random.Random(fault)
    with Server(Toy(fault)) as server:
        client = Client(server.port, History())
        listener = rounds.Listener(client)
        crowd = Crowd(client, sales(kinds), 0.0, 0.0)
        for sale in crowd.sales:
            crowd.open(rng, sale)
            if sale.kind == "doubled":
                fill(crowd, rng, sale)
        until = time.monotonic() + LOAD_S
        listener.start()
        try:
            Crowd(client, crowd.sales, until, until).run(fault, 6, lambda: None)
            return rounds.settle(client, listener, rng)
        finally:
            listener.stop()
            client.close()


@pytest.mark.parametrize("kinds", [["busy", "small", "window", "ending"], ["doubled"]])
def test_a_correct_office_has_no_violations(monkeypatch: pytest.MonkeyPatch, kinds: list[str]) -> None:
    """No false alarms."""
    assert _judge(monkeypatch, "", kinds) == []


@pytest.mark.parametrize(("fault", "check"), FAULTS.items())
def test_each_planted_fault_is_noticed(monkeypatch: pytest.MonkeyPatch, fault: str, check: str) -> None:
    """The check that is meant for the fault reports it."""
    found: set[str] = set()
    for _ in range(TRIES_MAX):  # on a busy machine a crowd may be too slow to trigger the fault
        found |= {one.check for one in _judge(monkeypatch, fault, ["busy", "small", "window", "ending"])}
        if check in found:
            break
    assert check in found
