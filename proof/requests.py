"""What each request of DynamoDB means, as far as shared/ uses it: no limits, no latency, no faults.

The proof and the simulation in bench/scale keep their items each in its own way, as `Rows`. What a request reads,
writes, refuses and answers is written here once. Keys and indexes are those of template.yaml. Items are in DynamoDB's
low-level form and are never changed, only replaced. Whatever shared/ does not use raises NotUnderstoodError.

tests/proof/test_stand_in.py and tests/bench/test_against_engine.py compare it with the real engine.
"""

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from local.template import load
from proof.expressions import CLAUSE, Item, Names, NotUnderstoodError, answered, holds, plain, updated

Request = Mapping[str, Any]
Key = tuple[str, tuple[str | int, ...]]  # table, values of its key attributes

_TABLES = {table.name: table.arguments for table in load().tables}
KEYS = {name: tuple(part["AttributeName"] for part in table["KeySchema"]) for name, table in _TABLES.items()}
_INDEXES = {
    index["IndexName"]: (
        tuple(part["AttributeName"] for part in index["KeySchema"]),
        (*KEYS[name], *index["Projection"].get("NonKeyAttributes", ())),
    )
    for name, table in _TABLES.items()
    for index in table.get("GlobalSecondaryIndexes", ())
}
_WHOLE = {  # the indexes whose rows are whole items
    index["IndexName"]
    for table in _TABLES.values()
    for index in table.get("GlobalSecondaryIndexes", ())
    if index["Projection"]["ProjectionType"] == "ALL"
}
_EXPRESSIONS = ("ExpressionAttributeNames", "ExpressionAttributeValues")
_PAGE_MAX = 4_000  # items of ours in the million bytes of a page


class Rows(Protocol):
    """The items of all tables."""

    def get(self, key: Key) -> Item | None:
        """Return an item."""

    def of(self, table: str) -> Iterable[Item]:
        """Return all items of a table."""

    def keys_of(self, table: str, partition: str | int) -> Sequence[Key]:
        """Return the keys that share a partition key, in their order."""


class Write(NamedTuple):
    """One item of a write: where, what was there, what will be, whether its condition holds, whether to show it."""

    key: Key
    old: Item | None
    new: Item | None
    allowed: bool = True
    shown: bool = False


class Page(NamedTuple):
    """What a Query answers, and the keys that it read."""

    answer: dict[str, Any]
    partition: Key
    keys: Sequence[Key]


def get_item(rows: Rows, request: Request) -> dict[str, Any]:
    """Answer a GetItem."""
    _only(request, "TableName", "Key", "ConsistentRead")
    _consistent(request)
    item = rows.get(key_of(request["TableName"], request["Key"]))
    return {"Item": item} if item else {}


def batch_get_item(rows: Rows, request: Request, lets_in: Callable[[Key], bool] = lambda _: True) -> dict[str, Any]:
    """Answer a BatchGetItem; keys that are not let in come back as UnprocessedKeys."""
    _only(request, "RequestItems")
    found: dict[str, list[Item]] = {}
    left: dict[str, dict[str, Any]] = {}
    for table, wanted in request["RequestItems"].items():
        _only(wanted, "Keys", "ConsistentRead")
        _consistent(wanted)
        found[table] = []
        for raw in wanted["Keys"]:
            key = key_of(table, raw)
            if not lets_in(key):
                left.setdefault(table, {**wanted, "Keys": []})["Keys"].append(raw)
            elif item := rows.get(key):
                found[table].append(item)
    return {"Responses": found, "UnprocessedKeys": left}


def query(rows: Rows, request: Request) -> Page:
    """Answer a Query: one partition key, and an upper bound of the sort key or none."""
    if "IndexName" in request:
        return _query_index(rows, request)
    _only(
        request, "TableName", "KeyConditionExpression", "Select", "Limit", "ConsistentRead", "ExclusiveStartKey",
        *_EXPRESSIONS,
    )  # fmt: skip
    _consistent(request)
    table, names = request["TableName"], Names(request)
    first, *more = request["KeyConditionExpression"].split(" AND ")
    partition = _bound(first, names, KEYS[table][0], "=")[1]
    keys = rows.keys_of(table, partition)
    begin, end = 0, len(keys)
    for clause in more:
        comparison, value = _bound(clause, names, KEYS[table][1], "<", "<=")
        end = (bisect_left if comparison == "<" else bisect_right)(keys, (table, (partition, value)))
    names.check_all_used()
    if "ExclusiveStartKey" in request:
        begin = bisect_right(keys, key_of(table, request["ExclusiveStartKey"]))
    limit = request.get("Limit", _PAGE_MAX)
    found = keys[begin : min(end, begin + limit)]
    answer: dict[str, Any] = {"Count": len(found)}
    if request.get("Select") != "COUNT":
        answer["Items"] = [rows.get(key) for key in found]
    if len(found) == limit:  # even where nothing follows
        last = rows.get(found[-1]) or {}
        answer["LastEvaluatedKey"] = {name: last[name] for name in KEYS[table]}
    return Page(answer, (table, (partition,)), found)


def _query_index(rows: Rows, request: Request) -> Page:
    """Answer a Query of an index of whole items, in the order of its keys and then the table's."""
    _only(
        request, "TableName", "IndexName", "KeyConditionExpression", "Limit", "ExclusiveStartKey", *_EXPRESSIONS,
    )  # fmt: skip
    table, index, names = request["TableName"], request["IndexName"], Names(request)
    if index not in _WHOLE:
        raise NotUnderstoodError(f"a Query of {index}")
    (partition_key, sort_key), _ = _INDEXES[index]
    first, *more = request["KeyConditionExpression"].split(" AND ")
    partition = _bound(first, names, partition_key, "=")[1]
    last = _bound(more[0], names, sort_key, "<=")[1] if more else None
    names.check_all_used()
    found = _in_order(rows, table, (partition_key, partition), (sort_key, last))
    if start := request.get("ExclusiveStartKey"):
        after = plain(start[sort_key]), key_of(table, start)
        found = [one for one in found if one[0] > after]
    limit = request.get("Limit", _PAGE_MAX)
    answer: dict[str, Any] = {"Count": len(found[:limit]), "Items": [item for _, item in found[:limit]]}
    if len(found) >= limit:  # even where nothing follows
        last_item = found[limit - 1][1]
        answer["LastEvaluatedKey"] = {name: last_item[name] for name in (partition_key, sort_key, *KEYS[table])}
    return Page(answer, (table, (partition,)), [place[1] for place, _ in found[:limit]])


def _in_order(
    rows: Rows, table: str, partition: tuple[str, Any], bound: tuple[str, Any]
) -> list[tuple[tuple[Any, Key], Item]]:
    """Return the items of a partition of an index up to a bound, each with its place, in order."""
    (partition_key, value), (sort_key, last) = partition, bound
    items = [item for item in rows.of(table) if partition_key in item and plain(item[partition_key]) == value]
    placed = [((plain(item[sort_key]), key_of(table, item)), item) for item in items]
    return sorted((one for one in placed if last is None or one[0][0] <= last), key=lambda one: one[0])


def scan(rows: Rows, request: Request) -> dict[str, Any]:
    """Answer a Scan of one segment of a sparse index."""
    _only(request, "TableName", "IndexName", "Segment", "TotalSegments")
    keys, others = _INDEXES[request["IndexName"]]
    segment, segments = request.get("Segment", 0), request.get("TotalSegments", 1)
    items = [
        {name: item[name] for name in (*keys, *others) if name in item}
        for item in rows.of(request["TableName"])
        if all(name in item for name in keys) and zlib.crc32(str(item[keys[0]]).encode()) % segments == segment
    ]
    return {"Items": items}


def update_item(rows: Rows, request: Request) -> tuple[Write, dict[str, Any]]:
    """Work out an UpdateItem, and what it answers if its condition holds."""
    _only(request, "TableName", "Key", "UpdateExpression", "ConditionExpression", "ReturnValues", *_EXPRESSIONS)
    names = Names(request)
    key = key_of(request["TableName"], request["Key"])
    old = rows.get(key)
    allowed = "ConditionExpression" not in request or holds(request["ConditionExpression"], names, old)
    new, touched = updated(request["UpdateExpression"], names, old or request["Key"])
    names.check_all_used()
    return Write(key, old, new, allowed), answered(request, old, new, touched)


def transact_write_items(rows: Rows, request: Request) -> list[Write]:
    """Work out each item of a TransactWriteItems. It happens if all of them are allowed."""
    _only(request, "TransactItems")
    writes = [_write(rows, *next(iter(item.items()))) for item in request["TransactItems"]]
    if len({write.key for write in writes}) < len(writes):
        raise NotUnderstoodError("two writes of one item in a transaction")
    return writes


def reason(write: Write) -> dict[str, Any]:
    """Return what a cancelled transaction says of one of its items."""
    if write.allowed:
        return {"Code": "None"}
    refused = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
    return refused | ({"Item": write.old} if write.old and write.shown else {})


def key_of(table: str, item: Item) -> Key:
    """Return the key of an item with these key attributes."""
    return table, tuple(plain(item[name]) for name in KEYS[table])


def _write(rows: Rows, verb: str, write: Request) -> Write:
    own = {"Put": ["Item"], "Delete": ["Key"], "Update": ["Key", "UpdateExpression"]}[verb]
    _only(write, "TableName", "ConditionExpression", "ReturnValuesOnConditionCheckFailure", *_EXPRESSIONS, *own)
    names = Names(write)
    key = key_of(write["TableName"], write.get("Key") or write["Item"])
    old = rows.get(key)
    allowed = "ConditionExpression" not in write or holds(write["ConditionExpression"], names, old)
    new: Item | None = None
    if verb == "Put":
        new = write["Item"]
    elif verb == "Update":
        new, _ = updated(write["UpdateExpression"], names, old or write["Key"])
    names.check_all_used()
    return Write(key, old, new, allowed, write.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD")


def _bound(clause: str, names: Names, attribute: str, *comparisons: str) -> tuple[str, Any]:
    """Read a clause of a key condition, which compares this attribute in one of these ways."""
    match = CLAUSE.fullmatch(clause)
    known = match and match["name"] and names.attribute(match["name"]) == attribute
    if match is None or not known or match["comparison"] not in comparisons:
        raise NotUnderstoodError(clause)
    return match["comparison"], plain(names.value(match["value"]))


def _consistent(request: Request) -> None:
    if request.get("ConsistentRead") is not True:
        raise NotUnderstoodError("an eventually consistent read of a table")


def _only(request: Request, *known: str) -> None:
    if unknown := request.keys() - set(known):
        raise NotUnderstoodError(f"{sorted(unknown)}")
