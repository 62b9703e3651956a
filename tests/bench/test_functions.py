"""The simulated Lambda and stream."""

from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from bench.scale.capacity import Throughput
from bench.scale.clock import Clock
from bench.scale.functions import Account, Function, ThrottledError
from bench.scale.office import Office
from bench.scale.stream import Stream
from shared import runtime
from shared.booking import catalog
from shared.model import Event
from shared.store import items


def crowd(function: Function, clock: Clock, rate_s: int, seconds: float, work_s: float) -> int:
    """Send so many requests a second, each for work of so many seconds; return how many were served."""
    served = 0

    def ask() -> None:
        nonlocal served
        try:
            function.invoke(lambda: clock.sleep(work_s))
        except ThrottledError:
            return
        served += 1

    for n in range(round(rate_s * seconds)):
        clock.start(ask, n / rate_s)
    clock.run()
    return served


def test_a_function_grows_by_a_thousand_at_once_and_a_hundred_a_second() -> None:
    """Further requests are refused, although the account could run them."""
    clock = Clock()
    function = Function(clock, Random(1), Account(quota=10_000))
    assert crowd(function, clock, rate_s=1_000, seconds=4, work_s=60) == pytest.approx(1_000 + 4 * 100, abs=2)


def test_an_account_runs_so_many_at_once() -> None:
    """Even if its functions could grow further."""
    clock, account = Clock(), Account(quota=50)
    function, other = (Function(clock, Random(1), account) for _ in range(2))
    other.warm(100)
    clock.start(lambda: other.invoke(lambda: clock.sleep(100)))
    assert crowd(function, clock, rate_s=100, seconds=4, work_s=60) == 49
    assert (account.at_work, account.at_work_max) == (0, 50)


def test_an_environment_serves_one_request_at_a_time_and_starts_cold_once() -> None:
    """A concurrent request needs another one; the next finds an idle one and is faster."""
    clock = Clock()
    function = Function(clock, Random(1), Account())
    took_s: list[float] = []

    def ask() -> None:
        begun_s = clock.now_s
        function.invoke(lambda: clock.sleep(0.01))
        took_s.append(clock.now_s - begun_s)

    for at_s in (0, 0, 5):
        clock.start(ask, at_s)
    clock.run()
    assert function.cold_starts == 2
    assert min(took_s[:2]) > 0.2
    assert took_s[2] < 0.02


def test_environments_do_not_share_what_they_learn() -> None:
    """Each has its own memory whenever it goes on."""
    with Office(seed=1).at_work() as office:
        event = office.open_event(tickets=1, lanes=1)
        seen: list[dict[str, Event]] = []

        def look(nap_s: float, name: str) -> None:
            def work(_deadline: Any) -> str:
                catalog.remember(replace(event, terms=replace(event.terms, name=name)))
                runtime.current.sleep(nap_s)
                seen.append({name: catalog.read_event(event.event_id, _deadline)})
                return "done"

            office.ask("book", name, work)

        office.clock.start(lambda: look(2, "slow"))
        office.clock.start(lambda: look(1, "fast"))
        office.clock.run()
        assert [(name, known.terms.name) for one in seen for name, known in one.items()] == [
            ("fast", "fast"),
            ("slow", "slow"),
        ]


class Reader:
    """A stream, and the batches that its promoter got: the time, and the users in it."""

    def __init__(self, work_s: float = 0.0, failing: int = 0) -> None:
        """Begin with a promoter that takes so long, and says of so many batches that their second record failed."""
        self.clock = Clock()
        self.batches: list[tuple[float, list[str]]] = []
        self._work_s, self._failing = work_s, failing
        throughput = Throughput()
        function = Function(self.clock, Random(1), Account())
        function.warm(10)
        self._stream = Stream(self.clock, Random(1), throughput, function, self._promote)

    def change(self, user: str, lane: str = "e#0", **statuses: str) -> None:
        """Have a booking change its status, from `old` to `new`."""
        key = {"laneId": items.text(lane), "userId": items.text(user)}
        old, new = ({**key, "status": items.text(statuses[when])} for when in ("old", "new"))
        self._stream.change((items.BOOKINGS, (lane, user)), old, new)

    def _promote(self, records: Any) -> list[str]:
        self.batches.append((self.clock.now_s, [one["dynamodb"]["Keys"]["userId"]["S"] for one in records]))
        self.clock.sleep(self._work_s)
        if len(self.batches) <= self._failing:
            return [records[1]["dynamodb"]["SequenceNumber"]]
        return []


def test_a_shard_passes_on_one_batch_at_a_time_of_filtered_records() -> None:
    """The shard of another partition does not wait for it."""
    reader = Reader(work_s=3)
    lanes = ("e#0", next(f"e#{n}" for n in range(100) if _shard(f"e#{n}") != _shard("e#0")))
    for n in range(250):
        reader.change(f"user-{n}", old="CONFIRMED", new="CANCELLED")
    reader.change("nobody", old="WAITING", new="CONFIRMED")
    reader.change("elsewhere", lane=lanes[1], old="CONFIRMED", new="CANCELLED")
    reader.clock.run()
    elsewhere = [begun_s for begun_s, users in reader.batches if users == ["elsewhere"]]
    assert elsewhere[0] < 1
    here = [(begun_s, users) for begun_s, users in reader.batches if users != ["elsewhere"]]
    assert [len(users) for _, users in here] == [100, 100, 50]
    assert [user for _, users in here for user in users] == [f"user-{n}" for n in range(250)]
    assert min(after - before for (before, _), (after, _) in pairwise(here)) >= 3


def _shard(lane: str) -> int:
    return Throughput().shard_of((items.BOOKINGS, (lane,)))


def test_a_batch_comes_again_from_its_first_failed_record() -> None:
    """With the records behind it."""
    reader = Reader(failing=2)
    for n in range(3):
        reader.change(f"user-{n}", old="CONFIRMED", new="CANCELLED")
    reader.clock.run()
    assert [users for _, users in reader.batches] == [
        ["user-0", "user-1", "user-2"],
        ["user-1", "user-2"],
        ["user-2"],
    ]
