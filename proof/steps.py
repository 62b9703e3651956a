"""Every way in which a world goes on: the next request of anyone, a death, a fault, a late effect."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from proof.judge import Violation
from proof.lambdas import Fault, Request, Response
from proof.stand_in import TRANSACT, Effect, Tables, apply, refusal
from proof.world import FILTERS, Filters, Flying, World, answered, begun, changed, died, invoked
from shared.store.aws_client import RequestFailed

_UNDONE = (Fault.CONFLICT, Fault.THROTTLED, Fault.INTERNAL, Fault.TIMEOUT)  # of a write, without its effect
_DONE = (Fault.INTERNAL, Fault.TIMEOUT, Fault.DEADLINE)  # of a write, with its effect
_LATE = (Fault.TIMEOUT, Fault.DEADLINE)


class Step(NamedTuple):
    """Who goes on, what happens, and the world after it."""

    who: str
    what: str
    world: World
    request: Request | None = None
    kind: str = ""  # of who goes on: buyer, organiser, ...

    def __str__(self) -> str:
        """Return a line of a trace."""
        return f"{self.who}: {self.what}{f' {shown(self.request)}' if self.request else ''}"


@dataclass(frozen=True)
class Ground:
    """What the steps stand on, for mutants to change: what requests reach the database, and the stream's filter."""

    filters: Filters = FILTERS
    altered: Callable[[Request], Request] = lambda request: request
    _effects: dict[tuple[Tables, Request], tuple[Effect, Response]] = field(default_factory=dict, compare=False)

    def apply(self, tables: Tables, request: Request) -> tuple[Effect, Response]:
        """Run a request; the same objects for the same request on the same tables."""
        known = self._effects.get((tables, request))
        if known is None:
            arriving = self.altered(request)
            effect = apply(tables, arriving.operation, arriving.parameters)
            known = self._effects[tables, request] = effect, Response(effect.answer, effect.error)
        return known


def steps(world: World, ground: Ground) -> Iterator[Step]:
    """Yield each way to go on. Raises Violation where one breaks a promise."""
    for number, client in enumerate(world.clients):
        if client is None:
            if world.comes(number):
                yield from _record_faults(world, number, ground)
                yield from _requests(invoked(world, number), number, ground)
        elif isinstance(client.node.following, Request):
            first = not client.node.is_begun
            yield from _requests(begun(world, number) if first else world, number, ground)
    for place, flying in enumerate(world.flying):
        landed = world._replace(flying=world.flying[:place] + world.flying[place + 1 :])
        effect, _ = ground.apply(world.tables, flying.request)
        yield Step(
            flying.name,
            "takes effect late",
            changed(landed, flying.name, effect, ground.filters),
            flying.request,
            flying.kind,
        )


def shown(request: Request) -> str:
    """Say in a few words what a request is."""
    return " + ".join(request.written) or f"{request.operation} {request.parameters.get('TableName', '')}"


def _requests(world: World, number: int, ground: Ground) -> Iterator[Step]:
    """Yield what may come of a client's next request."""
    client = world.clients[number]
    assert client is not None
    request = client.node.following
    assert isinstance(request, Request)
    name, kind = client.node.operation.name, client.node.operation.kind
    effect, response = ground.apply(world.tables, request)
    try:
        done = changed(world, name, effect, ground.filters)
        answer = answered(done, number, response)
    except Violation as violation:
        violation.add_note(f"{name}: {shown(request)}")
        raise
    yield Step(name, "refused" if effect.error else "done", answer, request, kind)
    if not world.crashes and not world.faults:
        return
    in_flight = world._replace(flying=(*world.flying, Flying(name, request, kind)))
    if world.crashes:
        less = world.crashes - 1
        if client.node.is_begun:
            yield Step(name, "dies before", died(world._replace(crashes=less), number), request, kind)
        if request.writes:
            yield Step(name, "dies after", died(done._replace(crashes=less), number), request, kind)
            yield Step(name, "dies, in flight", died(in_flight._replace(crashes=less), number), request, kind)
    if world.faults:
        less = world.faults - 1
        for what, fallen, reply in _faults(world, done, in_flight, request, effect):
            yield Step(name, what, answered(fallen._replace(faults=less), number, reply), request, kind)


def _faults(
    world: World, done: World, in_flight: World, request: Request, effect: Effect
) -> Iterator[tuple[str, World, Response]]:
    if not request.writes:
        yield "throttled", world, Response(fault=Fault.THROTTLED)
        yield "time-out past the deadline", world, Response(fault=Fault.DEADLINE)
        if request.operation == "BatchGetItem":
            yield "unprocessed", world, Response(fault=Fault.UNPROCESSED)
        if request.operation == "Scan" or "IndexName" in request.parameters:
            yield "stale", world, Response({"Items": []})
        return
    for fault in _UNDONE:
        yield f"{fault}, not done", world, Response(fault=fault)
    for fault in _LATE:
        yield f"{fault}, in flight", in_flight, Response(fault=fault)
    if effect.error:
        yield from _conflict_beside(world, effect.error)
    else:
        for fault in _DONE:
            yield f"{fault}, done", done, Response(fault=fault)


def _conflict_beside(world: World, error: RequestFailed) -> Iterator[tuple[str, World, Response]]:
    """Yield refusals of which one reason is told, while the other items met a conflict before they were looked at."""
    for place, reason in enumerate(error.reasons):
        if reason["Code"] != "None":
            beside: list[Any] = [{"Code": "TransactionConflict"}] * len(error.reasons)
            beside[place] = reason
            mixed = refusal(TRANSACT, "TransactionCanceledException", 400, beside)
            yield f"conflict beside reason {place}", world, Response(error=mixed)


def _record_faults(world: World, number: int, ground: Ground) -> Iterator[Step]:
    """Yield what may go wrong with a stream record: it is lost, or delivered now and again later."""
    if not world.faults:
        return
    queue = world.queues[number - world.first_promoter]
    fewer = world._replace(faults=world.faults - 1)
    yield Step("stream", "a record is lost", fewer.with_records(number, queue[1:])._replace(lost=True))
    twice = invoked(fewer, number).with_records(number, queue)
    for step in _requests(twice, number, ground):
        yield step._replace(what=f"has the records not for the last time: {step.what}")
