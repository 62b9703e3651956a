"""What the simulated tables hold, and what a request means: no limits, no latency, no clock.

Keys, index and stream are those of template.yaml; expressions are read by the proof's own reader. Items are in
DynamoDB's low-level form and are never changed, only replaced. What shared/ does not ask for is refused loudly.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bench.scale.capacity import hash_of
from local.template import load
from proof.expressions import CLAUSE, Item, Names, NotUnderstoodError, answered, holds, plain, updated

Request = Mapping[str, Any]

_ARGUMENTS = {table.name: table.arguments for table in load().tables}
KEYS = {name: tuple(part["AttributeName"] for part in table["KeySchema"]) for name, table in _ARGUMENTS.items()}
STREAMED = load().stream("PromoteFunctionBookings").table
_INDEXES = {
    index["IndexName"]: tuple(part["AttributeName"] for part in index["KeySchema"])
    for table in _ARGUMENTS.values()
    for index in table.get("GlobalSecondaryIndexes", ())
}
_HASHES_KEPT = 100_000
_hashes: dict[str, int] = {}


class Place(NamedTuple):
    """Where an item is: its table, the value and the hash of its partition key, the value of its sort key or None."""

    table: str
    key: str
    hashed: int
    sort: int | str | None


@dataclass(slots=True)
class Collection:
    """The items of one partition key and their sizes in bytes, by sort key, and those keys in their order."""

    items: dict[int | str | None, Item] = field(default_factory=dict)
    sizes: dict[int | str | None, int] = field(default_factory=dict)
    order: list[Any] = field(default_factory=list)


class Write(NamedTuple):
    """One item of a write: where, what was there, what will be, whether its condition holds, whether to show it."""

    place: Place
    old: Item | None
    new: Item | None
    allowed: bool
    shown: bool


class Page(NamedTuple):
    """What a Query found, how many bytes it has, and where it goes on."""

    items: list[Item]
    size: int
    last_key: Item | None


class Store:
    """The tables."""

    def __init__(self) -> None:
        """Begin empty."""
        self._tables: dict[str, dict[str, Collection]] = {name: {} for name in KEYS}

    def get(self, place: Place) -> Item | None:
        """Return the item at a place."""
        collection = self._tables[place.table].get(place.key)
        return collection.items.get(place.sort) if collection else None

    def put(self, place: Place, item: Item | None) -> None:
        """Replace the item at a place; None takes it out."""
        collection = self._tables[place.table].setdefault(place.key, Collection())
        if item is None:
            if collection.items.pop(place.sort, None) is not None:
                del collection.order[bisect_left(collection.order, place.sort)]
            return
        if place.sort not in collection.items and place.sort is not None:
            insort(collection.order, place.sort)
        collection.items[place.sort] = item
        collection.sizes[place.sort] = size_of(item)

    def all_of(self, table: str) -> Iterator[Item]:
        """Yield a table's items."""
        for collection in self._tables[table].values():
            yield from collection.items.values()

    def updated(self, request: Request) -> tuple[Write, dict[str, Any]]:
        """Work out an UpdateItem, and what it answers."""
        only(request, "TableName", "Key", "UpdateExpression", "ReturnValues", *_EXPRESSIONS)
        names = Names(request)
        place = place_of(request["TableName"], request["Key"])
        old = self.get(place)
        new, touched = updated(request["UpdateExpression"], names, old or request["Key"])
        names.check_all_used()
        return Write(place, old, new, allowed=True, shown=False), answered(request, old, new, touched)

    def written(self, verb: str, write: Request) -> Write:
        """Work out one item of a TransactWriteItems."""
        own = {"Put": ["Item"], "Delete": ["Key"], "Update": ["Key", "UpdateExpression"]}[verb]
        only(write, "TableName", "ConditionExpression", "ReturnValuesOnConditionCheckFailure", *_EXPRESSIONS, *own)
        names = Names(write)
        place = place_of(write["TableName"], write.get("Key") or write["Item"])
        old = self.get(place)
        allowed = "ConditionExpression" not in write or holds(write["ConditionExpression"], names, old)
        new: Item | None = None
        if verb == "Put":
            new = write["Item"]
        elif verb == "Update":
            new, _ = updated(write["UpdateExpression"], names, old or write["Key"])
        names.check_all_used()
        return Write(place, old, new, allowed, write.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD")

    def hash_of_query(self, request: Request) -> int:
        """Return the hash of the one partition key that a Query names."""
        clause = _clause(request["KeyConditionExpression"].partition(" AND ")[0])
        return _hash(str(plain(Names(request).value(clause["value"]))))

    def page(self, request: Request) -> Page:
        """Read a page of a Query, which is consistent and has at most a million bytes."""
        only(
            request, "TableName", "KeyConditionExpression", "Select", "Limit", "ConsistentRead", "ExclusiveStartKey",
            *_EXPRESSIONS,
        )  # fmt: skip
        consistent(request)
        table, names = request["TableName"], Names(request)
        first, *more = [_clause(clause) for clause in request["KeyConditionExpression"].split(" AND ")]
        key = plain(names.value(first["value"]))
        collection = self._tables[table].get(str(key), Collection())
        begin, end = 0, len(collection.order)
        for clause in more:
            if names.attribute(clause["name"]) != KEYS[table][1]:
                raise NotUnderstoodError(request["KeyConditionExpression"])
            bound = plain(names.value(clause["value"]))
            if clause["comparison"] not in ("<", "<="):
                raise NotUnderstoodError(clause["comparison"])
            end = (bisect_left if clause["comparison"] == "<" else bisect_right)(collection.order, bound)
        names.check_all_used()
        if start := request.get("ExclusiveStartKey"):
            begin = bisect_right(collection.order, plain(start[KEYS[table][1]]))
        sorts = collection.order[begin : min(end, begin + _limit(request))]
        found = [collection.items[sort] for sort in sorts]
        last = {name: found[-1][name] for name in KEYS[table]} if found and len(found) == _limit(request) else None
        return Page(found, sum(collection.sizes[sort] for sort in sorts), last)

    def indexed(self, request: Request) -> list[Item]:
        """Read one segment of a sparse index by a Scan."""
        only(request, "TableName", "IndexName", "Segment", "TotalSegments")
        attributes = _INDEXES[request["IndexName"]]
        return [
            {name: item[name] for name in attributes}
            for item in self.all_of(request["TableName"])
            if all(name in item for name in attributes)
            and _hash(item[attributes[0]]["S"]) % request["TotalSegments"] == request["Segment"]
        ]


def place_of(table: str, item: Item) -> Place:
    """Return where an item with these key attributes is."""
    key, *sort = (plain(item[name]) for name in KEYS[table])
    return Place(table, str(key), _hash(str(key)), sort[0] if sort else None)


def size_of(item: Item) -> int:
    """Return an item's size in bytes: its names and values, two digits of a number to a byte and one more.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(
        len(name) + (len(value["S"]) if "S" in value else len(value["N"]) // 2 + 1) for name, value in item.items()
    )


def consistent(request: Request) -> None:
    """Refuse a read of a table that may be stale."""
    if request.get("ConsistentRead") is not True:
        raise NotUnderstoodError("an eventually consistent read of a table")


def only(request: Request, *known: str) -> None:
    """Refuse parameters that are not understood."""
    if unknown := request.keys() - set(known):
        raise NotUnderstoodError(f"{sorted(unknown)}")


_EXPRESSIONS: Sequence[str] = ("ExpressionAttributeNames", "ExpressionAttributeValues")
_PAGE_MAX = 4_000  # items of ours in the million bytes of a page


def _limit(request: Request) -> int:
    return int(request.get("Limit", _PAGE_MAX))


def _clause(clause: str) -> Any:
    match = CLAUSE.fullmatch(clause)
    if match is None or not match["name"]:
        raise NotUnderstoodError(clause)
    return match


def _hash(key: str) -> int:
    hashed = _hashes.get(key)
    if hashed is None:
        if len(_hashes) > _HASHES_KEPT:
            _hashes.clear()
        hashed = _hashes[key] = hash_of(key)
    return hashed
