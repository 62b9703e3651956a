"""One moment of a run: the tables, everyone who is at work, the stream, and what the promises have to remember."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from local import patterns
from local.template import load
from shared import items
from shared.model import Status
from tests.proof.judge import (
    NOTHING_MADE,
    Made,
    Standing,
    Violation,
    check_answer,
    check_change,
    check_tables,
    refused_for_good,
    standing,
    told_to_wait,
)
from tests.proof.lambdas import Answer, Node, Request, Result
from tests.proof.operations import EVENT, Abandon, Book, Empty, Promote
from tests.proof.stand_in import Change, Effect, Tables

_STREAM = load().stream
assert _STREAM is not None, "the promoter reads a stream"

Filters = tuple[Mapping[str, Any], ...]
FILTERS: Filters = _STREAM.patterns
EVENT_FILTERS: Filters = (
    {
        "dynamodb": {
            "OldImage": {"cancelledAt": {"S": [{"exists": False}]}},
            "NewImage": {"cancelledAt": {"S": [{"exists": True}]}},
        }
    },
)


class Client(NamedTuple):
    """Somebody who runs an operation. `since` is how far the user's claim had come when the request was sent."""

    node: Node
    since: Standing = None


class Flying(NamedTuple):
    """A request that its client has given up, and that may still take effect."""

    name: str
    request: Request


class World(NamedTuple):
    """A moment. Equal worlds go on equally, so each is looked at once."""

    tables: Tables
    clients: tuple[Client | None, ...] = ()  # None: an idle promoter, or one who is gone
    # By promoter: the lanes of the stream records it has not had yet; and at last the events of the background's.
    queues: tuple[tuple[str, ...], ...] = ()
    flying: tuple[Flying, ...] = ()
    crashes: int = 0  # still to come, at the most
    faults: int = 0
    is_faulty: bool = False  # whether there may be faults at all
    lost: bool = False  # a stream record was lost: only the sweep finds what it meant
    told: frozenset[str] = frozenset()  # bookingIds that were told to wait, and do
    # By bookingId: those told to wait before it was asked for.
    owed: frozenset[tuple[str, frozenset[str]]] = frozenset()
    made: Made = NOTHING_MADE
    cancelled: bool = False  # the organiser was told that the event is cancelled

    @property
    def first_promoter(self) -> int:
        """Return the number of the first promoter: they and the background are the last clients, one for each queue."""
        return len(self.clients) - len(self.queues)

    @property
    def is_over(self) -> bool:
        """Tell whether nobody has anything to do."""
        at_work = any(client and isinstance(client.node.following, Request) for client in self.clients)
        return not at_work and not any(self.queues) and not self.flying

    def with_client(self, number: int, client: Client | None) -> "World":
        """Return the world with another client in this place."""
        return self._replace(clients=(*self.clients[:number], client, *self.clients[number + 1 :]))

    def with_records(self, number: int, lanes: Iterable[str]) -> "World":
        """Return the world with these records in the queue of the client with this number, and no others."""
        place = number - self.first_promoter
        return self._replace(queues=(*self.queues[:place], tuple(lanes), *self.queues[place + 1 :]))


def begun(world: World, number: int) -> World:
    """Let a client send its first request: from now on it is owed what is true now."""
    client = world.clients[number]
    assert client is not None
    operation = client.node.operation
    begun = world.with_client(number, client._replace(since=standing(world.tables, operation.user)))
    if isinstance(operation, Book) and world.told:
        begun = begun._replace(owed=begun.owed | {(operation.name, world.told)})
    return begun


def invoked(world: World, number: int) -> World:
    """Let an idle promoter, or the idle background, have all the records of its queue."""
    place = number - world.first_promoter
    records = world.queues[place]
    is_background = place == len(world.queues) - 1
    operation = Empty(records=records) if is_background else Promote(str(place), records=records)
    return world.with_client(number, Client(Node.of(operation))).with_records(number, ())


def changed(world: World, name: str, effect: Effect, filters: Filters) -> World:
    """Return the world after an effect of this operation: every promise is checked, and the stream has its records.

    Raises Violation.
    """
    if effect.tables is world.tables:
        return world
    owed = dict(world.owed)
    made = world.made
    got = (new for _, new in effect.changes if new and new["status"]["S"] == Status.CONFIRMED)
    together = frozenset(booking["bookingId"]["S"] for booking in got)
    for change in effect.changes:
        check_change(world.tables, change, owed, together, cancelled=world.cancelled)
        made = made.plus(name, change)
    check_tables(effect.tables)
    after = world._replace(tables=effect.tables, made=made)
    if effect.changes:
        waiting = {entry["bookingId"]["S"] for entry in effect.tables.of(items.WAITING_LIST)}
        still_owed = frozenset((one, still) for one, owes in world.owed if (still := owes & waiting))
        after = after._replace(told=world.told & waiting, owed=still_owed)
    for change in effect.changes:
        after = _streamed(after, change, filters)
    return _event_streamed(after, world.tables, effect.tables)


def answered(world: World, number: int, answer: Answer) -> World:
    """Let a client go on with an answer; if that was its last one, judge how it ended. Raises Violation."""
    client = world.clients[number]
    assert client is not None
    node = client.node.after(answer)
    if isinstance(node.following, Request):
        return world.with_client(number, client._replace(node=node))
    if isinstance(node.operation, Promote | Empty):
        return _settled(world, number, node.operation, node.following)
    if isinstance(node.operation, Abandon) and not node.following.error:
        world = world._replace(cancelled=True)
    if refused_for_good(node.following):
        world = world._replace(made=world.made.nothing_by(node.operation.name))
    check_answer(node.operation, node.following, client.since, world.tables, faults=world.is_faulty)
    waiting = {entry["bookingId"]["S"] for entry in world.tables.of(items.WAITING_LIST)}
    told = waiting & set(told_to_wait(node.following))
    return world.with_client(number, client._replace(node=node))._replace(told=world.told | told)


def died(world: World, number: int) -> World:
    """End a client without a word. A user asks again, to a promoter the same records come again; no organiser does."""
    client = world.clients[number]
    assert client is not None
    operation = client.node.operation
    if isinstance(operation, Promote | Empty):
        place = number - world.first_promoter
        return world.with_client(number, None).with_records(number, (*operation.records, *world.queues[place]))
    again = Client(Node.of(operation.repeated())) if operation.user else None
    return world.with_client(number, again)


def _settled(world: World, number: int, operation: Promote | Empty, result: Result) -> World:
    if result.error or (result.value and not world.is_faulty):
        promise = "O3" if isinstance(operation, Empty) else "P6"
        raise Violation(f"{promise}: {operation.name} gave up: {', '.join(result.failures)}")
    failed = tuple(operation.records[int(sequence_number)] for sequence_number in result.value)
    place = number - world.first_promoter
    return world.with_client(number, None).with_records(number, (*failed, *world.queues[place]))


def _streamed(world: World, change: Change, filters: Filters) -> World:
    """Put the record of a change into the queue of its lane, if it passes the stream's filter."""
    old, new = change
    assert new is not None, "bookings are never deleted"
    record = {"dynamodb": {"NewImage": new, **({"OldImage": old} if old else {})}}
    if not world.queues or not patterns.matches(filters, record):
        return world
    lane = new["laneId"]["S"]
    place = int(lane.rpartition("#")[2]) % (len(world.queues) - 1)
    return world.with_records(world.first_promoter + place, (*world.queues[place], lane))


def _event_streamed(world: World, before: Tables, after: Tables) -> World:
    """Put the record of a change of the event into the background's queue, if it passes the stream's filter."""
    key = (items.EVENTS, (EVENT,))
    old, new = before.items.get(key), after.items.get(key)
    if old == new or not (old and new and world.queues):
        return world
    if not patterns.matches(EVENT_FILTERS, {"dynamodb": {"OldImage": old, "NewImage": new}}):
        return world
    return world.with_records(len(world.clients) - 1, (*world.queues[-1], EVENT))
