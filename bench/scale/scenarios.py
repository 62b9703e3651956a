"""The measurements: an on-sale at a steady load, the sold-out turn, joins, cancellations, and the cost of a booking.

Each builds its own world from its arguments and a seed, and checks the promises at its end.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, takewhile
from typing import Any
from unittest.mock import patch

from bench.one_counter import OneCounter
from bench.scale.capacity import Throughput
from bench.scale.database import Latency
from bench.scale.limits import PARTITION_READS_S, PARTITION_WRITES_S, TABLE_QUOTA_S
from bench.scale.office import SEEN, THROTTLED, TRY_AGAIN, Office, Response
from harness import promises
from proof.requests import KEYS
from shared.booking.expiry import MARGIN_S
from shared.model import Actor, Event, Rules, lanes_for
from shared.runtime import Deadline
from shared.store import dynamodb, items

Pauses = tuple[tuple[float, float], tuple[float, float]]  # twice the first and the longest, in seconds

PLENTY = 1_000_000  # tickets: more than any run sells
RAMP_S = 2.0
AMPLE_WRITES_S = 200_000  # of warm throughput, to measure other limits
ORDER_CHECKED = 500  # users whose order is checked, pair by pair
HOLD_S, OFFER_S = 600, 86_400
TOO_EARLY_S = 0.5  # a run of ExpireFunction begins this long before the holds are due
EXPIRY_RUNS = 4  # minutes
WARM_PER_OFFERED, WARM_MIN = 0.05, 20  # idle environments per request a second; several times as many as needed


@dataclass(frozen=True, slots=True)
class World:
    """The settings of a scenario."""

    seed: int = 1
    writes_s: int = AMPLE_WRITES_S  # warm throughput of each table; reads are three times that
    latency: Latency = field(default_factory=Latency)
    backoffs_s: Pauses | None = None  # after a conflict, and after anything else; as in shared/ if None
    warm: bool = True  # idle environments are ready for the load

    def office(self) -> Office:
        """Return the office."""
        return Office(self.seed, throughput={table: self.throughput() for table in KEYS}, latency=self.latency)

    def throughput(self) -> Throughput:
        """Return the throughput of a table."""
        reads_s = self.writes_s * PARTITION_READS_S // PARTITION_WRITES_S
        return Throughput(self.writes_s, reads_s, quota_s=max(TABLE_QUOTA_S, self.writes_s))


@dataclass(frozen=True, slots=True)
class Load:
    """The outcome of a steady load."""

    offered_s: float
    per_second: float  # responses of the wanted kind
    p50_ms: float | None
    p99_ms: float | None
    failed_s: float  # 503s, of the office and of Lambda
    conflicts: int
    throttled: int
    environments: int


def on_sale(world: World, lanes: int | None, offered_s: float, seconds: float) -> Load:
    """Sell to a steady load for so many seconds. None for lanes is the design with one counter."""
    with _at_work(world) as office:
        office.functions["book"].warm(_environments(world, offered_s))
        if lanes is None:
            return _on_sale_of_one_counter(office, offered_s, seconds)
        event = office.open_event(PLENTY, lanes)
        office.offer(offered_s, _users(office, RAMP_S + seconds), lambda user: office.book(event, user), RAMP_S)
        office.clock.run()
        found = office.check(event)
        told = {answer.user for answer in office.answers if answer.outcome == "CONFIRMED"}
        assert told <= found.confirmed, "a user was told of a ticket that is not theirs"
        return _load(office, offered_s, "CONFIRMED", RAMP_S, RAMP_S + seconds)


def _on_sale_of_one_counter(office: Office, offered_s: float, seconds: float) -> Load:
    event = OneCounter("the-event")
    with office.unhurried():
        office.clock.start(lambda: event.open(PLENTY, Deadline.after(1)))

    def book(user: str) -> None:
        office.ask("book", user, lambda deadline: event.book(user, deadline))

    office.offer(offered_s, _users(office, RAMP_S + seconds), book, RAMP_S)
    office.clock.run()
    [item] = office.database.store.of(items.LANES)
    sold = sum(1 for _ in office.database.store.of(items.BOOKINGS))
    assert int(item["available"]["N"]) + sold == PLENTY, "oversold"
    return _load(office, offered_s, "CONFIRMED", RAMP_S, RAMP_S + seconds)


def joins(world: World, lanes: int, offered_s: float, seconds: float, waiting: int = 1_100) -> Load:
    """Have a steady load join the waiting list of a sold-out event with so many entries."""
    with _at_work(world) as office:
        event = office.open_event(lanes, lanes)
        office.fill(event, (f"early-{n}" for n in range(lanes + waiting)))
        begun_s = office.clock.now_s
        office.functions["book"].warm(_environments(world, offered_s))
        end_s = begun_s + RAMP_S + seconds
        office.offer(offered_s, _users(office, end_s), lambda user: office.book(event, user), RAMP_S)
        office.clock.run()
        office.check(event)
        return _load(office, offered_s, "WAITING", begun_s + RAMP_S, end_s)


@dataclass(frozen=True, slots=True)
class Releases:
    """Two releases of as many tickets, one after the other."""

    offered_s: float
    lanes: int
    tickets: int  # of each release
    first_s: float  # bookings a second, of the first release
    second_s: float
    waited: int  # users who waited when the second release came
    back_s: float | None  # from the request for it until the event is back on sale; None if a crowd is faster


def releases(world: World, lanes: int, tickets: int, offered_s: float, rush_s: float | None = None) -> Releases:
    """Sell all tickets to a steady load. Then release as many again; once they are on sale, such a load comes again.

    With `rush_s`, the load comes with the request for the second release, whose rate is that of so many seconds. The
    other rates leave out the first and the last tenth: the load rises, and buyers search for the last tickets.
    """
    with _at_work(world) as office:
        office.functions["book"].warm(_environments(world, offered_s))
        event = office.open_event(tickets, lanes)
        names = _names()
        sold_s: list[float] = []
        streamed = office.database.on_change

        def on_change(key: Any, old: Any, new: Any) -> None:
            if new.get("status") == items.text("CONFIRMED"):
                sold_s.append(office.clock.now_s)
            streamed(key, old, new)

        def sell(until: int) -> None:
            some = takewhile(lambda _: len(sold_s) < until, names)
            office.offer(offered_s, some, lambda user: office.book(event, user), RAMP_S)
            office.clock.run()

        office.database.on_change = on_change
        sell(tickets)
        waited = len(office.check(event).waiting)
        released_s = office.clock.now_s
        office.clock.start(lambda: office.release(event, 2 * tickets))
        if rush_s:
            begin_s, end_s = released_s + RAMP_S, released_s + RAMP_S + rush_s
            some = takewhile(lambda _: office.clock.now_s < end_s, names)
            office.offer(offered_s, some, lambda user: office.book(event, user), RAMP_S)
            office.clock.run()
            office.check(event)
            second_s = sum(begin_s <= moment_s < end_s for moment_s in sold_s) / rush_s
            return Releases(offered_s, lanes, tickets, _rate_of_middle(sold_s[:tickets]), second_s, waited, None)
        office.clock.run()
        back_s = office.clock.now_s - released_s
        assert office.outcomes["BackOnSale"] == 1
        sell(2 * tickets)
        assert len(office.check(event).confirmed) == 2 * tickets
        first, second = sold_s[:tickets], sold_s[tickets + waited :]
        return Releases(offered_s, lanes, tickets, _rate_of_middle(first), _rate_of_middle(second), waited, back_s)


def _rate_of_middle(moments_s: Sequence[float]) -> float:
    first, last = len(moments_s) // 10, len(moments_s) * 9 // 10
    return (last - first) / (moments_s[last] - moments_s[first])


@dataclass(frozen=True, slots=True)
class Turn:
    """The sold-out turn: seconds from the last ticket to answers that say "waiting"."""

    offered_s: float
    lanes: int
    first_s: float
    hundredth_s: float | None
    joined: int  # in the measured seconds
    failed: int  # 503s in them
    late_ticket_s: float  # the longest request for a ticket that was confirmed in the last second


def sold_out_turn(world: World, lanes: int, tickets: int, offered_s: float, seconds: float) -> Turn:
    """Sell all tickets to a steady load that goes on, and measure the seconds after the last ticket."""
    with _at_work(world) as office:
        office.functions["book"].warm(_environments(world, offered_s))
        event = office.open_event(tickets, lanes)
        sold_at_s: list[float] = []
        streamed = office.database.on_change

        def on_change(key: Any, old: Any, new: Any) -> None:
            if old is None and new.get("status") == items.text("CONFIRMED"):
                sold_at_s.append(office.clock.now_s)
            streamed(key, old, new)

        office.database.on_change = on_change

        def more() -> bool:
            return len(sold_at_s) < tickets or office.clock.now_s < sold_at_s[-1] + seconds

        office.offer(offered_s, takewhile(lambda _: more(), _names()), lambda user: office.book(event, user), RAMP_S)
        office.clock.run()
        office.check(event)
        assert promises.order_violations(*_history(office, event)) == []
        last_s = sold_at_s[tickets - 1]
        after = [answer for answer in office.answers if last_s <= answer.answered_s < last_s + seconds]
        waited = sorted(answer.answered_s - last_s for answer in after if answer.outcome == "WAITING")
        late = [
            answer.answered_s - answer.asked_s
            for answer in office.answers
            if answer.outcome == "CONFIRMED" and answer.answered_s >= last_s - 1
        ]
        failed = sum(answer.outcome in (TRY_AGAIN, THROTTLED) for answer in after)
        hundredth_s = waited[99] if len(waited) > 99 else None  # noqa: PLR2004
        return Turn(offered_s, lanes, waited[0], hundredth_s, len(waited), failed, max(late))


@dataclass(frozen=True, slots=True)
class Promotions:
    """From the n-th cancellation to the n-th promotion."""

    offered_s: float
    shards: int
    p50_s: float
    p99_s: float
    per_second: float
    conflicts: int
    failed_records: int


def cancellations(world: World, lanes: int, count_: int, offered_s: float) -> Promotions:
    """Have holders cancel at a steady load while as many users wait."""
    with _at_work(world) as office:
        event = office.open_event(count_, lanes)
        holders = [f"holder-{n}" for n in range(count_)]
        office.fill(event, [*holders, *(f"waiter-{n}" for n in range(count_))])
        office.functions["cancel"].warm(_environments(world, offered_s))
        office.offer(offered_s, holders, lambda user: office.cancel(event, user))
        office.clock.run()
        found = office.check(event)
        assert len(found.confirmed) == count_
        released = sorted(_second(one["cancelledAt"]) for one in found.bookings if "cancelledAt" in one)
        promoted = sorted(_second(one["promotedAt"]) for one in found.bookings if "promotedAt" in one)
        waits = sorted(after - before for before, after in zip(released, promoted, strict=True))
        conflicts, _ = _refused(office)
        return Promotions(
            offered_s,
            len(office.throughput[items.BOOKINGS].partitions),
            _quantile(waits, 0.5),
            _quantile(waits, 0.99),
            len(promoted) / (promoted[-1] - released[0]),
            conflicts,
            office.outcomes["RecordsFailed"],
        )


@dataclass(frozen=True, slots=True)
class Expiry:
    """Holds that expire at the same moment: seconds from then to the release of their tickets, and to their offers."""

    holds: int
    waiting: int
    shards: int
    released_p50_s: float
    released_s: float  # the last one
    offered_s: float | None  # the last one
    per_second: float
    conflicts: int
    throttled: int


def expiry(world: World, holds: int, waiting: int) -> Expiry:
    """Let so many holds of one event expire at once, while so many users wait.

    A run of ExpireFunction has just begun and finds none of them due, so the next one comes as late as possible.
    """
    with _at_work(world) as office:
        rules = Rules(hold_seconds=HOLD_S, offer_seconds=OFFER_S, confirmed_by=Actor.SHOP)
        event = office.open_event(holds, lanes_for(holds), rules)
        office.functions["expire"].warm(1)
        too_early_s = office.clock.now_s + HOLD_S + MARGIN_S - TOO_EARLY_S
        office.fill(event, [*(f"holder-{n}" for n in range(holds)), *(f"waiter-{n}" for n in range(waiting))])
        for minute in range(EXPIRY_RUNS):
            office.clock.start(office.expire, too_early_s + 60 * minute - office.clock.now_s)
        office.clock.run()
        found = office.check(event)
        ended = [one for one in found.bookings if one["status"] == "EXPIRED"]
        assert len(ended) == holds
        assert len(found.held) == min(holds, waiting)
        late_s = sorted(_second(one["expiredAt"]) - _second(one["heldAt"]) - HOLD_S for one in ended)
        assert late_s[0] >= MARGIN_S, "a hold ended before its time"
        due_s = min(_second(one["heldAt"]) for one in ended) + HOLD_S
        offered_s = [_second(one["heldAt"]) - due_s for one in found.bookings if one["status"] == "HELD"]
        conflicts, throttled = _refused(office)
        return Expiry(
            holds,
            waiting,
            len(office.throughput[items.BOOKINGS].partitions),
            _quantile(late_s, 0.5),
            late_s[-1],
            max(offered_s, default=None),
            holds / (late_s[-1] - late_s[0]),
            conflicts,
            throttled,
        )


@dataclass(frozen=True, slots=True)
class Watched:
    """An on-sale that many watch: the bookings, the statuses, and what the statuses read."""

    watchers_s: float
    offered_s: float
    per_second: float  # bookings
    p50_ms: float
    p99_ms: float
    failed_s: float  # 503s of either
    seen_p99_ms: float | None
    read_units_s: float  # of the tables of events and lanes
    share: float | None  # of what they would be if each status counted


def watched(world: World, lanes: int, offered_s: float, watchers_s: float, seconds: float) -> Watched:
    """Sell to a steady load, while watchers read the status at another."""
    with _at_work(world) as office:
        event = office.open_event(PLENTY, lanes)
        end_s = RAMP_S + seconds
        office.functions["book"].warm(_environments(world, offered_s))
        office.functions["status"].warm(_environments(world, watchers_s))
        office.offer(offered_s, _users(office, end_s), lambda user: office.book(event, user), RAMP_S)
        if watchers_s:
            office.offer(watchers_s, _users(office, end_s), lambda user: office.look(event, user), RAMP_S)
        office.clock.run()
        office.check(event)
        booked = _load(office, offered_s, "CONFIRMED", RAMP_S, end_s)
        assert booked.p50_ms is not None
        assert booked.p99_ms is not None
        seen = sorted(1000 * (one.answered_s - one.asked_s) for one in office.answers if one.outcome == SEEN)
        units = office.database.units
        reads = units[f"{items.EVENTS} reads"] + units[f"{items.LANES} reads"]
        return Watched(
            watchers_s,
            offered_s,
            booked.per_second,
            booked.p50_ms,
            booked.p99_ms,
            booked.failed_s,
            _quantile(seen, 0.99) if seen else None,
            reads / end_s,
            100 * reads / (len(seen) * (1 + lanes)) if seen else None,
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """The database requests of one booking."""

    lanes: int
    events: int
    bookings: int
    requests: Mapping[str, int]
    write_units: int
    read_units: int


def cost(world: World, lanes: int, events: int, bookings: int) -> Cost:
    """Book once in a warm function, with so many events in the tables and so many bookings of each."""
    with _at_work(world) as office:
        opened = [office.open_event(PLENTY, lanes) for _ in range(events)]
        for event in opened:
            office.fill(event, (f"early-{n}" for n in range(bookings)))
        event = opened[events // 2]
        office.functions["book"].warm(1)
        for user in ("anna", "ben"):  # after the first one the environment knows the event
            for counts in (office.database.requests, office.database.units):
                counts.clear()
            office.clock.start(lambda user=user: office.book(event, user))  # type: ignore[misc]  # mypy cannot infer it
            office.clock.run()
        units = office.database.units
        return Cost(
            lanes,
            events,
            bookings,
            dict(office.database.requests),
            sum(units[f"{table} writes"] for table in KEYS),
            sum(units[f"{table} reads"] for table in KEYS),
        )


def lanes_on_the_fullest_partition(lanes: int, writes_s: int, events: int = 1_000) -> tuple[int, int]:
    """Return how many lanes of an event share the fullest partition: for the median event, and for 1 in 100."""
    throughput = World(writes_s=writes_s).throughput()

    def shard_of(lane: str) -> int:
        return throughput.shard_of((items.LANES, (lane,)))

    fullest = sorted(
        max(Counter(shard_of(items.lane_id(f"event-{n}", lane)) for lane in range(lanes)).values())
        for n in range(events)
    )
    return fullest[events // 2], fullest[events * 99 // 100]


@contextmanager
def _at_work(world: World) -> Iterator[Office]:
    with world.office().at_work() as office, ExitStack() as patches:
        if world.backoffs_s:
            for name, pauses_s in zip(("BACKOFF_CONFLICT_S", "BACKOFF_S"), world.backoffs_s, strict=True):
                patches.enter_context(patch.object(dynamodb, name, pauses_s))
        yield office


def _environments(world: World, offered_s: float) -> int:
    return max(WARM_MIN, round(offered_s * WARM_PER_OFFERED)) if world.warm else 0


def _names() -> Iterator[str]:
    return (f"user-{n}" for n in count())


def _users(office: Office, until_s: float) -> Iterator[str]:
    """Yield users until this time."""
    return takewhile(lambda _: office.clock.now_s < until_s, _names())


def _load(office: Office, offered_s: float, wanted: str, begin_s: float, end_s: float) -> Load:
    """Summarise the responses between two moments."""
    seen = [answer for answer in office.answers if begin_s <= answer.answered_s < end_s]
    got = sorted(1000 * (answer.answered_s - answer.asked_s) for answer in seen if answer.outcome == wanted)
    conflicts, throttled = _refused(office)
    return Load(
        offered_s,
        len(got) / (end_s - begin_s),
        _quantile(got, 0.5) if got else None,
        _quantile(got, 0.99) if got else None,
        sum(answer.outcome in (TRY_AGAIN, THROTTLED) for answer in seen) / (end_s - begin_s),
        conflicts,
        throttled,
        office.account.at_work_max,
    )


def _refused(office: Office) -> tuple[int, int]:
    """Return how many items were refused by a conflict, and how many were throttled."""
    refused = office.database.refused
    return tuple(  # type: ignore[return-value]  # two of them
        sum(number for name, number in refused.items() if name.startswith(kind)) for kind in ("conflict", "throttled")
    )


def _history(office: Office, event: Event) -> tuple[list[promises.Request], dict[str, float]]:
    """Return the last users' requests and when they got their tickets, for the check of P5."""
    told: Sequence[Response] = [answer for answer in office.answers if answer.outcome in ("CONFIRMED", "WAITING")]
    asked = [promises.Request(one.user, one.asked_s, one.answered_s, one.outcome) for one in told[-ORDER_CHECKED:]]
    users = {one.user for one in asked}
    tickets = {
        one["userId"]: _second(one["bookedAt"])
        for one in office.snapshot(event).bookings
        if one["userId"] in users and "bookedAt" in one
    }
    return asked, tickets


def _second(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
