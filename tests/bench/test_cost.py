"""The cost of requests: the engine counts units as AWS documents them, and the figures are those of a run.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from collections.abc import Iterator
from typing import Any

import pytest

from bench import around, cost, record

TABLE = "CapacityProbe"
KB = 1024
LOG_BYTES_APART = 60  # a run logs whether an environment is new, and how long a promotion took


@pytest.fixture
def own_engine() -> Iterator[Any]:
    """Yield a client of an engine that no other test has written to; the office uses it, too."""
    with around.office_on() as client:
        yield client


@pytest.fixture
def probe(own_engine: Any) -> Any:
    """Return the client of an engine with a table that has a sparse index of keys, as Events has."""
    key = {"AttributeName": "id", "KeyType": "HASH"}
    own_engine.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "place", "soldOutAt")],
        KeySchema=[key, {"AttributeName": "place", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "soldOut",
                "KeySchema": [key, {"AttributeName": "soldOutAt", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    return own_engine


def _item(place: str, size: int) -> dict[str, Any]:
    """Return an item of so many bytes: names and values."""
    return {"id": {"S": "x"}, "place": {"S": place}, "filler": {"S": "-" * (size - len(f"idxplace{place}filler"))}}


def _units(answer: dict[str, Any]) -> float:
    consumed = answer["ConsumedCapacity"]
    return sum(float(one["CapacityUnits"]) for one in (consumed if isinstance(consumed, list) else [consumed]))


@pytest.mark.parametrize(("size", "units"), [(100, 1), (KB, 1), (KB + 1, 2), (3 * KB, 3)])
def test_a_write_costs_a_unit_for_each_begun_kb_and_twice_that_in_a_transaction(
    probe: Any, size: int, units: int
) -> None:
    """The larger of the item before and after counts, not the size of the change."""
    alone: dict[str, Any] = {"TableName": TABLE, "ReturnConsumedCapacity": "TOTAL"}
    item, key = _item("a", size), {"id": {"S": "x"}, "place": {"S": "a"}}
    change = {"UpdateExpression": "ADD changes :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    assert _units(probe.put_item(**alone, Item=item)) == units
    assert _units(probe.put_item(**alone, Item=_item("a", 100))) == units  # what it replaces
    probe.put_item(**alone, Item=_item("a", size - 9))  # changes and its number are 9 bytes
    assert _units(probe.update_item(**alone, Key=key, **change)) == units
    together = [
        {"Update": {"TableName": TABLE, "Key": key, **change}},
        {"Put": {"TableName": TABLE, "Item": _item("b", size)}},
    ]
    answer = probe.transact_write_items(TransactItems=together, ReturnConsumedCapacity="TOTAL")
    assert _units(answer) == 2 * (units + units)
    assert _units(probe.delete_item(**alone, Key={"id": {"S": "x"}, "place": {"S": "b"}})) == units


@pytest.mark.parametrize(("size", "units"), [(100, 1), (4 * KB, 1), (4 * KB + 1, 2)])
def test_a_read_costs_a_unit_for_each_begun_4_kb_and_half_if_it_may_be_stale(probe: Any, size: int, units: int) -> None:
    """Each item of a batch is rounded separately; a missing item costs as much as a small one."""
    probe.put_item(TableName=TABLE, Item=_item("a", size))
    probe.put_item(TableName=TABLE, Item=_item("b", size))
    keys = [{"id": {"S": "x"}, "place": {"S": place}} for place in ("a", "b", "absent")]
    for consistent, share in ((True, 1.0), (False, 0.5)):
        asked = {"TableName": TABLE, "ConsistentRead": consistent, "ReturnConsumedCapacity": "TOTAL"}
        assert _units(probe.get_item(**asked, Key=keys[0])) == units * share
        assert _units(probe.get_item(**asked, Key=keys[2])) == share
        batch = {TABLE: {"Keys": keys, "ConsistentRead": consistent}}
        answer = probe.batch_get_item(RequestItems=batch, ReturnConsumedCapacity="TOTAL")
        assert _units(answer) == (2 * units + 1) * share


def test_a_query_costs_the_sum_of_its_items(probe: Any) -> None:
    """Ten items of 400 bytes are one unit, eleven are two, and no item is one."""
    for n in range(11):
        probe.put_item(TableName=TABLE, Item=_item(f"{n:02}", 400))
    for expected, limit in ((1, 10), (2, 11)):
        asked = {"TableName": TABLE, "ConsistentRead": True, "ReturnConsumedCapacity": "TOTAL", "Limit": limit}
        condition = {"KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": {"S": "x"}}}
        assert _units(probe.query(**asked, **condition)) == expected
        nobody = condition | {"ExpressionAttributeValues": {":id": {"S": "nobody"}}}
        assert _units(probe.query(**asked, **nobody)) == 1


def test_a_key_of_the_index_is_a_write_of_its_own(probe: Any) -> None:
    """It costs a unit when an event sells out, and nothing otherwise or later."""
    alone: dict[str, Any] = {
        "TableName": TABLE,
        "ReturnConsumedCapacity": "TOTAL",
        "Key": {"id": {"S": "x"}, "place": {"S": "a"}},
    }
    for change, units in (("name = :x", 1), ("soldOutAt = :x", 2), ("name = :x", 1)):
        expression = {
            "UpdateExpression": f"SET #{change}",
            "ExpressionAttributeNames": {f"#{change[:-5]}": change[:-5]},
        }
        assert _units(probe.update_item(**alone, **expression, ExpressionAttributeValues={":x": {"S": "y"}})) == units


def test_the_figures_are_those_of_a_run(own_engine: Any) -> None:
    """bench/results/cost.json has the present cost of the requests. If not: python -m bench.cost, then bench.report."""
    measured, recorded = cost.measure(own_engine), record.read("cost")
    logged = [[row.pop("logBytes") for row in one["office"] + one["oneCounter"]] for one in (measured, recorded)]
    assert measured == recorded
    assert logged[0] == pytest.approx(logged[1], abs=LOG_BYTES_APART)


def test_the_price_is_that_of_units_requests_and_invocations() -> None:
    """By hand, for two rows: 5 write units; 8 write units and 1 read unit."""
    rows = {row["request"]: row for row in record.read("cost")["office"]}
    assert rows["book, on sale"]["totalUsd"] == pytest.approx(5 * 0.625 + 1.00 + 0.20)
    join = rows["book, sold out: join the waiting list"]
    assert join["unitsUsd"] == pytest.approx(8 * 0.625 + 0.125, abs=1e-4)


def test_but_for_the_index_a_booking_costs_as_much_as_with_one_counter() -> None:
    """Lanes cost only where all of them are read; the index by user takes one unit per booking."""
    result = record.read("cost")
    ours, theirs = ({row["request"]: row["totalUsd"] for row in result[design]} for design in ("office", "oneCounter"))
    assert ours["book, on sale"] <= theirs["book, on sale"] + cost.WRITE_UNITS_USD
    for request in ("cancel, sold out", "cancel, waiting"):
        assert ours[request] <= theirs[request]
    assert ours["book, sold out: join the waiting list"] <= theirs["book, sold out: join the queue"]
    section = cost.section(result)
    assert all(f"| {request} |" in section for request in [*ours, *theirs])
