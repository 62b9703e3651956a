"""One moment of a run: the tables, everyone who is at work, the stream, and what the promises have to remember."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from local import patterns
from local.template import load
from proof.judge import (
    NOTHING_MADE,
    Asked,
    Made,
    Progress,
    Violation,
    check_answer,
    check_change,
    check_event_change,
    check_tables,
    check_transfer,
    check_window,
    in_list,
    standing,
    told_to_wait,
    true_refusals,
)
from proof.lambdas import Node, Request, Response, Result
from proof.operations import Book, Cancel, CancelEvent, Follow, GiveAway, Patch, Promote
from proof.stand_in import Change, Effect, Tables
from shared.model import CheckIn, Standing, Status, TryAgain
from shared.store import items

Patterns = tuple[Mapping[str, Any], ...]


class Filters(NamedTuple):
    """Which records of the two streams reach whom: the promoters, and the background."""

    bookings: Patterns
    events: Patterns


FILTERS = Filters(load().stream("PromoteFunctionBookings").patterns, load().stream("FollowFunctionEvents").patterns)


class Client(NamedTuple):
    """Somebody who runs an operation. `since` is how far the user's booking had come when the request was sent.

    `refusals` are the errors that would have been true at some moment since.
    """

    node: Node
    since: Progress = None
    refusals: frozenset[str] = frozenset()


class Flying(NamedTuple):
    """A request that its client has given up, and that may still take effect."""

    name: str
    request: Request
    kind: str  # of that client


class World(NamedTuple):
    """A moment. Equal worlds go on equally, so each is looked at once."""

    tables: Tables
    clients: tuple[Client | None, ...] = ()  # None: an idle promoter, or one who is gone
    # By promoter: the lanes, and the note, of the records it has not had yet; at last the events of the background's.
    queues: tuple[tuple[str, ...], ...] = ()
    flying: tuple[Flying, ...] = ()
    crashes: int = 0  # still to come, at the most
    faults: int = 0
    is_faulty: bool = False  # whether there may be faults at all
    # Whether the background comes at any time; else when no request for a change is at work. None: when no request is.
    is_prompt: bool | None = True
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

    def comes(self, number: int) -> bool:
        """Tell whether this idle client, a promoter or the background, starts on the records of its queue."""
        place = number - self.first_promoter
        if place < 0 or not self.queues[place]:
            return False
        is_background = place == len(self.queues) - 1
        if self.is_prompt or not is_background:
            return True
        requests = self.clients[: self.first_promoter]
        return not any(map(_is_at_work if self.is_prompt is None else _changes_event, requests))

    def with_client(self, number: int, client: Client | None) -> "World":
        """Return the world with another client in this place."""
        return self._replace(clients=(*self.clients[:number], client, *self.clients[number + 1 :]))

    def with_records(self, number: int, parts: Iterable[str]) -> "World":
        """Return the world with these records in the queue of the client with this number, and no others."""
        place = number - self.first_promoter
        return self._replace(queues=(*self.queues[:place], tuple(parts), *self.queues[place + 1 :]))


def _is_at_work(client: Client | None) -> bool:
    return client is not None and isinstance(client.node.following, Request)


def _changes_event(client: Client | None) -> bool:
    """Tell whether this is an organiser's request for a change that is at work."""
    return client is not None and isinstance(client.node.operation, Patch) and _is_at_work(client)


def begun(world: World, number: int) -> World:
    """Let a client send its first request: from now on it is owed what is true now."""
    client = world.clients[number]
    assert client is not None
    operation = client.node.operation
    since, refusals = standing(world.tables, operation.user), true_refusals(operation, world.tables)
    begun = world.with_client(number, client._replace(since=since, refusals=refusals))
    if isinstance(operation, Book) and world.told:
        begun = begun._replace(owed=begun.owed | {(operation.name, world.told)})
    return begun


def invoked(world: World, number: int) -> World:
    """Let an idle promoter, or the idle background, have all the records of its queue."""
    place = number - world.first_promoter
    parts = world.queues[place]
    operation = Follow(parts=parts) if place == len(world.queues) - 1 else Promote(str(place), parts=parts)
    return world.with_client(number, Client(Node.of(operation))).with_records(number, ())


def changed(world: World, name: str, effect: Effect, filters: Filters) -> World:
    """Return the world after an effect of this operation: every promise is checked, and the stream has its records.

    Raises Violation.
    """
    if effect.tables is world.tables:
        return world
    owed = dict(world.owed)
    made = world.made
    got = (new for _, new in effect.changes if new and new["status"]["S"] in {Status.HELD, Status.CONFIRMED})
    together = frozenset(booking["bookingId"]["S"] for booking in got)
    for change in effect.changes:
        check_change(world.tables, change, owed, together, cancelled=world.cancelled)
        made = made.plus(name, change)
    check_tables(effect.tables)
    check_window(world.tables, effect.tables, effect.changes)
    check_transfer(effect.changes)
    for event in effect.events:
        made = made.plus_change(name, event)
    after = _noted(world._replace(tables=effect.tables, made=made))
    for event in effect.events:
        check_event_change(event, cancelled=world.cancelled)
    if effect.changes:
        waiting = in_list(effect.tables)
        still_owed = frozenset((one, still) for one, owes in world.owed if (still := owes & waiting))
        after = after._replace(told=world.told & waiting, owed=still_owed)
    for change in (*effect.changes, *effect.events, *effect.notes):
        after = _streamed(after, change, filters)
    return after


def answered(world: World, number: int, answer: Response) -> World:
    """Let a client go on with an answer; if that was its last one, judge how it ended. Raises Violation."""
    client = world.clients[number]
    assert client is not None
    node = client.node.after(answer)
    if isinstance(node.following, Request):
        return world.with_client(number, client._replace(node=node))
    if isinstance(node.operation, Promote | Follow):
        return _done(world, number, node.operation, node.following)
    if isinstance(node.operation, CancelEvent) and not node.following.error:
        world = world._replace(cancelled=True)
    may_change = node.operation.user is not None or isinstance(node.operation, Patch)
    if may_change and node.following.error and not isinstance(node.following.error, TryAgain):
        world = world._replace(made=world.made.nothing_by(node.operation.name))
    if isinstance(node.operation, Cancel) and node.following.value:
        world.made.check_reduced(node.operation.name, node.following.value)
    if isinstance(node.following.value, Standing):
        world.made.check_created(node.operation.name, node.following.value)
    if isinstance(node.operation, GiveAway) and node.following.value:
        world.made.check_given(node.operation.name, node.operation.booking)
    if isinstance(node.following.value, CheckIn):
        world.made.check_first(node.operation.name, node.following.value)
    wanted = {one.node.operation.wanted for one in world.clients if one and isinstance(one.node.operation, Patch)}
    asked = Asked(node.operation, client.since, client.refusals, has_rivals=len(wanted) > 1)
    check_answer(asked, node.following, world.tables, faults=world.is_faulty)
    waiting = in_list(world.tables)
    told = waiting & set(told_to_wait(node.following))
    return world.with_client(number, client._replace(node=node))._replace(told=world.told | told)


def died(world: World, number: int) -> World:
    """End a client without a word. A user asks again; to who works by records the same come again."""
    client = world.clients[number]
    assert client is not None
    operation = client.node.operation
    if isinstance(operation, Promote | Follow):
        place = number - world.first_promoter
        return world.with_client(number, None).with_records(number, (*operation.parts, *world.queues[place]))
    again = Client(Node.of(operation.repeated())) if operation.is_asked_again else None
    return world.with_client(number, again)


def _done(world: World, number: int, operation: Promote | Follow, result: Result) -> World:
    if result.error or (result.value and not world.is_faulty):
        promise = "O3" if isinstance(operation, Follow) else "P6"
        raise Violation(f"{promise}: {operation.name} gave up: {', '.join(result.failures)}")
    failed = tuple(operation.parts[int(sequence_number)] for sequence_number in result.value)
    place = number - world.first_promoter
    return world.with_client(number, None).with_records(number, (*failed, *world.queues[place]))


def _streamed(world: World, change: Change, filters: Filters) -> World:
    """Put the record of a change into the queue of its lane, note or event, if it passes its stream's filter."""
    old, new = change
    assert new is not None, "no booking, event or note is ever deleted"
    record = {"dynamodb": {"NewImage": new, **({"OldImage": old} if old else {})}}
    is_in_bookings = "laneId" in new  # a booking or a note
    if not world.queues or not patterns.matches(filters.bookings if is_in_bookings else filters.events, record):
        return world
    part = new["laneId"]["S"] if is_in_bookings else new["eventId"]["S"]
    background = len(world.queues) - 1
    if not is_in_bookings:
        place = background
    elif items.is_note(new):
        place = 0
    else:
        place = int(part.rpartition("#")[2]) % background
    return world.with_records(world.first_promoter + place, (*world.queues[place], part))


def _noted(world: World) -> World:
    """Note for each request that is under way which refusals are true now."""
    clients = []
    for client in world.clients:
        if client and client.node.is_begun and isinstance(client.node.following, Request):
            true_now = true_refusals(client.node.operation, world.tables)
            client = client._replace(refusals=client.refusals | true_now)  # noqa: PLW2901  # the same one, later
        clients.append(client)
    return world._replace(clients=tuple(clients))
