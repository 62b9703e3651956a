"""How records are stored: every table, index, key and attribute name is here.

Items are in DynamoDB's low-level form, {"N": "12"} and {"S": "x"}, so nothing is converted twice. A record's attributes
are derived from its dataclass: `booked_at` is stored as `bookedAt`, and None is not stored. A lane's `revision` and
`checkedIn` are not stored either while they are 0. Reading raises DamagedItem where a value is missing or of the wrong
kind.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from enum import StrEnum
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar, get_type_hints

from shared.model import (
    HOLD_SHARDS,
    Actor,
    Booking,
    Change,
    DamagedItem,
    Entry,
    Event,
    Lane,
    Refusal,
    Rules,
    Status,
    Tail,
    Terms,
)

Item = Mapping[str, Any]  # attribute name -> {"S": text} or {"N": digits}
Record = TypeVar("Record", Booking, Entry, Event, Lane, Rules, Tail, Terms)

# The tables, by their names in template.yaml; store/dynamodb.py knows what they are called where they are deployed.
EVENTS: Final = "EventsTable"
LANES: Final = "LanesTable"
BOOKINGS: Final = "BookingsTable"
WAITING_LIST: Final = "WaitingListTable"

TO_SWEEP_INDEX: Final = "toSweep"
BY_CREATION_INDEX: Final = "byCreation"
BY_USER_INDEX: Final = "byUser"
CANCELLED_INDEX: Final = "cancelled"
CHANGING_INDEX: Final = "changing"
HOLDS_BY_EXPIRY_INDEX: Final = "holdsByExpiry"

KIND: Final = "event"  # of every event: the one partition of the index by creation

_NOTE: Final = "note"  # in place of a lane's number

# The key attributes of each kind of item; the first kind whose key an item has is its kind.
_KEYS: Final = {
    "booking": ("laneId", "userId"),
    "lane": ("laneId",),
    "entry": ("stripeId", "sequence"),
    "event": ("eventId",),
}


def text(value: str) -> dict[str, str]:
    """Return the attribute value of a string."""
    return {"S": value}


def number(value: int) -> dict[str, str]:
    """Return the attribute value of a whole number."""
    return {"N": str(value)}


def values(item: Item) -> dict[str, str | int]:
    """Return the plain values of an item's attributes. Raises KeyError, TypeError or ValueError for another kind."""
    return {name: int(value["N"]) if "N" in value else str(value["S"]) for name, value in item.items()}


# ---------------------------------------------------------------- keys


def lane_id(event_id: str, lane: int) -> str:
    """Return the id of an event's n-th lane, counted from 0."""
    return f"{event_id}#{lane}"


def stripe_id(event_id: str, stripe: int) -> str:
    """Return the id of the n-th stripe of an event's waiting list, counted from 0."""
    return f"{event_id}#{stripe}"


def event_of(part: str) -> str:
    """Return the id of the event that a lane or a stripe belongs to, from the part's own id."""
    return part.rpartition("#")[0]


def event_of_key(key: Item) -> str:
    """Return the id of the event that a booking or an event belongs to, from the item's key. Raises KeyError."""
    return str(key["eventId"]["S"]) if "eventId" in key else event_of(key["laneId"]["S"])


def event_key(event_id: str) -> dict[str, Any]:
    """Return the key of an event in Events."""
    return {"eventId": text(event_id)}


def lane_key(event_id: str, lane: int) -> dict[str, Any]:
    """Return the key of a lane in Lanes."""
    return {"laneId": text(lane_id(event_id, lane))}


def booking_key(event: Event, user_id: str) -> dict[str, Any]:
    """Return the key of a user's booking in Bookings: on the user's home lane."""
    return {"laneId": text(lane_id(event.event_id, event.home_lane(user_id))), "userId": text(user_id)}


def entry_key(event: Event, sequence: int) -> dict[str, Any]:
    """Return the key of an entry in WaitingList: sequence numbers are dealt to the stripes in turn."""
    return {"stripeId": text(stripe_id(event.event_id, sequence % event.stripes)), "sequence": number(sequence)}


def tail_key(event: Event) -> dict[str, Any]:
    """Return the key of the tail of an event's waiting list, which hands out its numbers: a partition of its own."""
    return {"stripeId": text(f"{event.event_id}#tail"), "sequence": number(0)}


def note_key(event_id: str) -> dict[str, Any]:
    """Return the key of an event's note to its settler: in Bookings, whose stream takes it there, but no booking."""
    return {"laneId": text(f"{event_id}#{_NOTE}"), "userId": text(_NOTE)}


def is_note(key: Item) -> bool:
    """Tell whether a key in Bookings is that of a note, not of a booking."""
    return bool(key.get("laneId", text(""))["S"].endswith(f"#{_NOTE}"))


def by_user_key(user_id: str, created_at: str, lane: str) -> dict[str, Any]:
    """Return the key of a booking in the index by user, its lane by its id."""
    return {"userId": text(user_id), "createdAt": text(created_at), "laneId": text(lane)}


def by_creation_key(event_id: str, created_at: str) -> dict[str, Any]:
    """Return the key of an event in the index by creation."""
    return {"kind": text(KIND), "createdAt": text(created_at), "eventId": text(event_id)}


def hold(event: Event, user_id: str, expires_at: str) -> dict[str, Any]:
    """Return the attributes of a booking while it is HELD: its key in the index of holds by expiry."""
    lane = lane_id(event.event_id, event.home_lane(user_id))
    return {"holdShard": number(zlib.crc32(lane.encode()) % HOLD_SHARDS), "expiresAt": text(expires_at)}


NO_HOLD: Final = "REMOVE holdShard, expiresAt"  # of an update: the booking is no longer HELD


def partition(table: str, key: str, value: str) -> dict[str, Any]:
    """Return the Query for all items under a partition key, strongly consistent."""
    return {
        "TableName": table,
        "KeyConditionExpression": f"{key} = :value",
        "ExpressionAttributeValues": {":value": text(value)},
        "ConsistentRead": True,
    }


# ---------------------------------------------------------------- records


def event_item(event: Event) -> Item:
    """Return the item of a new event. Its `sweepId` keeps it in the index of cancelled events, once it is cancelled."""
    in_indexes = {"kind": text(KIND), "sweepId": text(event.event_id)}
    return {**in_indexes, **_written(event.terms), **_written(event.rules), **_written(event)}


def to_event(item: Item) -> Event:
    """Read an event."""
    return _read(
        Event,
        item,
        terms=_read(Terms, item),
        rules=_read(Rules, item),
        change=_change(item),
        refusals=_refusals(item),
    )


def lane_item(lane: Lane) -> Item:
    """Return the item of a lane."""
    return {**lane_key(lane.event_id, lane.number), **_written(lane)}


def to_lane(item: Item) -> Lane:
    """Read a lane."""
    event_id, _, lane = _text(item, "laneId").rpartition("#")
    return _read(Lane, item, event_id=event_id, number=int(lane))


def booking_item(event: Event, booking: Booking) -> Item:
    """Return the item of a booking."""
    return {
        **booking_key(event, booking.user_id),
        **_written(booking),
        "createdAt": text(booking.created_at),
        **({} if booking.expires_at is None else hold(event, booking.user_id, booking.expires_at)),
    }


def to_booking(item: Item) -> Booking:
    """Read a booking."""
    return _read(Booking, item)


def entry_item(event: Event, entry: Entry) -> Item:
    """Return the item of an entry in the waiting list."""
    return {**entry_key(event, entry.sequence), **_written(entry)}


def to_entry(item: Item) -> Entry:
    """Read an entry in the waiting list."""
    return _read(Entry, item, event_id=event_of(_text(item, "stripeId")))


def tail_item(event: Event) -> Item:
    """Return the item of the tail of a new event's waiting list."""
    return {**tail_key(event), **_written(Tail(0, event.terms.waiting_list_limit))}


def to_tail(item: Item) -> Tail:
    """Read the tail of a waiting list."""
    return _read(Tail, item)


# ---------------------------------------------------------------- updates


def addition_to_lane(
    event_id: str, lane: int, numbers: Mapping[str, int], condition: str = "", **values: Mapping[str, str]
) -> dict[str, Any]:
    """Return the transaction's item that adds these numbers to a lane's, on a condition with these values.

    `changes` is one of them. The next sweep audits the event if it is sold out (shared/booking/resting.py).
    """
    on_condition = {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    added = {f":{name}": number(count) for name, count in numbers.items()}
    return {
        "Update": {
            "TableName": LANES,
            "Key": lane_key(event_id, lane),
            "UpdateExpression": f"SET sweepId = :event ADD {', '.join(f'{name} :{name}' for name in numbers)}",
            "ExpressionAttributeValues": {
                ":event": text(event_id),
                **added,
                **{f":{name}": value for name, value in values.items()},
            },
            **(on_condition if condition else {}),
        }
    }


def attributes(of: type[Rules | Terms]) -> tuple[str, ...]:
    """Return the names of the attributes that store a record's fields."""
    return tuple(field.attribute for field in _FIELDS[of])


def terms(of: Terms) -> dict[str, Any]:
    """Return what an organiser may change, None for what is not there."""
    present = _written(of)
    return {name: present.get(name) for name in attributes(Terms)}


def request(change: Change) -> dict[str, Any]:
    """Return the attributes of an event that say that a change is under way."""
    wanted = {"number": number(change.number), **_written(change.terms)}
    return {"requestedAt": text(change.requested_at), "change": {"M": wanted}}


def refusals(of: Sequence[Refusal]) -> dict[str, Any]:
    """Return the attribute of an event that says which changes were refused: each by its number, with the bookings."""
    return {"refusals": {"M": {str(one.number): number(one.booked) for one in of}}}


def waiting_list_limit(of: Terms) -> dict[str, Any]:
    """Return how many may wait, None without a limit: the event shows it, its list's tail decides by it."""
    limit = of.waiting_list_limit
    return {"waitingListLimit": None if limit is None else number(limit)}


def window(of: Terms | Lane) -> dict[str, Any]:
    """Return the moments between which an event or a lane is on sale, None for what is not there."""
    moments = {"opensAt": of.opens_at, "closesAt": of.closes_at}
    return {name: moment and text(moment) for name, moment in moments.items()}


def assignment(attributes: Mapping[str, Any]) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Return the update that gives attributes these values and removes those with None; its names, and its values.

    It may be followed by an ADD.
    """
    given = [name for name, value in attributes.items() if value is not None]
    taken = [f"#{name}" for name in attributes if name not in given]
    parts = [("SET", [f"#{name} = :{name}" for name in given]), ("REMOVE", taken)]
    update = " ".join(f"{verb} {', '.join(actions)}" for verb, actions in parts if actions)
    return update, {f"#{name}": name for name in attributes}, {f":{name}": attributes[name] for name in given}


# ---------------------------------------------------------------- dataclasses as items


class _Field(NamedTuple):
    """A field of a record, and the attribute that stores it."""

    name: str
    attribute: str
    read: Callable[[Item, str], Any]
    is_required: bool
    absent: Any  # the value that is not stored


def _text(item: Item, name: str) -> str:
    try:
        return str(item[name]["S"])
    except (KeyError, TypeError):
        raise _damaged(item, name) from None


def _number(item: Item, name: str) -> int:
    try:
        return int(item[name]["N"])
    except (KeyError, TypeError, ValueError):
        raise _damaged(item, name) from None


def _member(of: type[StrEnum], item: Item, name: str) -> StrEnum:
    try:
        return of(_text(item, name))
    except ValueError:
        raise _damaged(item, name) from None


_READERS: Final[Mapping[Any, Callable[[Item, str], Any]]] = {
    str: _text,
    str | None: _text,
    int: _number,
    int | None: _number,
    Status: partial(_member, Status),
    Actor | None: partial(_member, Actor),
}


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _fields(record: type[Any], elsewhere: Iterable[str] = (), from_zero: Iterable[str] = ()) -> tuple[_Field, ...]:
    """List the fields of a dataclass that are attributes; those stored `elsewhere` are not, such as those in the key.

    Those `from_zero` are not stored while they are 0.
    """
    kinds = get_type_hints(record)
    return tuple(
        _Field(
            one.name,
            _camel_case(one.name),
            _READERS[kinds[one.name]],
            one.default is MISSING,
            0 if one.name in from_zero else None,
        )
        for one in fields(record)
        if one.name not in elsewhere
    )


_FIELDS: Final[Mapping[type[Any], tuple[_Field, ...]]] = {
    Event: _fields(Event, elsewhere=("terms", "rules", "change", "refusals")),
    Terms: _fields(Terms),
    Rules: _fields(Rules),
    # A booking writes its lane: with more than seven attributes, the engine on one machine takes a tenth longer for it.
    Lane: _fields(Lane, elsewhere=("event_id", "number"), from_zero=("revision", "checked_in")),
    Booking: _fields(Booking),
    Entry: _fields(Entry, elsewhere=("event_id",)),
    Tail: _fields(Tail),
}


def _written(record: Booking | Entry | Event | Lane | Rules | Tail | Terms) -> dict[str, Any]:
    """Return a record's attributes."""
    found = {}
    for field in _FIELDS[type(record)]:
        value = getattr(record, field.name)
        if value != field.absent:
            found[field.attribute] = {"N": str(value)} if type(value) is int else {"S": value}
    return found


def _read(record: type[Record], item: Item, **given: Any) -> Record:
    """Return the record that an item stores, with the fields that are `given`. Raises DamagedItem."""
    for field in _FIELDS[record]:
        if field.is_required or field.attribute in item:
            given[field.name] = field.read(item, field.attribute)
    return record(**given)


def _change(item: Item) -> Change | None:
    """Read the change that is under way; an event keeps its last one when it is over."""
    if "requestedAt" not in item:
        return None
    try:
        wanted = {**event_key(_text(item, "eventId")), **item["change"]["M"]}  # with the key, to name a damaged item
    except (KeyError, TypeError):
        raise _damaged(item, "change") from None
    return Change(_number(wanted, "number"), _text(item, "requestedAt"), _read(Terms, wanted))


def _refusals(item: Item) -> tuple[Refusal, ...]:
    try:
        refused = item["refusals"]["M"] if "refusals" in item else {}
        return tuple(sorted(Refusal(int(name), int(booked["N"])) for name, booked in refused.items()))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _damaged(item, "refusals") from None


def _damaged(item: Item, name: str) -> DamagedItem:
    """Name the item by its kind and key; every item has its whole key."""
    noun, key = next((noun, key) for noun, key in _KEYS.items() if item.keys() >= set(key))
    values = (next(iter(item[part].values())) for part in key)
    return DamagedItem(" ".join((noun, *map(str, values))), name)
