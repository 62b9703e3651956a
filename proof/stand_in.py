"""A stand-in of DynamoDB that can be copied at no cost: its tables are values, a request makes new ones.

It does what shared/ asks of DynamoDB and refuses anything else loudly. It is not trusted: test_stand_in.py holds it
against the real engine, request by request, in answers, tables and stream records.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.template import load
from proof.expressions import Item, Names, NotUnderstoodError, answered, holds, plain, updated
from shared.store.aws_client import RequestFailed

Key = tuple[str, tuple[str | int, ...]]  # table, values of its key attributes
Change = tuple[Item | None, Item | None]  # of a booking or an event: before, after

TRANSACT = "TransactWriteItems"
UPDATE = "UpdateItem"
WRITES = (TRANSACT, UPDATE)

_TABLES = {table.name: table.arguments for table in load().tables}
_KEYS = {name: tuple(part["AttributeName"] for part in table["KeySchema"]) for name, table in _TABLES.items()}
_INDEXES = {
    index["IndexName"]: (
        tuple(part["AttributeName"] for part in index["KeySchema"]),
        tuple(index["Projection"].get("NonKeyAttributes", ())),
    )
    for table in _TABLES.values()
    for index in table.get("GlobalSecondaryIndexes", ())
}
_STREAMED = tuple(load().stream(name).table for name in ("PromoteFunctionBookings", "FollowFunctionEvents"))

_interned: dict[tuple[Any, ...], Item] = {}


@dataclass(frozen=True, slots=True)
class Tables:
    """The content of all tables at one moment."""

    items: Mapping[Key, Item] = field(default_factory=dict, hash=False, compare=False)
    identity: frozenset[Any] = frozenset()

    def of(self, table: str) -> list[Item]:
        """Return a table's items in the order of their keys."""
        return [item for key, item in sorted(self.items.items(), key=lambda one: one[0]) if key[0] == table]

    def with_changes(self, changes: Iterable[tuple[Key, Item | None]]) -> "Tables":
        """Return the tables after items were replaced, added, or (None) taken out."""
        items = dict(self.items)
        for key, item in changes:
            if item is None:
                items.pop(key, None)
            else:
                items[key] = _intern(item)
        return Tables(items, frozenset((key, id(item)) for key, item in items.items()))


@dataclass(frozen=True, slots=True)
class Effect:
    """What a request did: the tables after it, its answer or error, and what it changed of bookings and events."""

    tables: Tables
    answer: Mapping[str, Any]
    error: RequestFailed | None = None
    changes: tuple[Change, ...] = ()  # of bookings
    events: tuple[Change, ...] = ()


def apply(tables: Tables, operation: str, request: Mapping[str, Any]) -> Effect:
    """Run one request of the low-level client."""
    return _OPERATIONS[operation](tables, request)


def refusal(operation: str, code: str, status: int, reasons: list[dict[str, Any]] | None = None) -> RequestFailed:
    """Return the error that the wire raises for this answer of DynamoDB."""
    return RequestFailed(operation, status, code, code, reasons)


def _get_item(tables: Tables, request: Mapping[str, Any]) -> Effect:
    _only(request, "TableName", "Key", "ConsistentRead")
    _consistent(request)
    item = tables.items.get(_key(request["TableName"], request["Key"]))
    return Effect(tables, {"Item": item} if item else {})


def _batch_get_item(tables: Tables, request: Mapping[str, Any]) -> Effect:
    _only(request, "RequestItems")
    responses = {}
    for table, wanted in request["RequestItems"].items():
        _only(wanted, "Keys", "ConsistentRead")
        _consistent(wanted)
        found = [tables.items.get(_key(table, key)) for key in wanted["Keys"]]
        responses[table] = [item for item in found if item]
    return Effect(tables, {"Responses": responses, "UnprocessedKeys": {}})


def _query(tables: Tables, request: Mapping[str, Any]) -> Effect:
    _only(
        request, "TableName", "KeyConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues",
        "Select", "Limit", "ConsistentRead", "ExclusiveStartKey",
    )  # fmt: skip
    _consistent(request)
    table = request["TableName"]
    names = Names(request)
    start = _key(table, request["ExclusiveStartKey"]) if "ExclusiveStartKey" in request else None
    found = [
        item
        for item in tables.of(table)
        if holds(request["KeyConditionExpression"], names, item) and (start is None or _key(table, item) > start)
    ]
    if tables.of(table):  # else no expression was read
        names.check_all_used()
    page = found[: request.get("Limit")]
    answer: dict[str, Any] = {"Count": len(page)}
    if request.get("Select") != "COUNT":
        answer["Items"] = page
    if len(page) == request.get("Limit"):  # even where nothing follows
        answer["LastEvaluatedKey"] = {name: page[-1][name] for name in _KEYS[table]}
    return Effect(tables, answer)


def _scan(tables: Tables, request: Mapping[str, Any]) -> Effect:
    _only(request, "TableName", "IndexName", "Segment", "TotalSegments")
    keys, others = _INDEXES[request["IndexName"]]
    segment, segments = request.get("Segment", 0), request.get("TotalSegments", 1)
    items = [
        {name: item[name] for name in (*keys, *others) if name in item}
        for item in tables.of(request["TableName"])
        if all(name in item for name in keys) and zlib.crc32(str(item[keys[0]]).encode()) % segments == segment
    ]
    return Effect(tables, {"Items": items})


def _update_item(tables: Tables, request: Mapping[str, Any]) -> Effect:
    names = Names(request)
    key, old = _located(tables, request)
    new, touched = updated(request["UpdateExpression"], names, old or request["Key"])
    _only(
        request, "TableName", "Key", "UpdateExpression", "ReturnValues",
        "ExpressionAttributeNames", "ExpressionAttributeValues",
    )  # fmt: skip
    names.check_all_used()
    return _changed(tables, answered(request, old, new, touched), [(key, old, new)])


def _transact_write_items(tables: Tables, request: Mapping[str, Any]) -> Effect:
    _only(request, "TransactItems")
    writes = [_write(tables, *next(iter(item.items()))) for item in request["TransactItems"]]
    if len({key for key, *_ in writes}) < len(writes):
        raise NotUnderstoodError("two writes of one item in a transaction")
    if not all(allowed for _, _, _, allowed, _ in writes):
        reasons = [_reason(old, allowed, shown) for _, old, _, allowed, shown in writes]
        error = refusal(TRANSACT, "TransactionCanceledException", 400, reasons)
        return Effect(tables, {}, error)
    return _changed(tables, {}, [(key, old, new) for key, old, new, _, _ in writes])


def _write(tables: Tables, verb: str, write: Mapping[str, Any]) -> tuple[Key, Item | None, Item | None, bool, bool]:
    """Return the item's key, what it was, what it becomes, whether its condition holds, and whether to show it."""
    own = {"Put": ["Item"], "Delete": ["Key"], "Update": ["Key", "UpdateExpression"]}[verb]
    _only(
        write, "TableName", "ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues",
        "ReturnValuesOnConditionCheckFailure", *own,
    )  # fmt: skip
    names = Names(write)
    key, old = _located(tables, write)
    allowed = "ConditionExpression" not in write or holds(write["ConditionExpression"], names, old)
    new: Item | None = None
    if verb == "Put":
        new = write["Item"]
    elif verb == "Update":
        new, _ = updated(write["UpdateExpression"], names, old or write["Key"])
    names.check_all_used()
    return key, old, new, allowed, write.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"


def _reason(old: Item | None, allowed: bool, shown: bool) -> dict[str, Any]:
    if allowed:
        return {"Code": "None"}
    reason = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
    return reason | ({"Item": old} if old and shown else {})


def _changed(
    tables: Tables, answer: Mapping[str, Any], changes: Sequence[tuple[Key, Item | None, Item | None]]
) -> Effect:
    of_bookings, of_events = (
        tuple((old, new) for (table, _), old, new in changes if table == streamed and old != new)
        for streamed in _STREAMED
    )
    after = tables.with_changes([(key, new) for key, _, new in changes])
    return Effect(after, answer, changes=of_bookings, events=of_events)


def _located(tables: Tables, write: Mapping[str, Any]) -> tuple[Key, Item | None]:
    key = _key(write["TableName"], write.get("Key") or write["Item"])
    return key, tables.items.get(key)


def _key(table: str, item: Item) -> Key:
    return table, tuple(plain(item[name]) for name in _KEYS[table])


def _intern(item: Item) -> Item:
    """Return the one object that stands for all equal items, so that tables compare by identity."""
    canonical = tuple(sorted((name, *next(iter(value.items()))) for name, value in item.items()))
    return _interned.setdefault(canonical, item)


def _consistent(request: Mapping[str, Any]) -> None:
    if request.get("ConsistentRead") is not True:
        raise NotUnderstoodError("an eventually consistent read of a table")


def _only(request: Mapping[str, Any], *known: str) -> None:
    if unknown := request.keys() - set(known):
        raise NotUnderstoodError(f"{sorted(unknown)}")


_OPERATIONS: Mapping[str, Callable[[Tables, Mapping[str, Any]], Effect]] = {
    "GetItem": _get_item,
    "BatchGetItem": _batch_get_item,
    "Query": _query,
    "Scan": _scan,
    UPDATE: _update_item,
    TRANSACT: _transact_write_items,
}
