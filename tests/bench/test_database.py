"""The simulated DynamoDB: requests that meet each other, and what they cost."""

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from bench.scale.capacity import Throughput
from bench.scale.clock import Clock
from bench.scale.database import Database
from proof.requests import KEYS
from shared.store import items
from shared.store.aws_client import RequestFailed

LANE, OTHER = items.lane_key("e", 0), items.lane_key("e", 1)
WRITES, READS = f"{items.LANES} writes", f"{items.WAITING_LIST} reads"


class Trial:
    """A database, and the response to each of several requests."""

    def __init__(self, **settings: Any) -> None:
        """Begin with empty tables, as new."""
        self.clock = Clock()
        self.tables = {table: Throughput() for table in KEYS}
        self.database = Database(self.clock, Random(1), self.tables, **settings)
        self.got: dict[str, Any] = {}

    def send(self, name: str, operation: str, request: Mapping[str, Any], at_s: float = 0.0) -> None:
        """Send a request at a moment."""

        def task() -> None:
            try:
                self.got[name] = self.database.call(operation, request)
            except RequestFailed as error:
                self.got[name] = [error.status, error.code, *(reason["Code"] for reason in error.reasons)]

        self.clock.start(task, at_s)

    def ask(self, operation: str, request: Mapping[str, Any]) -> Any:
        """Send a request when all others are done; return what it got."""
        self.send("alone", operation, request)
        self.clock.run()
        return self.got["alone"]

    def changes(self) -> list[str]:
        """Return how often each lane was changed."""
        self.clock.run()
        return [item["changes"]["N"] for item in self.database.store.of(items.LANES)]


def update(key: Any) -> dict[str, Any]:
    """Return an UpdateItem that adds 1, or the body of an Update."""
    values = {":one": items.number(1)}
    change = {"UpdateExpression": "ADD changes :one", "ExpressionAttributeValues": values}
    return {"TableName": items.LANES, "Key": key, **change}


def transaction(*keys: Any) -> dict[str, Any]:
    """Return a TransactWriteItems that adds 1 to each."""
    return {"TransactItems": [{"Update": update(key)} for key in keys]}


def put(table: str, item: Any) -> dict[str, Any]:
    """Return a TransactWriteItems that puts an item."""
    return {"TransactItems": [{"Put": {"TableName": table, "Item": item}}]}


def page(**limits: Any) -> dict[str, Any]:
    """Return a Query of a stripe of the waiting list."""
    values = {":stripe": items.text("e#0")}
    condition = {"KeyConditionExpression": "stripeId = :stripe", "ExpressionAttributeValues": values}
    return {"TableName": items.WAITING_LIST, "ConsistentRead": True, **condition, **limits}


def test_of_two_concurrent_transactions_on_one_item_one_succeeds() -> None:
    """TransactionConflict on the item where they meet; the other item stays as it was."""
    trial = Trial()
    trial.send("first", "TransactWriteItems", transaction(LANE))
    trial.send("second", "TransactWriteItems", transaction(OTHER, LANE), at_s=0.003)
    assert trial.changes() == ["1"]
    assert trial.got == {
        "first": {},
        "second": [400, "TransactionCanceledException", "None", "TransactionConflict"],
    }


def test_an_update_that_meets_a_transaction_is_refused() -> None:
    """TransactionConflictException; before and after the transaction it happens."""
    trial = Trial()
    trial.send("transaction", "TransactWriteItems", transaction(LANE), at_s=0.02)
    for name, at_s in (("before", 0.0), ("meanwhile", 0.0215), ("after", 0.5)):
        trial.send(name, "UpdateItem", update(LANE), at_s=at_s)
    assert trial.changes() == ["3"]
    assert trial.got["meanwhile"] == [400, "TransactionConflictException"]


def test_a_refused_transaction_holds_the_items_that_had_accepted_it() -> None:
    """Until its response, others conflict with it, although it has no effect."""
    trial = Trial()
    refused = transaction(LANE, OTHER)
    refused["TransactItems"][1]["Update"]["ConditionExpression"] = "changes > :one"
    trial.send("refused", "TransactWriteItems", refused)
    trial.send("second", "TransactWriteItems", transaction(LANE), at_s=0.002)
    assert trial.changes() == []
    assert trial.got["refused"][2:] == ["None", "ConditionalCheckFailed"]
    assert trial.got["second"][2:] == ["TransactionConflict"]


def test_transactions_cost_twice() -> None:
    """Two write units for each item, one for a plain update; a kilobyte more is one more, or two."""
    trial = Trial()
    trial.ask("TransactWriteItems", transaction(LANE, OTHER))
    assert trial.database.units == {WRITES: 4}
    trial.ask("UpdateItem", update(LANE))
    assert trial.database.units == {WRITES: 4 + 1}
    trial.ask("TransactWriteItems", put(items.LANES, {**OTHER, "name": items.text("x" * 1_500)}))
    assert trial.database.units == {WRITES: 4 + 1 + 4}


def test_a_query_costs_what_it_reads() -> None:
    """A unit for each 4 KB of the page, even if it is only counted."""
    trial = Trial()
    for n in range(1, 201):
        entry = {"stripeId": items.text("e#0"), "sequence": items.number(n), "userId": items.text("u" * 152)}
        trial.send("put", "TransactWriteItems", put(items.WAITING_LIST, entry), at_s=n / 100)
    trial.clock.run()
    for limit, units in ((1, 1), (200, 9)):
        trial.database.units.clear()
        assert trial.ask("Query", page(Select="COUNT", Limit=limit))["Count"] == limit
        assert trial.database.units == {READS: units}


@pytest.mark.parametrize(
    ("operation", "request_", "refusal"),
    [
        ("TransactWriteItems", transaction(LANE), ["TransactionCanceledException", "ThrottlingError"]),
        ("UpdateItem", update(LANE), ["ThrottlingException"]),
        ("GetItem", {"TableName": items.LANES, "Key": LANE, "ConsistentRead": True}, ["ThrottlingException"]),
        ("Query", page(), ["ThrottlingException"]),
        (
            "BatchGetItem",
            {"RequestItems": {items.LANES: {"Keys": [LANE], "ConsistentRead": True}}},
            ["ThrottlingException"],
        ),
    ],
)
def test_a_request_above_the_limit_is_throttled(operation: str, request_: dict[str, Any], refusal: list[str]) -> None:
    """In DynamoDB's words, and without effect; while there are units left it is answered."""
    trial = Trial()
    assert isinstance(trial.ask(operation, request_), dict)
    before = trial.changes()
    for table in trial.tables.values():
        for partition in table.partitions:
            partition["writes"].take(5_000)
            partition["reads"].take(15_000)
    assert trial.ask(operation, request_) == [400, *refusal]
    assert trial.changes() == before


def test_a_batch_returns_the_keys_that_were_throttled() -> None:
    """As UnprocessedKeys; the others are answered."""
    here, there = (items.event_key(name) for name in ("a", "e"))
    trial = Trial()
    events = trial.tables[items.EVENTS]
    trial.ask("TransactWriteItems", put(items.EVENTS, here))
    hot, cold = (events.partitions[events.shard_of((items.EVENTS, (name,)))] for name in ("e", "a"))
    assert hot is not cold
    hot["reads"].take(15_000)
    wanted = {"Keys": [here, there], "ConsistentRead": True}
    assert trial.ask("BatchGetItem", {"RequestItems": {items.EVENTS: wanted}}) == {
        "Responses": {items.EVENTS: [here]},
        "UnprocessedKeys": {items.EVENTS: {"Keys": [there], "ConsistentRead": True}},
    }
