"""The simulated DynamoDB: requests that meet each other, and what they cost."""

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from bench.scale.capacity import Throughput, hash_of
from bench.scale.clock import Clock
from bench.scale.database import Database, Latency
from bench.scale.store import KEYS
from shared.store import items
from shared.store.aws_client import RequestFailed

LANE = items.lane_key("e", 0)
OTHER = items.lane_key("e", 1)


class Trial:
    """A database, and what each of several requests got and when."""

    def __init__(self, throughput: Mapping[str, Throughput] | None = None, **settings: Any) -> None:
        """Begin with two lanes."""
        self.clock = Clock()
        self.tables = {table: Throughput() for table in KEYS} | dict(throughput or {})
        self.database = Database(self.clock, Random(1), self.tables, Latency(), **settings)
        self.got: dict[str, tuple[float, Any]] = {}

    def send(self, name: str, operation: str, request: Mapping[str, Any], at_s: float = 0.0) -> None:
        """Send a request at a moment."""

        def task() -> None:
            try:
                answer: Any = self.database.call(operation, request)
            except RequestFailed as error:
                answer = error
            self.got[name] = (self.clock.now_s, answer)

        self.clock.start(task, at_s)

    def refusals(self, name: str) -> list[str]:
        """Return the reasons of a cancelled transaction."""
        error = self.got[name][1]
        assert isinstance(error, RequestFailed)
        return [reason["Code"] for reason in error.reasons]


def update(key: Any, more: str = "") -> dict[str, Any]:
    """Return an UpdateItem that adds 1, or the body of an Update."""
    condition = {"ConditionExpression": more} if more else {}
    values = {":one": items.number(1), **({":none": items.number(0)} if ":none" in more else {})}
    return {
        "TableName": items.LANES,
        "Key": key,
        "UpdateExpression": "ADD changes :one",
        "ExpressionAttributeValues": values,
        **condition,
    }


def transaction(*keys: Any) -> dict[str, Any]:
    """Return a TransactWriteItems that adds 1 to each."""
    return {"TransactItems": [{"Update": update(key)} for key in keys]}


def test_two_transactions_on_one_item_at_once_are_one() -> None:
    """TransactionConflict, on the item where they meet, and the other item is as it was."""
    trial = Trial()
    trial.send("first", "TransactWriteItems", transaction(LANE))
    trial.send("second", "TransactWriteItems", transaction(OTHER, LANE), at_s=0.003)
    trial.clock.run()
    assert trial.got["first"][1] == {}
    assert trial.refusals("second") == ["None", "TransactionConflict"]
    assert [item["changes"]["N"] for item in trial.database.store.all_of(items.LANES)] == ["1"]


def test_transactions_one_after_the_other_both_happen() -> None:
    """The control of the test above."""
    trial = Trial()
    trial.send("first", "TransactWriteItems", transaction(LANE))
    trial.send("second", "TransactWriteItems", transaction(LANE), at_s=1)
    trial.clock.run()
    assert [item["changes"]["N"] for item in trial.database.store.all_of(items.LANES)] == ["2"]


def test_without_conflicts_one_of_two_at_once_is_lost() -> None:
    """What a conflict is for: both would write what they made of the same item."""
    trial = Trial(conflicts=False)
    trial.send("first", "TransactWriteItems", transaction(LANE))
    trial.send("second", "TransactWriteItems", transaction(LANE), at_s=0.003)
    trial.clock.run()
    assert [item["changes"]["N"] for item in trial.database.store.all_of(items.LANES)] == ["1"]


def test_an_update_that_meets_a_transaction_is_refused() -> None:
    """TransactionConflictException; before and after it is let in."""
    trial = Trial()
    trial.send("transaction", "TransactWriteItems", transaction(LANE), at_s=0.02)
    for name, at_s in (("before", 0.0), ("meanwhile", 0.0215), ("after", 0.5)):
        trial.send(name, "UpdateItem", update(LANE), at_s=at_s)
    trial.clock.run()
    error = trial.got["meanwhile"][1]
    assert isinstance(error, RequestFailed)
    assert (error.status, error.code) == (400, "TransactionConflictException")
    assert trial.got["before"][1] == trial.got["after"][1] == {}


def test_a_refused_transaction_holds_the_items_that_had_accepted_it() -> None:
    """Until it is told: others meet it there, although it never happens."""
    trial = Trial()
    refused = {"TransactItems": [{"Update": update(LANE)}, {"Update": update(OTHER, "changes > :none")}]}
    trial.send("refused", "TransactWriteItems", refused)
    trial.send("second", "TransactWriteItems", transaction(LANE), at_s=0.002)
    trial.clock.run()
    assert trial.refusals("refused") == ["None", "ConditionalCheckFailed"]
    assert trial.refusals("second") == ["TransactionConflict"]


def test_readers_meet_no_transaction() -> None:
    """Each is answered: with what was before, or with what is after."""
    trial = Trial()
    trial.send("transaction", "TransactWriteItems", transaction(LANE))
    for n in range(20):
        request = {"TableName": items.LANES, "Key": LANE, "ConsistentRead": True}
        trial.send(f"read {n}", "GetItem", request, at_s=n / 1_000)
    trial.clock.run()
    answers = [trial.got[f"read {n}"][1] for n in range(20)]
    after = {"Item": {**LANE, "changes": items.number(1)}}
    assert all(answer in ({}, after) for answer in answers)
    assert (answers[0], answers[-1]) == ({}, after)


def test_transactions_cost_twice() -> None:
    """Two write units for each item; one for a plain update; a kilobyte more is one more, or two."""
    trial = Trial()
    trial.send("two", "TransactWriteItems", transaction(LANE, OTHER))
    trial.clock.run()
    assert trial.database.units == {f"{items.LANES} writes": 4}
    trial.send("one", "UpdateItem", update(LANE))
    trial.clock.run()
    assert trial.database.units == {f"{items.LANES} writes": 5}
    large = {"TableName": items.LANES, "Item": {**OTHER, "name": items.text("x" * 1_500)}}
    trial.send("large", "TransactWriteItems", {"TransactItems": [{"Put": large}]})
    trial.clock.run()
    assert trial.database.units == {f"{items.LANES} writes": 9}


def test_a_query_costs_what_it_reads() -> None:
    """A unit for each 4 KB of the page, counted only or not; that of a list's head is a small page."""
    trial = Trial()
    entries = [
        {
            "stripeId": items.text("e#0"),
            "sequence": items.number(n),
            "userId": items.text("u" * 100),
            "bookingId": items.text("b" * 36),
        }
        for n in range(1, 201)
    ]
    for n, entry in enumerate(entries):
        put = {"TransactItems": [{"Put": {"TableName": items.WAITING_LIST, "Item": entry}}]}
        trial.send("put", "TransactWriteItems", put, at_s=n / 100)
    trial.clock.run()
    for limit, units in ((1, 1), (200, 9)):
        trial.database.units.clear()
        page = {
            "TableName": items.WAITING_LIST,
            "KeyConditionExpression": "stripeId = :stripe",
            "ExpressionAttributeValues": {":stripe": items.text("e#0")},
            "Select": "COUNT",
            "Limit": limit,
            "ConsistentRead": True,
        }
        trial.send("page", "Query", page)
        trial.clock.run()
        assert trial.got["page"][1]["Count"] == limit
        assert trial.database.units == {f"{items.WAITING_LIST} reads": units}


KEY = {"TableName": items.LANES, "Key": LANE, "ConsistentRead": True}
HEAD = {
    "TableName": items.WAITING_LIST,
    "KeyConditionExpression": "stripeId = :stripe",
    "ExpressionAttributeValues": {":stripe": items.text("e#0")},
    "ConsistentRead": True,
}
BATCH = {"RequestItems": {items.LANES: {"Keys": [LANE], "ConsistentRead": True}}}


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("TransactWriteItems", transaction(LANE), "TransactionCanceledException"),
        ("UpdateItem", update(LANE), "ThrottlingException"),
        ("GetItem", KEY, "ThrottlingException"),
        ("Query", HEAD, "ThrottlingException"),
        ("BatchGetItem", BATCH, "ThrottlingException"),
    ],
)
def test_what_is_beyond_the_limit_is_throttled(operation: str, request_: dict[str, Any], code: str) -> None:
    """In DynamoDB's words, and without effect; with a little left it is let in."""
    trial = Trial()
    trial.send("let in", operation, request_)
    trial.clock.run()
    assert not isinstance(trial.got["let in"][1], RequestFailed)
    before = list(trial.database.store.all_of(items.LANES))
    for table in trial.tables.values():
        for partition in table.partitions:
            partition.writes.take(5_000)
            partition.reads.take(15_000)
    trial.send("throttled", operation, request_)
    trial.clock.run()
    error = trial.got["throttled"][1]
    assert isinstance(error, RequestFailed)
    assert (error.status, error.code) == (400, code)
    assert [reason["Code"] for reason in error.reasons] in ([], ["ThrottlingError"])
    assert list(trial.database.store.all_of(items.LANES)) == before


def test_a_batch_returns_what_was_throttled_of_it() -> None:
    """As UnprocessedKeys, with the rest answered."""
    here, there = (items.event_key(name) for name in ("a", "e"))
    trial = Trial()
    events = trial.tables[items.EVENTS]
    trial.send("put", "TransactWriteItems", {"TransactItems": [{"Put": {"TableName": items.EVENTS, "Item": here}}]})
    trial.clock.run()
    hot = events.partitions[events.shard_of(hash_of("e"))]
    assert hot is not events.partitions[events.shard_of(hash_of("a"))]
    hot.reads.take(15_000)
    wanted = {"Keys": [here, there], "ConsistentRead": True}
    trial.send("batch", "BatchGetItem", {"RequestItems": {items.EVENTS: wanted}})
    trial.clock.run()
    assert trial.got["batch"][1] == {
        "Responses": {items.EVENTS: [here]},
        "UnprocessedKeys": {items.EVENTS: {"Keys": [there], "ConsistentRead": True}},
    }
