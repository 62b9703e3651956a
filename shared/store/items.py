"""Between the model and DynamoDB's items, both ways: every table, key and attribute name stands here.

Items are in DynamoDB's own low-level form, {"N": "12"} and {"S": "x"}, so that nothing is converted twice.
Attributes that are None are left out. What reads an item raises DamagedItem where it cannot.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

from shared.model import Booking, DamagedItem, Entry, Event, Lane, Status, Tail

Item = Mapping[str, Any]  # attribute name -> {"S": text} or {"N": digits}

# The names that template.yaml gives every function. A missing one is a KeyError with its name, at import.
EVENTS: Final = os.environ["EVENTS_TABLE"]
LANES: Final = os.environ["LANES_TABLE"]
BOOKINGS: Final = os.environ["BOOKINGS_TABLE"]
WAITING_LIST: Final = os.environ["WAITING_LIST_TABLE"]
SOLD_OUT_INDEX: Final = os.environ["SOLD_OUT_INDEX"]
BY_CREATION_INDEX: Final = os.environ["BY_CREATION_INDEX"]
BY_USER_INDEX: Final = os.environ["BY_USER_INDEX"]
CANCELLED_INDEX: Final = os.environ["CANCELLED_INDEX"]

KIND: Final = "event"  # of every event: the one partition of the index by creation

# The keys by which items are told apart; the first that an item has says what it is.
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


def lane_id(event_id: str, lane: int) -> str:
    """Return the id of an event's n-th lane, counted from 0."""
    return f"{event_id}#{lane}"


def event_key(event_id: str) -> dict[str, Any]:
    """Return the key of an event in Events."""
    return {"eventId": text(event_id)}


def lane_key(event_id: str, lane: int) -> dict[str, Any]:
    """Return the key of a lane in Lanes."""
    return {"laneId": text(lane_id(event_id, lane))}


def booking_key(event: Event, user_id: str) -> dict[str, Any]:
    """Return the key of a user's booking in Bookings: on the user's home lane."""
    return {"laneId": text(lane_id(event.event_id, event.home_lane(user_id))), "userId": text(user_id)}


def stripe_id(event_id: str, stripe: int) -> str:
    """Return the id of the n-th stripe of an event's waiting list, counted from 0."""
    return f"{event_id}#{stripe}"


def event_of(part: str) -> str:
    """Return the id of the event that a lane or a stripe belongs to, from the part's own id."""
    return part.rpartition("#")[0]


def event_of_key(key: Item) -> str:
    """Return the id of the event that a booking or an event belongs to, from the item's key. Raises KeyError."""
    return str(key["eventId"]["S"]) if "eventId" in key else event_of(key["laneId"]["S"])


def by_user_key(user_id: str, created_at: str, lane: str) -> dict[str, Any]:
    """Return the key of a booking in the index by user, its lane by its id."""
    return {"userId": text(user_id), "createdAt": text(created_at), "laneId": text(lane)}


def by_creation_key(event_id: str, created_at: str) -> dict[str, Any]:
    """Return the key of an event in the index by creation."""
    return {"kind": text(KIND), "createdAt": text(created_at), "eventId": text(event_id)}


def partition(table: str, key: str, value: str) -> dict[str, Any]:
    """Return the Query for all items under a partition key, strongly consistent."""
    return {
        "TableName": table,
        "KeyConditionExpression": f"{key} = :value",
        "ExpressionAttributeValues": {":value": text(value)},
        "ConsistentRead": True,
    }


def entry_key(event: Event, sequence: int) -> dict[str, Any]:
    """Return the key of an entry in WaitingList: its places take turns over the stripes."""
    return {"stripeId": text(stripe_id(event.event_id, sequence % event.stripes)), "sequence": number(sequence)}


def tail_key(event: Event) -> dict[str, Any]:
    """Return the key of the end of an event's waiting list, which hands out its places: a partition of its own."""
    return {"stripeId": text(f"{event.event_id}#tail"), "sequence": number(0)}


def event_item(event: Event) -> Item:
    """Return the item of a new event."""
    fixed = {
        "kind": text(KIND),
        "lanes": number(event.lanes),
        "stripes": number(event.stripes),
        "createdAt": text(event.created_at),
        "requestFingerprint": text(event.request_fingerprint),
    }
    return {**event_key(event.event_id), **fixed, **_present(changeable(event))}


def changeable(event: Event) -> dict[str, Any]:
    """Return what an organiser may change, None for what is not there, and how often that was done."""
    return {
        "name": text(event.name),
        "totalTickets": number(event.total_tickets),
        **window(event),
        **waiting_list_limit(event),
        "revision": number(event.revision),
    }


def waiting_list_limit(event: Event) -> dict[str, Any]:
    """Return how many may wait, None without a limit: the event shows it, its list's tail decides by it."""
    limit = event.waiting_list_limit
    return {"waitingListLimit": None if limit is None else number(limit)}


def assignment(attributes: Mapping[str, Any]) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Return the update that gives attributes these values, and takes away those with None; its names, and its values.

    It may be followed by an ADD.
    """
    given = [name for name, value in attributes.items() if value is not None]
    taken = [f"#{name}" for name in attributes if name not in given]
    parts = [("SET", [f"#{name} = :{name}" for name in given]), ("REMOVE", taken)]
    update = " ".join(f"{verb} {', '.join(actions)}" for verb, actions in parts if actions)
    return update, {f"#{name}": name for name in attributes}, {f":{name}": attributes[name] for name in given}


def to_event(item: Item) -> Event:
    """Read an event."""
    return Event(
        event_id=_text(item, "eventId"),
        name=_text(item, "name"),
        total_tickets=_number(item, "totalTickets"),
        lanes=_number(item, "lanes"),
        stripes=_number(item, "stripes"),
        created_at=_text(item, "createdAt"),
        request_fingerprint=_text(item, "requestFingerprint"),
        sold_out_at=_optional_text(item, "soldOutAt"),
        cancelled_at=_optional_text(item, "cancelledAt"),
        emptied_at=_optional_text(item, "emptiedAt"),
        opens_at=_optional_text(item, "opensAt"),
        closes_at=_optional_text(item, "closesAt"),
        waiting_list_limit=_optional_number(item, "waitingListLimit"),
        revision=_number(item, "revision"),
    )


def tail_item(event: Event) -> Item:
    """Return the item of the end of a new event's waiting list."""
    return {**tail_key(event), "lastSequence": number(0), **_present(waiting_list_limit(event))}


def to_tail(item: Item) -> Tail:
    """Read the end of a waiting list."""
    return Tail(
        last_sequence=_number(item, "lastSequence"),
        limit=_optional_number(item, "waitingListLimit"),
        cancelled_at=_optional_text(item, "cancelledAt"),
    )


def lane_item(lane: Lane) -> Item:
    """Return the item of a new lane."""
    return lane_key(lane.event_id, lane.number) | {
        "tickets": number(lane.tickets),
        "available": number(lane.available),
        "waiting": number(lane.waiting),
        "changes": number(lane.changes),
        "revision": number(lane.revision),
        **_present(window(lane)),
    }


def window(of: Event | Lane) -> dict[str, Any]:
    """Return the moments between which an event or a lane is on sale, None for what is not there."""
    moments = {"opensAt": of.opens_at, "closesAt": of.closes_at}
    return {name: moment and text(moment) for name, moment in moments.items()}


def to_lane(item: Item) -> Lane:
    """Read a lane."""
    event_id, _, lane = _text(item, "laneId").rpartition("#")
    return Lane(
        event_id=event_id,
        number=int(lane),
        tickets=_number(item, "tickets"),
        available=_number(item, "available"),
        waiting=_number(item, "waiting"),
        changes=_number(item, "changes"),
        closed_at=_optional_text(item, "closedAt"),
        cancelled_at=_optional_text(item, "cancelledAt"),
        opens_at=_optional_text(item, "opensAt"),
        closes_at=_optional_text(item, "closesAt"),
        revision=_number(item, "revision"),
    )


def booking_item(event: Event, booking: Booking) -> Item:
    """Return the item of a booking."""
    item = booking_key(event, booking.user_id) | {
        "eventId": text(booking.event_id),
        "bookingId": text(booking.booking_id),
        "generation": number(booking.generation),
        "status": text(booking.status),
        "createdAt": text(booking.created_at),
    }
    if booking.sequence is not None:
        item["sequence"] = number(booking.sequence)
    times = {
        "bookedAt": booking.booked_at,
        "joinedAt": booking.joined_at,
        "promotedAt": booking.promoted_at,
        "cancelledAt": booking.cancelled_at,
    }
    return item | {name: text(time) for name, time in times.items() if time}


def to_booking(item: Item) -> Booking:
    """Read a booking."""
    return Booking(
        event_id=_text(item, "eventId"),
        user_id=_text(item, "userId"),
        booking_id=_text(item, "bookingId"),
        generation=_number(item, "generation"),
        status=_status(item),
        sequence=_optional_number(item, "sequence"),
        booked_at=_optional_text(item, "bookedAt"),
        joined_at=_optional_text(item, "joinedAt"),
        promoted_at=_optional_text(item, "promotedAt"),
        cancelled_at=_optional_text(item, "cancelledAt"),
    )


def entry_item(event: Event, entry: Entry) -> Item:
    """Return the item of a place in the waiting list."""
    return entry_key(event, entry.sequence) | {
        "userId": text(entry.user_id),
        "bookingId": text(entry.booking_id),
        "joinedAt": text(entry.joined_at),
    }


def to_entry(item: Item) -> Entry:
    """Read a place in the waiting list."""
    return Entry(
        event_id=event_of(_text(item, "stripeId")),
        sequence=_number(item, "sequence"),
        user_id=_text(item, "userId"),
        booking_id=_text(item, "bookingId"),
        joined_at=_text(item, "joinedAt"),
    )


def _present(attributes: Mapping[str, Any]) -> Item:
    return {name: value for name, value in attributes.items() if value is not None}


def _text(item: Item, name: str) -> str:
    try:
        return str(item[name]["S"])
    except (KeyError, TypeError):
        raise _damaged(item, name) from None


def _optional_text(item: Item, name: str) -> str | None:
    return _text(item, name) if name in item else None


def _number(item: Item, name: str) -> int:
    try:
        return int(item[name]["N"])
    except (KeyError, TypeError, ValueError):
        raise _damaged(item, name) from None


def _optional_number(item: Item, name: str) -> int | None:
    return _number(item, name) if name in item else None


def _status(item: Item) -> Status:
    try:
        return Status(_text(item, "status"))
    except ValueError:
        raise _damaged(item, "status") from None


def _damaged(item: Item, name: str) -> DamagedItem:
    """Say of an item which one it is; each holds its whole key."""
    noun, key = next((noun, key) for noun, key in _KEYS.items() if item.keys() >= set(key))
    values = (next(iter(item[part].values())) for part in key)
    return DamagedItem(" ".join((noun, *map(str, values))), name)
