"""The real office in the simulation: shared/ as it is, with a simulated database, clock, random source and log."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from math import sqrt
from random import Random
from typing import Any, TypeVar
from unittest.mock import patch

from bench.scale.capacity import Throughput
from bench.scale.clock import Clock
from bench.scale.database import STREAMED, Database, Latency
from bench.scale.functions import Account, Function, ThrottledError
from bench.scale.stream import Stream
from harness import promises
from proof.requests import KEYS
from shared import runtime
from shared.booking import background, cancellation, catalog, event_change, expiry, office
from shared.model import NO_HOLDS, REQUEST_BUDGET_S, STATUS_BUDGET_S, Event, Rules, Terms, TryAgain
from shared.runtime import Deadline, Runtime
from shared.store import items

T = TypeVar("T")

_BEGINNING = datetime(2026, 5, 1, 18, tzinfo=UTC)
_PROMOTER_S = 60.0  # the promoter's time
EXPIRE_S = 55.0  # the time of ExpireFunction

TRY_AGAIN, THROTTLED = "503 of the office", "503 of Lambda"
SEEN = "status"


@dataclass(frozen=True, slots=True)
class Response:
    """A response to a user, with the times of the request and of the response."""

    user: str
    asked_s: float
    answered_s: float
    outcome: str  # a booking's status, or SEEN, TRY_AGAIN or THROTTLED


class Office:
    """The system of template.yaml, in virtual time."""

    def __init__(
        self,
        seed: int,
        *,
        throughput: Mapping[str, Throughput] | None = None,
        latency: Latency | None = None,
    ) -> None:
        """Begin with empty tables. Without a given throughput, a table has that of a new one."""
        self.clock = Clock()
        self.chance = Random(seed)
        self.account = Account()
        self.throughput = {table: Throughput() for table in KEYS} | dict(throughput or {})
        self.database = Database(self.clock, self.chance, self.throughput, latency or Latency())
        self.functions = {
            name: Function(self.clock, self.chance, self.account)
            for name in ("book", "cancel", "change", "status", "promote", "follow", "expire")
        }
        self.stream = Stream(
            self.clock, self.chance, self.throughput[STREAMED], self.functions["promote"], _settle_batch
        )
        self.database.on_change = self.stream.change
        self.outcomes: Counter[str] = Counter()  # metrics and contention
        self.answers: list[Response] = []

    @contextmanager
    def at_work(self) -> Iterator["Office"]:
        """Run shared/ in this simulation while the block runs."""
        with runtime.replaced_by(_Simulated(self)):
            yield self

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """Run the tasks that the block starts without delay and limits, as preparation."""
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
        """Have users book as preparation, one after the other."""

        def book() -> None:
            for user in users:
                office.book(event.event_id, user, Deadline.after(REQUEST_BUDGET_S))

        with self.unhurried():
            self.clock.start(book)

    def open_event(self, tickets: int, lanes: int, rules: Rules = NO_HOLDS) -> Event:
        """Open an event with this number of lanes, not that of the rule."""
        opened: list[Event] = []

        def open_() -> None:
            opened.append(catalog.open_event(Terms("The concert", tickets), Deadline.after(1), rules=rules))

        with self.unhurried(), patch.object(catalog, "lanes_for", lambda _: lanes):
            self.clock.start(open_)
            self.clock.run()
        return opened[0]

    def book(self, event: Event, user: str) -> None:
        """Book for a user, within a task, and note the response."""
        self.ask("book", user, lambda deadline: office.book(event.event_id, user, deadline).booking.status)

    def cancel(self, event: Event, user: str) -> None:
        """Cancel a user's booking, within a task, and note the response."""
        self.ask("cancel", user, lambda deadline: cancellation.cancel(event.event_id, user, None, deadline).status)

    def release(self, event: Event, total: int) -> None:
        """Raise the total, within a task, and have FollowFunction settle the event as after its stream record."""
        wanted = {"total_tickets": total}
        self.functions["change"].invoke(
            lambda: event_change.change(event.event_id, wanted, Deadline.after(REQUEST_BUDGET_S))
        )
        record = {"dynamodb": {"Keys": items.event_key(event.event_id), "SequenceNumber": "1"}}
        self.functions["follow"].invoke(lambda: background.follow_batch([record], _PROMOTER_S))

    def look(self, event: Event, user: str) -> None:
        """Read the status of an event for a watcher, within a task, and note the response."""

        def status(_: Deadline) -> str:
            office.status(event.event_id, None, Deadline.after(STATUS_BUDGET_S))
            return SEEN

        self.ask("status", user, status)

    def expire(self) -> None:
        """Have ExpireFunction end holds, within a task."""
        self.functions["expire"].invoke(lambda: expiry.expire(EXPIRE_S))

    def ask(self, function: str, user: str, work: Callable[[Deadline], str]) -> None:
        """Have a function do some work for a user, and note the response."""
        asked_s = self.clock.now_s
        try:
            outcome = str(self.functions[function].invoke(lambda: work(Deadline.after(REQUEST_BUDGET_S))))
        except TryAgain:
            outcome = TRY_AGAIN
        except ThrottledError:
            outcome = THROTTLED
        self.answers.append(Response(user, asked_s, self.clock.now_s, outcome))

    def offer(self, rate_s: float, users: Iterable[str], ask: Callable[[str], None], ramp_s: float = 0.0) -> None:
        """Send requests at random moments, so many a second on average, rising evenly to that in the first seconds."""

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
        """Return the items of an event."""
        found = {
            table: [item for item in map(_plain, self.database.store.of(table)) if _is_of(event, item)]
            for table in KEYS
        }
        [event_item] = found[items.EVENTS]
        return promises.Snapshot.of(event_item, found[items.LANES], found[items.BOOKINGS], found[items.WAITING_LIST])

    def check(self, event: Event) -> promises.Snapshot:
        """Assert that the event keeps its promises, with no work left; return its items."""
        found = self.snapshot(event)
        broken = promises.violations(found, drained=True)
        assert not broken, broken
        return found

    def now(self) -> str:
        """Return the present moment as the office writes it."""
        moment = _BEGINNING + timedelta(seconds=self.clock.now_s)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(item: Any) -> promises.Item:
    return promises.plain(dict(item))


def _is_of(event: Event, item: promises.Item) -> bool:
    """Tell whether an item is one of the event's: by its own attribute, or by the key of a lane or stripe."""
    key = item.get("laneId") or item.get("stripeId") or f"{item['eventId']}#"
    return str(key).rpartition("#")[0] == event.event_id


def _settle_batch(records: Any) -> list[str]:
    return background.settle_batch(records, _PROMOTER_S)


class _Simulated(Runtime):
    """The simulated clock, random source and database, and the memory of the current environment."""

    def __init__(self, office: Office) -> None:
        """Have tables with the names of the template."""
        tables = {"EVENTS": items.EVENTS, "LANES": items.LANES, "BOOKINGS": items.BOOKINGS}
        names = tables | {"WAITING_LIST": items.WAITING_LIST}
        super().__init__({f"{name}_TABLE": table for name, table in names.items()})
        self._office = office
        self._outside: dict[str, dict[str, Any]] = {}
        self.client = office.database
        self.logger = _Counting(office.outcomes)

    @property
    def memory(self) -> dict[str, dict[str, Any]]:
        """Return the memory of the current environment."""
        environment = self._office.account.environment
        return self._outside if environment is None else environment.memory

    @memory.setter
    def memory(self, _: object) -> None:
        """Keep each environment's own."""

    def time_s(self) -> float:
        """Return the virtual time."""
        return self._office.clock.now_s

    def monotonic_s(self) -> float:
        """Return the virtual time."""
        return self._office.clock.now_s

    def now(self) -> str:
        """Return the virtual time as the office writes it."""
        return self._office.now()

    def sleep(self, seconds: float) -> None:
        """Run other tasks for so long."""
        self._office.clock.sleep(seconds)

    def new_id(self) -> str:
        """Draw an id."""
        return f"{self._office.chance.getrandbits(144):036x}"

    def uniform(self, low: float, high: float) -> float:
        """Draw a number."""
        return self._office.chance.uniform(low, high)

    def shuffled(self, some: Sequence[T]) -> list[T]:
        """Draw an order."""
        return self._office.chance.sample(some, len(some))


class _Counting:
    """A log that counts outcomes and contention and writes nothing."""

    def __init__(self, outcomes: Counter[str]) -> None:
        self._outcomes = outcomes

    def info(self, metric: str, extra: Mapping[str, Any] | None = None) -> None:
        """Count an outcome."""
        self._outcomes[str(metric)] += int((extra or {}).get(metric, 0))

    error = info

    def warning(self, _metric: str, extra: Mapping[str, Any]) -> None:
        """Count a request that is sent again."""
        if "operation" in extra:
            self._outcomes[f"{extra['operation']} sent again: {extra['cause']}"] += 1

    def exception(self, *_: Any) -> None:
        """Write nothing."""

    def append_context_keys(self, **_: Any) -> AbstractContextManager[None]:
        """Run the block."""
        return nullcontext()
