"""The simulated DynamoDB: requests take time, meet each other and meet the limits.

    TransactWriteItems   ── way ──▶ prepare: throttled? in another transaction? does the condition hold?
                                    │ all items accepted: they are in this transaction from here ...
                                    ├── hold ──▶ commit: ... to here
                         ◀── way ───┘
    any other            ── half of its time ──▶ throttled? in a transaction? done ── the other half ──▶

The index of bookings by user is left out: it takes one unit where its table takes two, on as many partitions, by keys
that spread at least as well; so the table is throttled first.

Latencies: AWS says "single-digit milliseconds" and no more, so medians and spread are assumptions; how long a
transaction holds its items decides what one item can take, so the report shows other values of it, too.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from random import Random
from typing import Any

from bench.scale.capacity import Throughput
from bench.scale.clock import Clock
from bench.scale.limits import READ_UNIT_BYTES, TRANSACTION_FACTOR, WRITE_UNIT_BYTES
from bench.scale.store import STREAMED, Place, Request, Store, Write, consistent, only, place_of, size_of
from proof.expressions import Item
from shared.store.aws_client import RequestFailed

OnChange = Callable[[int, Item, Item | None, Item], None]  # the key's hash, the key, before, after


@dataclass(frozen=True, slots=True)
class Latency:
    """Medians in milliseconds. Of a hundred, one takes more than twice as long; of SLOW_ONE_IN, one far longer."""

    read_ms: float = 3.0
    update_ms: float = 4.0
    way_ms: float = 1.5  # of a transaction, there and back each
    hold_ms: float = 5.0  # from prepare to commit

    def draw_s(self, median_ms: float, chance: Random) -> float:
        """Draw a time in seconds."""
        slow = SLOW_FACTOR if chance.random() * SLOW_ONE_IN < 1 else 1.0
        return slow * median_ms / 1000 * chance.lognormvariate(0, SPREAD)


BAD_REQUEST = 400  # DynamoDB's status for all of these
SPREAD = 0.35
SLOW_ONE_IN = 1_000
SLOW_FACTOR = 10.0


@dataclass
class Database:
    """The database's tables, with what they take."""

    clock: Clock
    chance: Random
    throughput: Mapping[str, Throughput]
    latency: Latency = field(default_factory=Latency)
    on_change: OnChange = lambda *_: None
    conflicts: bool = True  # False: as if transactions took no time at all
    store: Store = field(default_factory=Store)
    requests: Counter[str] = field(default_factory=Counter)  # by operation
    units: Counter[str] = field(default_factory=Counter)  # "EventsTable writes", ...: what was taken
    refused: Counter[str] = field(default_factory=Counter)  # "throttled LanesTable", "conflict LanesTable", ...
    log: list[tuple[str, Request, Any]] | None = None  # where there is one: each request in the order of its effect
    _held: set[Place] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Name the operations."""
        self._operations: Mapping[str, Callable[[Request], dict[str, Any]]] = {
            "TransactWriteItems": self._transact,
            "UpdateItem": self._update_item,
            "GetItem": self._get_item,
            "BatchGetItem": self._batch_get_item,
            "Query": self._query,
            "Scan": self._scan,
        }

    def call(self, operation: str, request: Request) -> dict[str, Any]:
        """Run a request, in the time it takes. Raises RequestFailed."""
        self.requests[operation] += 1
        return self._operations[operation](request)

    def _transact(self, request: Request) -> dict[str, Any]:
        only(request, "TransactItems")
        self._sleep(self.latency.way_ms)
        writes = [self.store.written(*next(iter(item.items()))) for item in request["TransactItems"]]
        reasons = [self._reason(write) for write in writes]
        accepted = [write.place for write, reason in zip(writes, reasons, strict=True) if reason["Code"] == "None"]
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
        place = write.place
        if not self._let_in("writes", place, TRANSACTION_FACTOR * _write_units(write)):
            return {"Code": "ThrottlingError", "Message": "Throughput exceeds the current capacity of your table"}
        if self._is_held(place):
            self.refused[f"conflict {place.table}"] += 1
            return {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
        if write.allowed:
            return {"Code": "None"}
        reason = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
        return reason | ({"Item": write.old} if write.old and write.shown else {})

    def _update_item(self, request: Request) -> dict[str, Any]:
        half_s = self.latency.draw_s(self.latency.update_ms, self.chance) / 2
        self.clock.sleep(half_s)
        write, answer = self.store.updated(request)
        code = ""
        if not self._let_in("writes", write.place, _write_units(write)):
            code = "ThrottlingException"
        elif self._is_held(write.place):
            self.refused[f"conflict {write.place.table}"] += 1
            code = "TransactionConflictException"
        else:
            self._note("UpdateItem", request, answer)
            self._apply(write)
        self.clock.sleep(half_s)
        if code:
            raise _error("UpdateItem", code)
        return answer

    def _get_item(self, request: Request) -> dict[str, Any]:
        only(request, "TableName", "Key", "ConsistentRead")
        consistent(request)
        half_s = self.latency.draw_s(self.latency.read_ms, self.chance) / 2
        self.clock.sleep(half_s)
        place = place_of(request["TableName"], request["Key"])
        item = self.store.get(place)
        let_in = self._let_in("reads", place, _read_units(size_of(item) if item else 0))
        answer = {"Item": item} if item else {}
        if let_in:
            self._note("GetItem", request, answer)
        self.clock.sleep(half_s)
        if not let_in:
            raise _error("GetItem", "ThrottlingException")
        return answer

    def _batch_get_item(self, request: Request) -> dict[str, Any]:
        only(request, "RequestItems")
        half_s = self.latency.draw_s(self.latency.read_ms, self.chance) / 2
        self.clock.sleep(half_s)
        found: dict[str, list[Item]] = {}
        left: dict[str, dict[str, Any]] = {}
        for table, wanted in request["RequestItems"].items():
            only(wanted, "Keys", "ConsistentRead")
            consistent(wanted)
            found[table] = []
            for key in wanted["Keys"]:
                place = place_of(table, key)
                item = self.store.get(place)
                if not self._let_in("reads", place, _read_units(size_of(item) if item else 0)):
                    left.setdefault(table, {**wanted, "Keys": []})["Keys"].append(key)
                elif item:
                    found[table].append(item)
        answer = {"Responses": found, "UnprocessedKeys": left}
        none = sum(len(one["Keys"]) for one in left.values()) == sum(
            len(one["Keys"]) for one in request["RequestItems"].values()
        )
        if not left:
            self._note("BatchGetItem", request, answer)
        self.clock.sleep(half_s)
        if none:
            raise _error("BatchGetItem", "ThrottlingException")
        return answer

    def _query(self, request: Request) -> dict[str, Any]:
        half_s = self.latency.draw_s(self.latency.read_ms, self.chance) / 2
        self.clock.sleep(half_s)
        place = Place(request["TableName"], "", self.store.hash_of_query(request), None)
        if not self._has_room("reads", place):
            self.clock.sleep(half_s)
            raise _error("Query", "ThrottlingException")
        page = self.store.page(request)
        self._take("reads", place, _read_units(page.size))
        answer: dict[str, Any] = {"Count": len(page.items)}
        if request.get("Select") != "COUNT":
            answer["Items"] = page.items
        if page.last_key:
            answer["LastEvaluatedKey"] = page.last_key
        self._note("Query", request, answer)
        self.clock.sleep(half_s)
        return answer

    def _scan(self, request: Request) -> dict[str, Any]:
        self._sleep(self.latency.read_ms)
        answer = {"Items": self.store.indexed(request)}
        self._note("Scan", request, answer)
        return answer

    def _let_in(self, kind: str, place: Place, units: int) -> bool:
        if not self._has_room(kind, place):
            return False
        self._take(kind, place, units)
        return True

    def _has_room(self, kind: str, place: Place) -> bool:
        if self.throughput[place.table].lets_in(kind, place.hashed, self.clock.now_s):
            return True
        self.refused[f"throttled {place.table}"] += 1
        return False

    def _take(self, kind: str, place: Place, units: int) -> None:
        self.throughput[place.table].take(kind, place.hashed, units)
        self.units[f"{place.table} {kind}"] += units

    def _is_held(self, place: Place) -> bool:
        return self.conflicts and place in self._held

    def _apply(self, write: Write) -> None:
        self.store.put(write.place, write.new)
        if write.place.table == STREAMED and write.new is not None and write.new != write.old:
            self.on_change(write.place.hashed, write.new, write.old, write.new)

    def _sleep(self, median_ms: float) -> None:
        self.clock.sleep(self.latency.draw_s(median_ms, self.chance))

    def _note(self, operation: str, request: Request, answer: Any) -> None:
        if self.log is not None:
            self.log.append((operation, request, answer))


def _error(operation: str, code: str, reasons: list[dict[str, Any]] | None = None) -> RequestFailed:
    return RequestFailed(operation, BAD_REQUEST, code, reasons=reasons)


def _write_units(write: Write) -> int:
    larger = max(size_of(item) for item in (write.old, write.new) if item) if write.old or write.new else 0
    return max(1, ceil(larger / WRITE_UNIT_BYTES))


def _read_units(size: int) -> int:
    return max(1, ceil(size / READ_UNIT_BYTES))
