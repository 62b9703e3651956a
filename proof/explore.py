"""The search: every order of every request of a scenario, with every death and fault that it allows."""

import random
import sys
from dataclasses import dataclass, field, replace

from proof.judge import (
    NOTHING_MADE,
    Violation,
    check_repeated_change,
    check_repetition,
    check_revisions,
    check_tables,
    event_of,
)
from proof.lambdas import Node, Request, Result, simulated
from proof.operations import Cancel, CancelEvent, Expire, Open, Operation, Patch, Sweep
from proof.stand_in import Tables
from proof.steps import Ground, Step, steps
from proof.world import Client, World, answered, begun, changed, invoked
from shared.model import NO_HOLDS, Event, Rules
from shared.store.items import LANES, is_note

AFTER_HOLDS = "2026-05-02T18:00:00.000Z"  # a day after MOMENT, when all holds are due
STATES_MAX = 1_500_000  # of one search: about 2 GB, and three minutes
_DEPTH_MAX = 100_000  # of Python's stack: a schedule is as deep as it is long


@dataclass(frozen=True)
class Scenario:
    """Who does what: `before` and `then` one after the other, `begun` up to a write, then all at once."""

    name: str
    meanwhile: tuple[Operation, ...]
    before: tuple[Operation, ...] = ()
    then: tuple[Operation, ...] = ()  # when the background has done what follows from `before`
    # Up to such as "Put WaitingList"; "Update Lanes, Update Lanes" is up to the second of these; "" to the end.
    begun: tuple[tuple[Operation, str], ...] = ()
    tickets: int = 1
    lanes: int = 1
    stripes: int = 1  # of the waiting list
    rules: Rules = NO_HOLDS  # of the event
    drained: bool = True  # before the race, the promoter has had all records
    warm: bool = True  # functions remember the event as it was opened, or before `then`; else they know nothing
    meets_comebacks: bool = False  # functions have just met users who came back, so they read the booking first
    promoters: int = 1  # at work at once, each on its part of the stream
    # When the background comes: at any time; else when no request for a change is at work. By default at any time where
    # an organiser is at work, and else when all requests are done.
    prompt: bool | None = None
    crashes: int = 0
    faults: int = 0


@dataclass
class Found:
    """What a search went through. A schedule is one order of all that happens, from the first request to the last."""

    schedules: int = 0
    states: int = 0
    steps: int = 0
    crashes: int = 0
    faults: int = 0
    ends: int = 0
    kinds: set[str] = field(default_factory=set)  # of those at work: buyer, organiser, promoter, background, sweep
    is_cut: bool = False  # after so many states: no violation among these, and more that were not gone through
    violation: str = ""
    trace: list[str] = field(default_factory=list)

    @property
    def in_short(self) -> str:
        """Return its numbers in a line."""
        counts = f"{self.states:,} states, {self.crashes:,} crashes, {self.faults:,} faults"
        return f"CUT SHORT: {counts}" if self.is_cut else f"{self.schedules:.3g} schedules, {counts}"


def explore(scenario: Scenario, ground: Ground | None = None, states_max: int = STATES_MAX) -> Found:
    """Go through all schedules of a scenario, up to the first that breaks a promise, or up to so many states."""
    search = _Search(ground or Ground(), states_max)
    with simulated():
        try:
            search.found.schedules = search.visit(start(scenario, search.ground))
        except _CutShort:
            search.found.is_cut = True
        except Exception as error:  # noqa: BLE001  # an error that the office does not expect is what is looked for, too
            search.fail(error)
    search.found.states = len(search.seen)
    return search.found


def walk(scenario: Scenario, seed: int, walks: int) -> Found:
    """Go through some schedules of a scenario, chosen at random; the same seed chooses the same."""
    search = _Search(Ground())
    chance = random.Random(seed)  # a choice of schedules
    with simulated():
        first = start(scenario, search.ground)
        try:
            for _ in range(walks):
                search.walk(first, chance)
        except Exception as error:  # noqa: BLE001  # as above
            search.fail(error)
    return search.found


def start(scenario: Scenario, ground: Ground) -> World:
    """Return the world in which a scenario's race begins."""
    world = World(Tables(), queues=((),) * (scenario.promoters + 1))
    opening = Open(tickets=scenario.tickets, lanes=scenario.lanes, stripes=scenario.stripes, rules=scenario.rules)
    world = _alone(world, opening, ground)
    event = event_of(world.tables)
    for operation in scenario.before:
        world = _alone(world, operation, ground)
    if scenario.then:
        world = drained(world, ground)
        event = event_of(world.tables)
    for operation in scenario.then:
        world = _alone(world, operation, ground)
    if scenario.drained:
        world = drained(world, ground)
    world = world._replace(made=NOTHING_MADE)
    racers: list[Client | None] = []
    for operation, write in scenario.begun:
        world = _alone(world, _warmed(operation, event, scenario), ground, until=write)
        racers.append(world.clients[0])
    racers += [Client(Node.of(_warmed(operation, event, scenario))) for operation in scenario.meanwhile]
    racers += [None] * (scenario.promoters + 1)
    faulty = scenario.faults > 0
    return world._replace(
        clients=tuple(racers),
        crashes=scenario.crashes,
        faults=scenario.faults,
        is_faulty=faulty,
        is_prompt=_is_prompt(scenario),
    )


def _is_prompt(scenario: Scenario) -> bool | None:
    if scenario.prompt is not None:
        return scenario.prompt
    operations = (*scenario.meanwhile, *(operation for operation, _ in scenario.begun))
    return True if any(one.kind == Open.kind for one in operations) else None


def drained(world: World, ground: Ground) -> World:
    """Let the promoters and the background work until the streams are empty, and nobody else."""
    world = world._replace(clients=(None,) * len(world.queues))
    while any(world.queues):
        number = next(number for number, queue in enumerate(world.queues) if queue)
        world = _to_its_end(invoked(world, number), number, ground)
    return world


class _CutShort(Exception):
    """A search has gone through as much as it may."""


class _Search:
    def __init__(self, ground: Ground, states_max: int = STATES_MAX) -> None:
        self.ground = ground
        self.states_max = states_max
        self.seen: dict[World, int] = {}  # -> number of schedules from there on
        self.path: list[Step] = []
        self.found = Found()
        self._ended: set[tuple[object, ...]] = set()

    def visit(self, world: World) -> int:
        """Go on in every way; return in how many one can come to an end. Raises Violation."""
        known = self.seen.get(world)
        if known == 0:
            raise Violation("they go round in circles")
        if known:
            return known
        self.seen[world] = schedules = 0
        if len(self.seen) > self.states_max:
            raise _CutShort
        for step in steps(world, self.ground):
            self._count(step, world)
            self.path.append(step)
            schedules += self.visit(step.world)
            self.path.pop()
        if schedules == 0:
            self._end(world)
            schedules = 1
        self.seen[world] = schedules
        return schedules

    def walk(self, world: World, chance: random.Random) -> None:
        """Go one way, to its end. Raises Violation."""
        self.path.clear()
        while ways := list(steps(world, self.ground)):
            self.path.append(chance.choice(ways))
            self._count(self.path[-1], world)
            world = self.path[-1].world
        self._end(world)
        self.found.schedules += 1

    def fail(self, error: Exception) -> None:
        """Note what broke, and the way to it."""
        self.found.violation = str(error) if isinstance(error, Violation) else f"error: {error!r}"
        self.found.trace = [*map(str, self.path), *getattr(error, "__notes__", [])]

    def _count(self, step: Step, world: World) -> None:
        self.found.steps += 1
        self.found.kinds.add(step.kind)
        self.found.crashes += step.world.crashes < world.crashes
        self.found.faults += step.world.faults < world.faults

    def _end(self, world: World) -> None:
        """Judge a world in which nobody has anything left to do."""
        self.found.ends += 1
        end = (world.tables, world.lost, world.clients)
        if end not in self._ended:
            self._ended.add(end)
            check_end(world, self.ground)


def check_end(world: World, ground: Ground) -> None:
    """Check that nobody is stranded, that the sweep finds nothing to do, and that repeats are harmless.

    Raises Violation.
    """
    assert world.is_over, "nobody can go on, and not all is done"
    clients = world.clients
    if not world.lost:
        check_tables(world.tables, drained=True)
    swept = _alone(world, Sweep(), ground)
    if _awake(swept.tables) != _awake(world.tables) and not world.lost:
        raise Violation("the sweep found something to do")
    if world.lost and not any("sweepId" in lane for lane in world.tables.of(LANES)):
        # At rest, nothing is left to settle. The next change wakes the sweep, and a promoter writes an old note anew.
        swept = swept._replace(tables=_without_note(swept.tables))
    check_tables(swept.tables, drained=True)
    check_revisions(client.node for client in clients if client)
    _check_expiry(swept, ground)
    patches = sum(client is not None and isinstance(client.node.operation, Patch) for client in clients)
    for client in clients:
        if client is None:
            continue
        operation, result = client.node.operation, client.node.following
        assert isinstance(result, Result)
        if isinstance(operation, Cancel) and result.value:
            operation = replace(operation, booking=result.value.booking_id)
        if operation.user or isinstance(operation, CancelEvent):
            again = _alone(swept, operation.repeated(2), ground).clients[0]
            assert again is not None
            assert isinstance(again.node.following, Result)
            check_repetition(operation, result, again.node.following, swept.tables)
        if isinstance(operation, Patch) and patches == 1:
            repeated = _alone(swept, operation.repeated(2), ground)
            check_tables(drained(repeated, ground).tables, drained=True)
            assert repeated.clients[0] is not None
            assert isinstance(repeated.clients[0].node.following, Result)
            check_repeated_change(operation, result, repeated.clients[0].node.following)


def _awake(tables: Tables) -> Tables:
    """Return the tables without what says that lanes have changed: the sweep may take it away."""
    return tables.with_changes(
        (key, {name: value for name, value in item.items() if name != "sweepId"})
        for key, item in tables.items.items()
        if key[0] == LANES
    )


def _without_note(tables: Tables) -> Tables:
    return tables.with_changes((key, None) for key, item in tables.items.items() if is_note(item))


def _check_expiry(world: World, ground: Ground) -> None:
    """Check that the next run of the expiry leaves no hold that was due, and then nobody stranded (H3, P6)."""
    if event_of(world.tables).rules.offer_seconds is None:
        return
    expired = _alone(world, Expire(at=AFTER_HOLDS), ground)
    check_tables(expired.tables, expired_until=AFTER_HOLDS)
    check_tables(drained(expired, ground).tables, drained=True)


def _alone(world: World, operation: Operation, ground: Ground, until: str = "") -> World:
    """Let one operation run while nothing else moves, to its end or up to a write; it is client 0 then."""
    idle: tuple[Client | None, ...] = (None,) * len(world.queues)
    world = world._replace(clients=(Client(Node.of(operation)), *idle), is_faulty=False, crashes=0, faults=0)
    return _to_its_end(begun(world, 0), 0, ground, until)


def _to_its_end(world: World, number: int, ground: Ground, until: str = "") -> World:
    write, _, later = until.partition(", ")
    while (client := world.clients[number]) and isinstance(request := client.node.following, Request):
        if write and any(write in shown for shown in request.written):
            if not later:
                break
            write, _, later = later.partition(", ")
        effect, response = ground.apply(world.tables, request)
        world = changed(world, client.node.operation.name, effect, ground.filters)
        world = answered(world, number, response)
    return world


def _warmed(operation: Operation, event: Event, scenario: Scenario) -> Operation:
    warm = event if scenario.warm else None
    return replace(operation, warm=warm, meets_comebacks=scenario.meets_comebacks)


sys.setrecursionlimit(_DEPTH_MAX)
