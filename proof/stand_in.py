"""A stand-in for DynamoDB that can be copied at no cost: its tables are values, and a request makes new ones.

It does what shared/ asks of DynamoDB and refuses anything else. It is not trusted: tests/proof/test_stand_in.py
compares it with the real engine, request by request, in answers, tables and stream records.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.template import load
from proof import requests
from proof.expressions import Item
from proof.requests import Key, Request, Rows, Write
from shared.store.aws_client import RequestFailed
from shared.store.items import is_note

Change = tuple[Item | None, Item | None]  # of a booking, an event or a note: before, after

TRANSACT = "TransactWriteItems"
UPDATE = "UpdateItem"
WRITES = (TRANSACT, UPDATE)

_STREAMED = tuple(load().stream(name).table for name in ("PromoteFunctionBookings", "FollowFunctionEvents"))

_READS: Mapping[str, Callable[[Rows, Request], Mapping[str, Any]]] = {
    "GetItem": requests.get_item,
    "BatchGetItem": requests.batch_get_item,
    "Query": lambda rows, request: requests.query(rows, request).answer,
    "Scan": requests.scan,
}
_interned: dict[tuple[Any, ...], Item] = {}
_known: dict[frozenset[Any], "Tables"] = {}


@dataclass(frozen=True, slots=True)
class Tables:
    """The content of all tables at one moment."""

    items: Mapping[Key, Item] = field(default_factory=dict, hash=False, compare=False)
    identity: frozenset[Any] = frozenset()

    def get(self, key: Key) -> Item | None:
        """Return an item."""
        return self.items.get(key)

    def of(self, table: str) -> list[Item]:
        """Return a table's items in the order of their keys."""
        return [item for key, item in sorted(self.items.items(), key=lambda one: one[0]) if key[0] == table]

    def keys_of(self, table: str, partition: str | int) -> list[Key]:
        """Return the keys that share a partition key, in their order."""
        return sorted(key for key in self.items if key[0] == table and key[1][0] == partition)

    def with_changes(self, changes: Iterable[tuple[Key, Item | None]]) -> "Tables":
        """Return the tables after items were replaced, added, or (None) taken out."""
        items = dict(self.items)
        for key, item in changes:
            if item is None:
                items.pop(key, None)
            else:
                items[key] = _intern(item)
        identity = frozenset((key, id(item)) for key, item in items.items())
        return _known.get(identity) or _known.setdefault(identity, Tables(items, identity))


@dataclass(frozen=True, slots=True)
class Effect:
    """What a request did: the tables after it, its answer or error, and what it changed of bookings and events."""

    tables: Tables
    answer: Mapping[str, Any]
    error: RequestFailed | None = None
    changes: tuple[Change, ...] = ()  # of bookings
    events: tuple[Change, ...] = ()
    notes: tuple[Change, ...] = ()


def apply(tables: Tables, operation: str, request: Mapping[str, Any]) -> Effect:
    """Run one request of the low-level client."""
    if operation == UPDATE:
        write, answer = requests.update_item(tables, request)
        if not write.allowed:
            return Effect(tables, {}, refusal(UPDATE, "ConditionalCheckFailedException", 400))
        return _changed(tables, answer, [write])
    if operation != TRANSACT:
        return Effect(tables, _READS[operation](tables, request))
    writes = requests.transact_write_items(tables, request)
    if all(write.allowed for write in writes):
        return _changed(tables, {}, writes)
    reasons = [requests.reason(write) for write in writes]
    return Effect(tables, {}, refusal(TRANSACT, "TransactionCanceledException", 400, reasons))


def refusal(operation: str, code: str, status: int, reasons: list[dict[str, Any]] | None = None) -> RequestFailed:
    """Return the error that the client raises for this answer of DynamoDB."""
    return RequestFailed(operation, status, code, code, reasons)


def _changed(tables: Tables, answer: Mapping[str, Any], writes: list[Write]) -> Effect:
    in_bookings, of_events = (
        tuple((one.old, one.new) for one in writes if one.key[0] == streamed and one.old != one.new)
        for streamed in _STREAMED
    )
    notes = tuple(change for change in in_bookings if is_note(change[1] or {}))
    bookings = tuple(change for change in in_bookings if change not in notes)
    after = tables.with_changes([(write.key, write.new) for write in writes])
    return Effect(after, answer, changes=bookings, events=of_events, notes=notes)


def _intern(item: Item) -> Item:
    """Return the one object that stands for all equal items, so that tables compare by identity."""
    return _interned.setdefault(_canonical(item), item)


def _canonical(item: Item) -> tuple[Any, ...]:
    """Return the same value for equal items."""
    kinds = ((name, *next(iter(value.items()))) for name, value in item.items())
    return tuple(sorted((name, kind, _canonical(value) if kind == "M" else value) for name, kind, value in kinds))
