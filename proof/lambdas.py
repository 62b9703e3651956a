"""The real code of shared/ as a pure function: an operation and the answers it got so far -> its next request.

A Lambda's memory is what it read. So an operation is stopped at a request by unwinding it, and taken on by running it
from its beginning with the answers that it got; nothing is held in threads, and a moment of a run can be kept,
compared, and gone on from in many ways. Time stands still, random choices are fixed, and a bookingId is the name of
the operation that made it.
"""

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeVar
from unittest.mock import patch

from proof.operations import Operation
from proof.stand_in import TRANSACT, UPDATE, WRITES, refusal
from shared import runtime
from shared.booking import event_change, expiry, sweep
from shared.model import TicketOfficeError
from shared.runtime import Runtime
from shared.store import items
from shared.store.aws_client import NoResponse, RequestFailed

REQUESTS_MAX = 200  # of one operation: more would be a loop without an end

T = TypeVar("T")


class Fault(StrEnum):
    """What a request meets besides its answer; whether it took effect is the world's business."""

    CONFLICT = "conflict"
    THROTTLED = "throttled"
    INTERNAL = "internal error"
    TIMEOUT = "time-out"
    DEADLINE = "time-out past the deadline"
    UNPROCESSED = "unprocessed keys"


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A request to the database, itself and no other."""

    operation: str
    parameters: Mapping[str, Any]

    @property
    def writes(self) -> bool:
        """Tell whether it may change something."""
        return self.operation in WRITES

    @property
    def written(self) -> tuple[str, ...]:
        """Return verb and table of each item that it writes, as "Put Bookings"."""
        if self.operation == TRANSACT:
            items = [pair for item in self.parameters["TransactItems"] for pair in item.items()]
        else:
            items = [("Update", self.parameters)] if self.writes else []
        return tuple(f"{verb} {write['TableName'].removesuffix('Table')}" for verb, write in items)


@dataclass(frozen=True)
class Response:
    """What the code gets for a request: an answer, an error of the database, or a fault."""

    value: Mapping[str, Any] = field(default_factory=dict)
    error: RequestFailed | None = None
    fault: Fault | None = None

    @cached_property
    def key(self) -> str:
        """Return what makes it the same answer as another."""
        return f"{self.fault} {self.error} {self.error.reasons if self.error else self.value}"


@dataclass(frozen=True, slots=True)
class Result:
    """How an operation ended: its value or the domain's error; the alarms it raised, and the failures it logged."""

    value: Any = None
    error: TicketOfficeError | None = None
    alarms: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


class Node:
    """A moment in an operation: the answers so far, and what follows, a request or a result."""

    __slots__ = ("_after", "_answers", "following", "operation")

    def __init__(self, operation: Operation, answers: tuple[Response, ...] = ()) -> None:
        """Run the operation with these answers until it asks for another."""
        self.operation = operation
        self._answers = answers
        self._after: dict[str, Node] = {}
        self.following: Request | Result = _run(operation, answers)

    @classmethod
    def of(cls, operation: Operation) -> "Node":
        """Return the beginning of an operation, the same object each time within one search."""
        if operation not in _beginnings:
            _beginnings[operation] = cls(operation)
        return _beginnings[operation]

    @property
    def is_begun(self) -> bool:
        """Tell whether it has sent a request."""
        return bool(self._answers)

    def after(self, answer: Response) -> "Node":
        """Return the moment when it got this answer, the same object for the same answers."""
        key = answer.key
        if key not in self._after:
            self._after[key] = Node(self.operation, (*self._answers, answer))
        return self._after[key]


_beginnings: dict[Operation, Node] = {}


class _Pause(BaseException):
    """Unwinds an operation at its next request; no `except Exception` of ours may stop it."""


class _Lambda:
    """What one run of an operation meets in place of a database and a clock."""

    def __init__(self, operation: Operation, answers: tuple[Response, ...]) -> None:
        self.operation = operation
        self.answers = answers
        self.asked = 0
        self.clock_s = 0.0
        self.paused_at: Request | None = None
        self.alarms: list[str] = []
        self.failures: list[str] = []

    def request(self, operation: str, parameters: Mapping[str, Any]) -> Any:
        """Return or raise the recorded answer; with none left, stop the run here."""
        if self.asked == len(self.answers):
            self.paused_at = Request(operation, parameters)
            raise _Pause
        answer = self.answers[self.asked]
        self.asked += 1
        assert self.asked < REQUESTS_MAX, f"{self.operation.name} comes to no end"
        if answer.error:
            raise answer.error.with_traceback(None)  # else it would keep the frames of all runs that it ended
        if answer.fault:
            return self._failed(operation, parameters, answer.fault)
        return answer.value

    def _failed(self, operation: str, parameters: Mapping[str, Any], fault: Fault) -> Any:
        if fault is Fault.UNPROCESSED:
            return {"Responses": {}, "UnprocessedKeys": parameters["RequestItems"]}
        if fault is Fault.CONFLICT and operation == TRANSACT:
            reasons = [{"Code": "None"} for _ in parameters["TransactItems"]]
            reasons[0] = {"Code": "TransactionConflict"}
            raise refusal(operation, "TransactionCanceledException", 400, reasons)
        if fault is Fault.CONFLICT and operation == UPDATE:
            raise refusal(operation, "TransactionConflictException", 400)
        if fault is Fault.THROTTLED:
            raise refusal(operation, "ProvisionedThroughputExceededException", 400)
        if fault is Fault.INTERNAL:
            raise refusal(operation, "InternalServerError", 500)
        if fault is Fault.DEADLINE:
            self.clock_s = float("inf")
        raise NoResponse(operation, "TimeoutError")


class _Client:
    """Stands for the low-level client: hands each request to the run that goes on just now.

    DynamoDB promises no snapshot of several items to BatchGetItem and Query, but the moment of each item by itself:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-isolation
    So they are taken apart into one request for each item.
    """

    def call(self, operation: str, request: Mapping[str, Any]) -> Any:
        """Ask for one item after the other."""
        if operation == "BatchGetItem":
            return self._batch_get_item(request)
        if operation == "Query":
            return self._query(request)
        return _current.request(operation, request)

    def _batch_get_item(self, request: Mapping[str, Any]) -> Any:
        wanted_items: Mapping[str, Any] = request["RequestItems"]
        found: dict[str, list[Any]] = {table: [] for table in wanted_items}
        for table, wanted in wanted_items.items():
            for key in wanted["Keys"]:
                one = {"RequestItems": {table: {**wanted, "Keys": [key]}}}
                answer = _current.request("BatchGetItem", one)
                if answer["UnprocessedKeys"]:
                    return {"Responses": {}, "UnprocessedKeys": wanted_items}
                found[table] += answer["Responses"][table]
        return {"Responses": found, "UnprocessedKeys": {}}

    def _query(self, request: Mapping[str, Any]) -> Any:
        found: list[Any] = []
        limit = request.get("Limit", REQUESTS_MAX)
        page = _current.request("Query", {**request, "Limit": 1})
        while page["Items"]:
            found += page["Items"]
            if len(found) == limit:
                break
            page = _current.request("Query", {**request, "Limit": 1, "ExclusiveStartKey": page["LastEvaluatedKey"]})
        return {"Items": found, "Count": len(found)}


_current: _Lambda


class _Log:
    """Takes the lines of the run that goes on just now: alarms and failures are results, the rest is not looked at."""

    def info(self, *_: Any, **__: Any) -> None:
        """Forget it."""

    warning = info

    def error(self, metric: str, extra: Mapping[str, Any]) -> None:
        """Keep an alarm."""
        facts = {name: value for name, value in extra.items() if name not in {"_aws", "stack", metric}}
        _current.alarms.append(f"{metric} {facts}")

    def exception(self, line: str) -> None:
        """Keep a failure."""
        _current.failures.append(f"{line} {sys.exc_info()[1]!r}")

    def append_context_keys(self, **_: Any) -> AbstractContextManager[None]:
        """Run the block."""
        return nullcontext()


class _Simulated(Runtime):
    """The world of the run that goes on just now."""

    def __init__(self) -> None:
        """Have tables with the names of the template, and no engine."""
        tables = (items.EVENTS, items.LANES, items.BOOKINGS, items.WAITING_LIST)
        variables = ("EVENTS_TABLE", "LANES_TABLE", "BOOKINGS_TABLE", "WAITING_LIST_TABLE")
        super().__init__(dict(zip(variables, tables, strict=True)))
        self.client = _Client()
        self.logger = _Log()

    def time_s(self) -> float:
        """Stand still."""
        return 0.0

    def monotonic_s(self) -> float:
        """Stand still, but for a fault that outlasts the deadline."""
        return _current.clock_s

    def now(self) -> str:
        """Return what the operation's clock says."""
        return _current.operation.at

    def sleep(self, seconds: float) -> None:
        """Take no time."""

    def new_id(self) -> str:
        """Name what the operation makes after it."""
        return _current.operation.name_of_effect

    def uniform(self, low: float, high: float) -> float:
        """Return the lower bound."""
        return low

    def shuffled(self, some: Sequence[T]) -> list[T]:
        """Return them as they are."""
        return list(some)


def _run(operation: Operation, answers: tuple[Response, ...]) -> Request | Result:
    global _current  # noqa: PLW0603  # one run at a time; the world is replaced once for all of them
    _current = run = _Lambda(operation, answers)
    runtime.current.memory.clear()  # a function that starts knows nothing
    try:
        return Result(operation.run(), alarms=tuple(run.alarms), failures=tuple(run.failures))
    except _Pause:
        assert run.paused_at is not None
        return run.paused_at
    except TicketOfficeError as error:
        return Result(error=error)


@contextmanager
def simulated() -> Iterator[None]:
    """Run the block in the simulated world."""
    _beginnings.clear()
    with (
        _without_collection(),
        runtime.replaced_by(_Simulated()),
        patch.object(sweep, "SWEEP_SEGMENTS", 1),
        patch.object(expiry, "HOLD_SHARDS", 1),
        patch.object(items, "HOLD_SHARDS", 1),
        patch.object(event_change, "LANES_PER_STEP", 1),  # as many steps as there can be
    ):
        yield


@contextmanager
def _without_collection() -> Iterator[None]:
    """Do not look for cycles among millions of objects that are kept anyway: that would be half the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
