"""The real office in the simulation: shared/ as it is, with database, clock, chance and log put in their places."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from math import sqrt
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from bench.scale.capacity import Throughput
from bench.scale.clock import Clock
from bench.scale.database import Database, Latency
from bench.scale.functions import Account, Function, ThrottledError
from bench.scale.store import KEYS, STREAMED
from bench.scale.stream import Stream
from harness import promises
from shared import telemetry
from shared.booking import (
    attempt,
    audit,
    background,
    cancellation,
    catalog,
    list_limit,
    office,
    sale,
    sale_window,
    settle,
    waiting_list,
)
from shared.model import REQUEST_BUDGET_S, Event, Terms, TryAgain
from shared.store import dynamodb, items
from shared.store.dynamodb import Deadline

ROOMS = (
    audit, cancellation, attempt, dynamodb, catalog, items, list_limit, office, background, sale, settle, telemetry,
    waiting_list, sale_window,
)  # fmt: skip
MEMORIES = (
    (catalog, "_known"),
    (waiting_list, "_fronts"),
    (list_limit, "_queues"),
)  # what warm functions remember, each for itself
_BEGINNING = datetime(2026, 5, 1, 18, tzinfo=UTC)
_PROMOTER_S = 60.0  # the promoter's time

TRY_AGAIN, THROTTLED = "503 of the office", "503 of Lambda"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a user was told, when they had asked, and when they were answered."""

    user: str
    asked_s: float
    answered_s: float
    outcome: str  # a booking's status, or TRY_AGAIN, or THROTTLED


class Office:
    """The system of template.yaml, in virtual time."""

    def __init__(
        self,
        seed: int,
        *,
        throughput: Mapping[str, Throughput] | None = None,
        latency: Latency | None = None,
        concurrency: int | None = None,
        promoters: int | None = None,
    ) -> None:
        """Begin with empty tables; those whose throughput is not given are as new.

        `concurrency` is the account's quota; `promoters` the concurrency reserved for the promoter.
        """
        self.clock = Clock()
        self.chance = Random(seed)
        self.account = Account(concurrency) if concurrency else Account()
        self.throughput = {table: Throughput() for table in KEYS} | dict(throughput or {})
        self.database = Database(self.clock, self.chance, self.throughput, latency or Latency())
        self.functions = {
            name: Function(self.clock, self.chance, self.account, reserved)
            for name, reserved in (("book", None), ("cancel", None), ("status", None), ("promote", promoters))
        }
        self.stream = Stream(
            self.clock, self.chance, self.throughput[STREAMED], self.functions["promote"], _settle_batch
        )
        self.database.on_change = self._changed
        self.outcomes: Counter[str] = Counter()  # what the office told its operators
        self.answers: list[Answer] = []

    @contextmanager
    def at_work(self) -> Iterator["Office"]:
        """Put this simulation under shared/ while the block runs."""
        clock = SimpleNamespace(monotonic=lambda: self.clock.now_s, sleep=self._sleep)
        chance = SimpleNamespace(uniform=self.chance.uniform, sample=self.chance.sample)
        replaced: dict[str, Any] = {
            "client": SimpleNamespace(call=self._call),
            "time": clock,
            "random": SimpleNamespace(SystemRandom=lambda: chance),
            "_random": chance,
            "uuid": SimpleNamespace(uuid4=self._new_id),
            "now": self.now,
            "logger": _SILENT,
            "outcome": self._outcome,
            "alarm": self._outcome,
            "contention": self._contention,
        }
        with ExitStack() as patches:
            for room in ROOMS:
                for name in replaced.keys() & vars(room).keys():
                    patches.enter_context(patch.object(room, name, replaced[name]))
            for room, name in MEMORIES:
                patches.enter_context(patch.object(room, name, {}))
            yield self

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """Run what the block starts at its end, at once and without limits: what was before the beginning."""
        latency, self.database.latency = self.database.latency, Latency(0, 0, 0, 0)
        for throughput in self.throughput.values():
            throughput.limited = False
        yield
        self.clock.run()
        self.database.latency = latency
        for throughput in self.throughput.values():
            throughput.limited = True
        for counts in (self.database.requests, self.database.units, self.database.refused, self.outcomes):
            counts.clear()
        self.answers.clear()

    def fill(self, event: Event, users: Iterable[str]) -> None:
        """Have users book before the beginning, one after the other."""

        def book() -> None:
            for user in users:
                office.book(event.event_id, user, Deadline.after(REQUEST_BUDGET_S))

        with self.unhurried():
            self.clock.start(book)

    def open_event(self, tickets: int, lanes: int) -> Event:
        """Open an event with this number of lanes, whatever the rule says."""
        opened: list[Event] = []
        with self.unhurried(), patch.object(catalog, "lanes_for", lambda _: lanes):
            self.clock.start(
                lambda: opened.append(catalog.open_event(Terms("The concert", tickets), Deadline.after(1)))
            )
            self.clock.run()
        return opened[0]

    def book(self, event: Event, user: str) -> None:
        """Book for a user, as a task, and note what they were told."""
        self.ask("book", user, lambda deadline: office.book(event.event_id, user, deadline).booking.status)

    def cancel(self, event: Event, user: str) -> None:
        """Cancel a user's booking, as a task, and note what they were told."""
        self.ask("cancel", user, lambda deadline: office.cancel(event.event_id, user, None, deadline).status)

    def ask(self, function: str, user: str, work: Callable[[Deadline], str]) -> None:
        """Have a function do some work for a user, and note what they were told."""
        asked_s = self.clock.now_s
        try:
            outcome = str(self.functions[function].invoke(lambda: self._in_memory(work)))
        except TryAgain:
            outcome = TRY_AGAIN
        except ThrottledError:
            outcome = THROTTLED
        self.answers.append(Answer(user, asked_s, self.clock.now_s, outcome))

    def offer(self, rate_s: float, users: Iterable[str], ask: Callable[[str], None], ramp_s: float = 0.0) -> None:
        """Have users ask at random moments, so many a second on average, rising evenly to that in the first seconds."""

        def arrive() -> None:
            begun_s, expected = self.clock.now_s, 0.0  # how many should have come until the next one does
            for user in users:
                expected += self.chance.expovariate(1.0)
                risen = rate_s * ramp_s / 2  # that many come while the load rises
                after_s = sqrt(2 * ramp_s * expected / rate_s) if expected < risen else (expected + risen) / rate_s
                self.clock.sleep(begun_s + after_s - self.clock.now_s)
                self.clock.start(partial(ask, user))

        self.clock.start(arrive)

    def snapshot(self, event: Event) -> promises.Snapshot:
        """Return what the tables hold of an event."""
        found = {
            table: [item for item in map(_plain, self.database.store.all_of(table)) if _is_of(event, item)]
            for table in KEYS
        }
        [event_item] = found[items.EVENTS]
        return promises.Snapshot.of(event_item, found[items.LANES], found[items.BOOKINGS], found[items.WAITING_LIST])

    def check(self, event: Event) -> promises.Snapshot:
        """Assert that the event keeps its promises, with nothing left to do; return what the tables hold."""
        found = self.snapshot(event)
        broken = promises.violations(found, drained=True)
        assert not broken, broken
        return found

    def now(self) -> str:
        """Return the present moment as the office writes it."""
        moment = _BEGINNING + timedelta(seconds=self.clock.now_s)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _in_memory(self, work: Callable[[Deadline], str]) -> str:
        self._remember()
        return work(Deadline.after(REQUEST_BUDGET_S))

    def _call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self.database.call(operation, request)
        finally:
            self._remember()

    def _sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self._remember()

    def _remember(self) -> None:
        """Put the memory of the environment at work in its place: others were at work while this one slept."""
        environment = self.account.environment
        if environment is not None:
            for room, name in MEMORIES:
                vars(room)[name] = environment.memory[name]

    def _changed(self, hashed: int, item: Any, old: Any, new: Any) -> None:
        self.stream.change(hashed, {name: item[name] for name in KEYS[STREAMED]}, old, new)

    def _new_id(self) -> str:
        return f"{self.chance.getrandbits(144):036x}"

    def _outcome(self, metric: str, value: float = 1, **_: Any) -> None:
        self.outcomes[str(metric)] += int(value)

    def _contention(self, operation: str, cause: str) -> None:
        self.outcomes[f"{operation} sent again: {cause}"] += 1


def _plain(item: Any) -> promises.Item:
    return promises.plain(dict(item))


def _is_of(event: Event, item: promises.Item) -> bool:
    """Tell whether an item is one of the event's: by its own attribute, or by the key of a lane or stripe."""
    key = item.get("laneId") or item.get("stripeId") or f"{item['eventId']}#"
    return str(key).rpartition("#")[0] == event.event_id


def _settle_batch(records: Any) -> list[str]:
    return background.settle_batch(records, _PROMOTER_S)


def _ignore(*_: Any, **__: Any) -> None:
    """Log nothing."""


_SILENT = SimpleNamespace(
    info=_ignore, warning=_ignore, exception=_ignore, error=_ignore, append_context_keys=lambda **_: nullcontext()
)
