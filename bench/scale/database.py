"""The simulated DynamoDB: requests take time, conflict with each other, and are throttled.

    TransactWriteItems   ── way ──▶ prepare: throttled? in another transaction? does the condition hold?
                                    │ all items accepted: they are in this transaction from here ...
                                    ├── hold ──▶ commit: ... to here
                         ◀── way ───┘
    any other            ── half of its time ──▶ throttled? in a transaction? done ── the other half ──▶

The indexes' own limits are not simulated. The index of bookings by user takes one unit where its table takes two, on as
many partitions, and its keys spread at least as well, so the table is throttled first. The index of holds takes one
unit where its table takes two, and has 64 keys where an event has up to 96 lanes.

Latencies: AWS documents only "single-digit milliseconds", so medians and spread are assumptions. How long a transaction
holds its items decides how many bookings one item can take, so the report also shows other values.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil
from random import Random
from typing import Any

from bench.scale.capacity import Throughput
from bench.scale.clock import Clock
from bench.scale.limits import READ_UNIT_BYTES, TRANSACTION_FACTOR, WRITE_UNIT_BYTES
from bench.scale.store import Store, size_of
from local.template import load
from proof import requests
from proof.expressions import Item
from proof.requests import Key, Request, Write
from shared.store.aws_client import RequestFailed

OnChange = Callable[[Key, Item | None, Item], None]  # the item's key, before, after

STREAMED = load().stream("PromoteFunctionBookings").table
BAD_REQUEST = 400  # DynamoDB's status for all of these
SPREAD = 0.35
SLOW_ONE_IN = 1_000
SLOW_FACTOR = 10.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Medians in milliseconds. One in a hundred takes more than twice as long, one in SLOW_ONE_IN far longer."""

    read_ms: float = 3.0
    update_ms: float = 4.0
    way_ms: float = 1.5  # of a transaction, there and back each
    hold_ms: float = 5.0  # from prepare to commit

    def draw_s(self, median_ms: float, chance: Random) -> float:
        """Draw a time in seconds."""
        slow = SLOW_FACTOR if chance.random() * SLOW_ONE_IN < 1 else 1.0
        return slow * median_ms / 1000 * chance.lognormvariate(0, SPREAD)


@dataclass
class Database:
    """The database's tables, with their limits."""

    clock: Clock
    chance: Random
    throughput: Mapping[str, Throughput]
    latency: Latency = field(default_factory=Latency)
    on_change: OnChange = lambda *_: None
    conflicts: bool = True  # False: as if transactions took no time at all
    store: Store = field(default_factory=Store)
    requests: Counter[str] = field(default_factory=Counter)  # by operation
    units: Counter[str] = field(default_factory=Counter)  # used, by "EventsTable writes", ...
    refused: Counter[str] = field(default_factory=Counter)  # "throttled LanesTable", "conflict LanesTable", ...
    log: list[tuple[str, Request, Any]] | None = None  # each request in the order of its effect, unless it is None
    _held: set[Key] = field(default_factory=set)

    def call(self, operation: str, request: Request) -> dict[str, Any]:
        """Run a request, in the time it takes. Raises RequestFailed."""
        self.requests[operation] += 1
        if operation == "TransactWriteItems":
            return self._transact(request)
        median_ms = self.latency.update_ms if operation == "UpdateItem" else self.latency.read_ms
        half_s = self.latency.draw_s(median_ms, self.chance) / 2
        self.clock.sleep(half_s)
        answer, code = self._operations[operation](self, request)
        if not code and not answer.get("UnprocessedKeys"):
            self._note(operation, request, answer)
        self.clock.sleep(half_s)
        if code:
            raise _error(operation, code)
        return answer

    def _transact(self, request: Request) -> dict[str, Any]:
        self._sleep(self.latency.way_ms)
        writes = requests.transact_write_items(self.store, request)
        reasons = [self._reason(write) for write in writes]
        accepted = [write.key for write, reason in zip(writes, reasons, strict=True) if reason["Code"] == "None"]
        self._held.update(accepted)
        refused = len(accepted) < len(writes)
        if refused:
            self._note("TransactWriteItems", request, reasons)
        self._sleep(self.latency.hold_ms / 2 if refused else self.latency.hold_ms)
        self._held.difference_update(accepted)
        if not refused:
            self._note("TransactWriteItems", request, {})
            for write in writes:
                self._apply(write)
        self._sleep(self.latency.way_ms)
        if refused:
            raise _error("TransactWriteItems", "TransactionCanceledException", reasons)
        return {}

    def _reason(self, write: Write) -> dict[str, Any]:
        if not self._let_in("writes", write.key, TRANSACTION_FACTOR * _write_units(write)):
            return {"Code": "ThrottlingError", "Message": "Throughput exceeds the current capacity of your table"}
        if self._is_held(write.key):
            return {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
        return requests.reason(write)

    def _update_item(self, request: Request) -> tuple[dict[str, Any], str]:
        write, answer = requests.update_item(self.store, request)
        if not self._let_in("writes", write.key, _write_units(write)):
            return {}, "ThrottlingException"
        if self._is_held(write.key):
            return {}, "TransactionConflictException"
        if not write.allowed:
            return {}, "ConditionalCheckFailedException"
        self._apply(write)
        return answer, ""

    def _get_item(self, request: Request) -> tuple[dict[str, Any], str]:
        answer = requests.get_item(self.store, request)
        key = requests.key_of(request["TableName"], request["Key"])
        return answer, "" if self._let_in("reads", key, self._read_units([key])) else "ThrottlingException"

    def _batch_get_item(self, request: Request) -> tuple[dict[str, Any], str]:
        wanted = sum(len(one["Keys"]) for one in request["RequestItems"].values())
        answer = requests.batch_get_item(
            self.store, request, lambda key: self._let_in("reads", key, self._read_units([key]))
        )
        left = sum(len(one["Keys"]) for one in answer["UnprocessedKeys"].values())
        return answer, "ThrottlingException" if left == wanted else ""

    def _query(self, request: Request) -> tuple[dict[str, Any], str]:
        page = requests.query(self.store, request)
        let_in = self._let_in("reads", page.partition, self._read_units(page.keys))
        return page.answer, "" if let_in else "ThrottlingException"

    def _scan(self, request: Request) -> tuple[dict[str, Any], str]:
        return requests.scan(self.store, request), ""

    _operations = {  # noqa: RUF012  # never changed
        "UpdateItem": _update_item,
        "GetItem": _get_item,
        "BatchGetItem": _batch_get_item,
        "Query": _query,
        "Scan": _scan,
    }

    def _let_in(self, kind: str, key: Key, units: int) -> bool:
        """Take a request's units, or tell that it is throttled."""
        throughput = self.throughput[key[0]]
        if not throughput.lets_in(kind, key, self.clock.now_s):
            self.refused[f"throttled {key[0]}"] += 1
            return False
        throughput.take(kind, key, units)
        self.units[f"{key[0]} {kind}"] += units
        return True

    def _is_held(self, key: Key) -> bool:
        """Tell whether a transaction holds the item, and count that as a conflict."""
        held = self.conflicts and key in self._held
        self.refused[f"conflict {key[0]}"] += held
        return held

    def _apply(self, write: Write) -> None:
        self.store.put(write.key, write.new)
        if write.key[0] == STREAMED and write.new is not None and write.new != write.old:
            self.on_change(write.key, write.old, write.new)

    def _read_units(self, keys: Iterable[Key]) -> int:
        return max(1, ceil(sum(map(self.store.size, keys)) / READ_UNIT_BYTES))

    def _sleep(self, median_ms: float) -> None:
        self.clock.sleep(self.latency.draw_s(median_ms, self.chance))

    def _note(self, operation: str, request: Request, answer: Any) -> None:
        if self.log is not None:
            self.log.append((operation, request, answer))


def _error(operation: str, code: str, reasons: list[dict[str, Any]] | None = None) -> RequestFailed:
    return RequestFailed(operation, BAD_REQUEST, code, reasons=reasons)


def _write_units(write: Write) -> int:
    return max(1, ceil(max(size_of(item or {}) for item in (write.old, write.new)) / WRITE_UNIT_BYTES))
