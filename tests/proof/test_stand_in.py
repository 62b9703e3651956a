"""The stand-in of DynamoDB is held against the real engine: same answers, same tables, same stream records."""

import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proof import hold_scenarios as holds
from proof import scenarios as basic
from proof.conditions import name_of
from proof.explore import Scenario, start
from proof.hold_scenarios import confirms
from proof.lambdas import Node, Request, simulated
from proof.operations import EVENT, CancelEvent, Expire, Open, Operation, Sweep
from proof.scenarios import LATER, books, cancels, changes, on_lane
from proof.stand_in import TRANSACT, UPDATE, Change, Effect, Tables, apply
from proof.steps import Ground, Step, steps
from proof.world import Client, World
from shared.model import NO_HOLDS, Rules
from shared.store import dynamodb, items
from shared.store.aws_client import RequestFailed

Outcome = tuple[str, ...]  # a transaction's name, and what each of its items said

_TABLES = (items.EVENTS, items.LANES, items.BOOKINGS, items.WAITING_LIST)
_WALKED = (
    basic.RELEASE_AND_JOIN, basic.SWEEP_AND_LEAVES, basic.LATE_JOINER, basic.ADVANCED, basic.LIMITED,
    basic.LOWERED_AND_PUT_BACK, basic.PROLONGED, basic.RAISED_ON_LANES, basic.CANCEL_EVENT_AND_JOIN,
    basic.CANCEL_EVENT_AND_RELEASE, holds.CONFIRMED_TWICE, holds.CONFIRMED_CANCELLED_OR_EXPIRED, holds.EXPIRED_TO_NEXT,
    holds.EXPIRED_AND_HELD_AGAIN, holds.EXPIRED_ON_LANES, holds.OFFER_EXPIRES, holds.CANCEL_EVENT_AND_CONFIRM,
)  # fmt: skip
_ANN, _BEN = on_lane("ann", 0, 2), on_lane("ben", 1, 2)
_HEIRS_LEAVE = Scenario(
    "Tickets of two lanes are released while both heirs leave",
    (cancels("bob"), cancels("cat")),
    before=(books(_ANN), books(_BEN), books("bob"), books("cat")),
    begun=((cancels(_ANN), ""), (cancels(_BEN), "")),
    tickets=2,
    lanes=2,
)
_PROMOTED_BY_TWO = replace(  # by the sweep as well
    _HEIRS_LEAVE, begun=(*_HEIRS_LEAVE.begun, (Sweep(), "Update Bookings")), meanwhile=(cancels("bob"),)
)
_LANES_MAX = _STRIPES_MAX = 2
_STATES_MAX = 2_000  # of a scenario, when looking for outcomes

# All there can be: an outcome more, and this must be told; one less, and some scenario no longer shows it.
# Each item of a transaction is written (+), or its condition does not hold (-).
_OK, _NO = "None", "ConditionalCheckFailed"
_SHOWN = {
    "open": "+++ -++",
    "take": "++ -+ +- --",
    "join": "+++ -++ ++-",  # the last of a cancelled event, whose lanes refuse
    # One, or two with tickets of two lanes.
    "promote": "+++ ++- -++ -+- ++++++ -+++++ ++-+++ -+-+++ -+-+-+ -+-++- -+-+--",
    "close": "+",
    "back on sale": "++ -+ +- +++",
    "take in line": "++ -+",
    "confirm": "+ -",
    "expire": "++ -+ +++ -++ --+ -+++",  # several at once
    "release": "++ -+",
    "leave": "+++ -++ ++++ -+++ ++++++",  # of a cancelled event, several at once
    "step": "++ -+ +-",
    "rest": "+ -",
    "window": "+ -",
    "change event": "+ - ++ -+",  # with the limit of the waiting list, which stands on its tail, too
}
_OUTCOMES = {
    (name, *(_OK if item == "+" else _NO for item in outcome))
    for name, shown in _SHOWN.items()
    for outcome in shown.split()
}


class Engine:
    """The real engine, and what it does with the requests of a walk."""

    def __init__(self) -> None:
        """Connect."""
        self._office = dynamodb.client()  # the real one, as no search goes on here
        self.client: Any = boto3.client("dynamodb")
        self._streams: Any = boto3.client(
            "dynamodbstreams",
            endpoint_url=self.client.meta.endpoint_url,
            config=Config(parameter_validation=False),  # the engine's ids are shorter than the SDK wants
        )

    def clear(self) -> None:
        """Take out what an earlier walk left of the event."""
        for key, table in [(items.event_key(EVENT), items.EVENTS)] + [
            (items.lane_key(EVENT, lane), items.LANES) for lane in range(_LANES_MAX)
        ]:
            self.client.delete_item(TableName=table, Key=key)
        for item in self._waiting_list():
            key = {"stripeId": item["stripeId"], "sequence": item["sequence"]}
            self.client.delete_item(TableName=items.WAITING_LIST, Key=key)
        for item in self._bookings():
            key = {"laneId": item["laneId"], "userId": item["userId"]}
            self.client.delete_item(TableName=items.BOOKINGS, Key=key)

    def clear_holds(self) -> None:
        """Take out every event's holds."""
        for page in self.client.get_paginator("scan").paginate(
            TableName=items.BOOKINGS, IndexName=items.HOLDS_BY_EXPIRY_INDEX
        ):
            for item in page["Items"]:
                key = {"laneId": item["laneId"], "userId": item["userId"]}
                self.client.delete_item(TableName=items.BOOKINGS, Key=key)

    def put(self, tables: Tables) -> None:
        """Put a moment's tables in."""
        for (table, _), item in tables.items.items():
            self.client.put_item(TableName=table, Item=item)

    def answer(self, request: Request) -> tuple[Any, Any]:
        """Send a request; return its answer, or the code and the reasons of its refusal."""
        try:
            return self._office.call(request.operation, request.parameters), None
        except RequestFailed as error:
            return None, (error.code, _plain_reasons(error))

    def tables(self) -> dict[str, list[Any]]:
        """Read what is there of the event."""
        lanes = [items.lane_id(EVENT, lane) for lane in range(_LANES_MAX)]
        return {
            items.EVENTS: self._query(items.EVENTS, "eventId", EVENT),
            items.LANES: [item for lane in lanes for item in self._query(items.LANES, "laneId", lane)],
            items.BOOKINGS: self._bookings(),
            items.WAITING_LIST: self._waiting_list(),
        }

    def stream_from_now(self) -> Iterator[Any]:
        """Return what will read the records that come from now on: each as what was, and what is."""
        [stream] = self._streams.list_streams(TableName=items.BOOKINGS)["Streams"]
        shards = self._streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]["Shards"]
        positions = [
            self._streams.get_shard_iterator(
                StreamArn=stream["StreamArn"], ShardId=shard["ShardId"], ShardIteratorType="LATEST"
            )["ShardIterator"]
            for shard in shards
        ]
        return self._records(positions)

    def _records(self, positions: Sequence[str]) -> Iterator[Any]:
        for position in positions:
            for record in self._streams.get_records(ShardIterator=position)["Records"]:
                yield record["dynamodb"].get("OldImage"), record["dynamodb"].get("NewImage")

    def _bookings(self) -> list[Any]:
        """Read the bookings, and the note."""
        parts = [items.lane_id(EVENT, lane) for lane in range(_LANES_MAX)] + [f"{EVENT}#note"]
        return [item for part in parts for item in self._query(items.BOOKINGS, "laneId", part)]

    def _waiting_list(self) -> list[Any]:
        stripes = [items.stripe_id(EVENT, stripe) for stripe in range(_STRIPES_MAX)] + [f"{EVENT}#tail"]
        return [item for stripe in stripes for item in self._query(items.WAITING_LIST, "stripeId", stripe)]

    def _query(self, table: str, key: str, value: str) -> list[Any]:
        condition = {"KeyConditionExpression": f"{key} = :value", "ExpressionAttributeValues": {":value": {"S": value}}}
        found: list[Any] = self.client.query(TableName=table, ConsistentRead=True, **condition)["Items"]
        return found


@pytest.fixture(scope="module")
def engine() -> Engine:
    """Return the engine of the tests, without the holds that other tests left: a page of due ones shows all events'."""
    engine = Engine()
    engine.clear_holds()
    return engine


def test_every_transaction_has_each_of_its_outcomes_on_both(engine: Engine) -> None:
    """All outcomes that the scenarios reach, each from the moment in which it comes about."""
    found: dict[Outcome, tuple[World, Request]] = {}
    with simulated():
        opening = World(Tables(), clients=(Client(Node.of(Open(tickets=1))),))
        found["open", _OK, _OK, _OK] = opening, next(step.request for step in steps(opening, Ground()) if step.request)
        for scenario in (
            basic.LEFT_AND_BOOKS_TWICE, basic.BOOKS_TWICE, basic.CANCELS_TWICE, basic.COMES_BACK, basic.CROWDED_LANES,
            basic.HEIR_COMES_BACK, basic.HEIR_LEAVES, basic.LATE_JOINER, basic.OPENED_TWICE, basic.RELEASE_AND_JOIN,
            basic.CLOSED_AND_JOINED, basic.LOWERED_AND_BOOKED, basic.RENAMED_TWICE, basic.CANCEL_EVENT_AND_JOIN,
            basic.CANCEL_EVENT_AND_PROMOTE, basic.CANCEL_EVENT_AND_RELEASE, basic.CANCEL_EVENT_SOLD_OUT,
            basic.CANCEL_EVENT_AND_LIMIT, basic.LOWERED_AND_PUT_BACK, basic.RAISED_TWICE_HALF, basic.WINDOW_TWICE,
            holds.HELD_LAST_TICKET, holds.CONFIRMED_TWICE, holds.EXPIRED_TWICE, holds.OFFERED, holds.OFFER_EXPIRES,
            _HEIRS_LEAVE, _PROMOTED_BY_TWO, basic.REST_AND_RELEASE, basic.SWEEP_AND_LEAVES,
        ):  # fmt: skip
            for world, step in _moments(scenario):
                if step.request and _is_conditional(step.request):
                    found.setdefault(_outcome(world, step.request), (world, step.request))
    assert found.keys() == _OUTCOMES
    for world, request in found.values():
        engine.clear()
        engine.put(world.tables)
        _same(engine, world.tables, request)


@pytest.mark.parametrize("scenario", _WALKED, ids=lambda one: one.name)
@pytest.mark.parametrize("seed", range(3))
def test_walks_through_scenarios_are_the_same_on_both(engine: Engine, scenario: Scenario, seed: int) -> None:
    """One schedule, from its first request to its last."""
    _walk(engine, scenario, random.Random(seed))  # a choice of schedules


_USERS = ("ann", "bob", "cat")
_CHANGES = (
    *(changes(total_tickets=total) for total in (1, 2, 4)),
    *(changes(opens_at=moment) for moment in (None, LATER)),
    changes(name="Another", closes_at=LATER, waiting_list_limit=1),
)
_CONFIRMS = [confirms(user, f"{user} {number}") for user in _USERS for number in range(3)]  # as operations are tagged
_OPERATIONS = st.sampled_from(
    [*map(books, _USERS), *map(cancels, _USERS), *_CONFIRMS, *_CHANGES, holds.EXPIRES, Expire(), Sweep(), CancelEvent()]
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    wanted=st.lists(_OPERATIONS, min_size=1, max_size=6),
    tickets=st.integers(1, 3),
    parts=st.tuples(st.integers(1, _LANES_MAX), st.integers(1, _STRIPES_MAX)),
    rules=st.sampled_from([NO_HOLDS, holds.HOLDS, holds.OFFERS]),
    chance=st.randoms(use_true_random=False),
)
def test_any_history_is_the_same_on_both(  # noqa: PLR0917 - hypothesis names them
    engine: Engine, wanted: list[Operation], tickets: int, parts: tuple[int, int], rules: Rules, chance: random.Random
) -> None:
    """Whatever the protocol sends, in whatever order."""
    tagged = tuple(type(one)(**{**vars(one), "tag": f" {number}"}) for number, one in enumerate(wanted))
    lanes, stripes = min(parts[0], tickets), parts[1]
    scenario = Scenario("any history", tagged, tickets=tickets, lanes=lanes, stripes=stripes, rules=rules)
    _walk(engine, scenario, chance)


def _walk(engine: Engine, scenario: Scenario, chance: random.Random) -> None:
    """Go one way through a scenario with every request sent to both."""
    with simulated():
        world = start(scenario, Ground())
        engine.clear()
        engine.put(world.tables)
        records = engine.stream_from_now()
        changes: list[Change] = []
        while ways := list(steps(world, Ground())):
            step = chance.choice(ways)
            assert step.request
            effect = _same(engine, world.tables, step.request)
            changes += [*effect.changes, *effect.notes]
            world = step.world
    assert engine.tables() == {table: world.tables.of(table) for table in _TABLES}
    assert _by_key(records) == _by_key(changes)


def _same(engine: Engine, tables: Tables, request: Request) -> Effect:
    """Send a request to both, and compare the answers."""
    effect = apply(tables, request.operation, request.parameters)
    answer, refused = engine.answer(request)
    if effect.error:
        assert refused == (effect.error.code, _plain_reasons(effect.error))
    else:
        assert refused is None
        assert {name: answer[name] for name in effect.answer if name != "Items"} == {
            name: value for name, value in effect.answer.items() if name != "Items"
        }
        assert _of_the_event(answer.get("Items", [])) == _of_the_event(effect.answer.get("Items", []))
    return effect


def _of_the_event(found: list[Any]) -> list[Any]:
    """Leave out what other tests left: the sweep's indexes show all events, and lanes in no order."""
    own = [item for item in found if (item.get("sweepId") or item.get("eventId", {"S": EVENT}))["S"] == EVENT]
    return sorted(own, key=lambda item: str(item["laneId"])) if own and "closedAt" in own[0] else own


def _moments(scenario: Scenario) -> Iterator[tuple[World, Step]]:
    """Yield the ways to go on from each of a scenario's first states."""
    queue = deque([start(scenario, Ground())])
    seen = set(queue)
    while queue:
        world = queue.popleft()
        for step in steps(world, Ground()):
            yield world, step
            if step.world not in seen and len(seen) < _STATES_MAX:
                seen.add(step.world)
                queue.append(step.world)


def _outcome(world: World, request: Request) -> Outcome:
    named = name_of(request)
    assert named is not None
    error = apply(world.tables, request.operation, request.parameters).error
    codes = [reason[0] for reason in _plain_reasons(error)] if error else [_OK] * len(request.written)
    return (named[0], *(codes or [_NO]))  # an UpdateItem that is refused has no reasons


def _is_conditional(request: Request) -> bool:
    """Tell whether the request may be refused: a transaction, or an UpdateItem with a condition."""
    return request.operation == TRANSACT or (
        request.operation == UPDATE and "ConditionExpression" in request.parameters
    )


def _plain_reasons(error: RequestFailed) -> list[tuple[str, Any]]:
    return [(reason["Code"], reason.get("Item")) for reason in error.reasons]


def _by_key(changes: Any) -> dict[str, list[Any]]:
    """Order is kept for each booking, and for the note; between two of them there is none."""
    found: dict[str, list[Any]] = {}
    for old, new in changes:
        found.setdefault(new["userId"]["S"], []).append((old, new))
    return found
