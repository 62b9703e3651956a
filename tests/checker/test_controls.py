"""The checker notices each fault planted in a toy office, and finds no violation without one.

Each of these tests fails if its check is removed. `make test` plants the first fault of each check, `make proof` all.
"""

import os
import random
from dataclasses import dataclass

import pytest

from checker import client as client_module
from checker import crowd as crowd_module
from checker import rounds
from checker.checks import holds
from checker.checks.story import Violation
from checker.client import Client
from checker.history import History
from harness.serving import serving
from tests.checker.toy import Toy

PLANTS_ALL = bool(os.environ.get("PROOF_FAULTS"))
HOLDS_END_S = 8.0
OVERDUE_S_MAX = 0.5
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


@dataclass(frozen=True)
class Crowding:
    """A crowd on some kinds of events, and the faults that it brings out, each with the check that reports it."""

    kinds: tuple[str, ...]
    faults: dict[str, str]
    loads_s: tuple[float, ...]  # of each try: on a busy machine a crowd may be too slow to trigger a fault
    breath_s: float = 0.0  # between two requests of a buyer


CROWDS = (
    Crowding(("busy", "small", "window", "ending"), FAULTS, (0.3, 1.0, 3.0, 5.0, 8.0, 8.0)),
    # Some buyers are too slow to confirm.
    Crowding(("holds", "offers", "carts"), FAULTS_OF_HOLDS, (2.5, 2.5, 5.0, 8.0, 8.0, 8.5, 9.0), breath_s=0.05),
    Crowding(("groups", "releases"), FAULTS_OF_GROUPS, (1.0, 3.0, 6.0, 8.0, 8.0)),
)
DOUBLED = Crowding(("doubled",), {}, (1.0, 1.0))


def _planted(faults: dict[str, str]) -> list[str]:
    first = {check: fault for fault, check in reversed(faults.items())}
    return [fault for fault, check in faults.items() if PLANTS_ALL or first[check] == fault]


def _judge(monkeypatch: pytest.MonkeyPatch, crowding: Crowding, fault: str, load_s: float) -> list[Violation]:
    """Let a crowd use a toy office for so long, and judge the history."""
    monkeypatch.setattr(client_module, "SILENCE_S", 0.2)
    monkeypatch.setattr(rounds, "CALM_S", 0.1)
    monkeypatch.setattr(rounds, "REST_S", 0.0)
    monkeypatch.setattr(rounds, "HOLDS_END_S", HOLDS_END_S)
    monkeypatch.setattr(holds, "OVERDUE_S_MAX", OVERDUE_S_MAX)
    monkeypatch.setattr(crowd_module, "HOLD_S_MAX", 1)
    monkeypatch.setattr(crowd_module, "BREATH_S", crowding.breath_s)
    monkeypatch.setattr(crowd_module, "ORGANISER_S", (0.02, 0.05))
    plan = rounds.Plan(f"{fault} {load_s}", crowding.kinds, (), load_s)
    with serving(Toy(fault).serve) as url:
        return rounds.use(Client(int(url.rpartition(":")[2]), History()), plan, random.Random(plan.seed))


@pytest.mark.parametrize("crowding", [*CROWDS, DOUBLED], ids=lambda one: one.kinds[0])
def test_a_correct_office_has_no_violations(monkeypatch: pytest.MonkeyPatch, crowding: Crowding) -> None:
    """No false alarms."""
    assert _judge(monkeypatch, crowding, "", crowding.loads_s[1]) == []


@pytest.mark.parametrize(
    ("crowding", "fault"),
    [pytest.param(one, fault, id=fault) for one in CROWDS for fault in _planted(one.faults)],
)
def test_each_planted_fault_is_noticed(monkeypatch: pytest.MonkeyPatch, crowding: Crowding, fault: str) -> None:
    """The check that is meant for the fault reports it."""
    found: set[str] = set()
    for load_s in crowding.loads_s:
        found |= {one.check for one in _judge(monkeypatch, crowding, fault, load_s)}
        if crowding.faults[fault] in found:
            break
    assert crowding.faults[fault] in found
