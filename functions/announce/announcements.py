"""What a stream record announces. It follows from the item's two images alone, so a repeat announces the same.

    Bookings    before                 after        type
                none, or ended         HELD         booking.held         (booking again makes another booking)
                none, or ended         CONFIRMED    booking.confirmed
                none, or ended         WAITING      waiting.joined
                WAITING                HELD         booking.offered
                WAITING, or HELD       CONFIRMED    booking.confirmed
                HELD                   EXPIRED      booking.expired
                HELD, or CONFIRMED     CANCELLED    booking.cancelled
                no checkedInAt         checkedInAt  booking.checked-in
                CONFIRMED              TRANSFERRED  booking.transferred (the recipient's is a booking.confirmed)
                WAITING                CANCELLED    waiting.left
                HELD, or CONFIRMED     fewer        booking.reduced  (the same status, and fewer tickets)
                WAITING                fewer        waiting.reduced
    Events      none                   the event    event.opened
                another revision                    event.changed    (a change that is done: a refused one makes none)
                no soldOutAt           soldOutAt    event.sold-out
                soldOutAt              none         event.back-on-sale
                no cancelledAt         cancelledAt  event.cancelled

A booking keeps its bookingId, takes each of these steps at most once, and never goes back; it may be reduced several
times, each time to fewer tickets. An event sells out at most once in each of its sales. So the type, the bookingId or
eventId, and where a step can happen again its number, are an id that consumers can deduplicate by. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from shared import telemetry
from shared.model import Rules, Status, Terms
from shared.store import items
from shared.store.items import Item

# The version of every type's data. It grows when a field is removed or changes its meaning, not when one is added.
SCHEMA_VERSION: Final = 1

Record = dict[str, Any]  # as in the payload of a function
Values = Mapping[str, str | int]  # an item's attributes


class Type(StrEnum):
    """What can be announced."""

    BOOKING_HELD = "booking.held"
    BOOKING_OFFERED = "booking.offered"
    BOOKING_CONFIRMED = "booking.confirmed"
    BOOKING_EXPIRED = "booking.expired"
    BOOKING_REDUCED = "booking.reduced"
    WAITING_JOINED = "waiting.joined"
    WAITING_REDUCED = "waiting.reduced"
    BOOKING_CANCELLED = "booking.cancelled"
    BOOKING_CHECKED_IN = "booking.checked-in"
    BOOKING_TRANSFERRED = "booking.transferred"
    WAITING_LEFT = "waiting.left"
    EVENT_OPENED = "event.opened"
    EVENT_CHANGED = "event.changed"
    EVENT_SOLD_OUT = "event.sold-out"
    EVENT_BACK_ON_SALE = "event.back-on-sale"
    EVENT_CANCELLED = "event.cancelled"


class _Content(NamedTuple):
    """The attributes that an announcement takes from the item: its moment, and its data."""

    moment: str | None  # None: the moment of the record
    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()
    number: str | None = None  # what tells it from others of the same type and subject


_BOOKING: Final = ("eventId", "userId", "bookingId", "generation", "quantity")
_EVENT: Final = ("eventId", "name", "totalTickets")
_TERMS, _RULES = items.attributes(Terms), items.attributes(Rules)  # all of them, where they are set
_RENAMED: Final = {
    "cancelledBy": "by",
    "reducedBy": "by",
    "checkedInBy": "by",
    "transferredBy": "by",
}  # attributes that announcements call otherwise
_CONTENTS: Final = {
    Type.BOOKING_HELD: _Content("heldAt", (*_BOOKING, "heldAt", "expiresAt")),
    Type.BOOKING_OFFERED: _Content("heldAt", (*_BOOKING, "joinedAt", "promotedAt", "heldAt", "expiresAt")),
    Type.BOOKING_CONFIRMED: _Content(
        "bookedAt", (*_BOOKING, "bookedAt"), ("joinedAt", "promotedAt", "heldAt", "transferredFrom", "reference")
    ),
    Type.BOOKING_EXPIRED: _Content("expiredAt", (*_BOOKING, "heldAt", "expiredAt"), ("joinedAt", "promotedAt")),
    Type.BOOKING_REDUCED: _Content(
        "reducedAt",
        (*_BOOKING, "reducedAt", "reducedBy"),
        ("joinedAt", "promotedAt", "heldAt", "expiresAt", "bookedAt", "reference"),
        number="quantity",
    ),
    Type.WAITING_JOINED: _Content("joinedAt", (*_BOOKING, "joinedAt"), ("atLeast",)),
    Type.WAITING_REDUCED: _Content(
        "reducedAt", (*_BOOKING, "joinedAt", "reducedAt", "reducedBy"), ("atLeast",), number="quantity"
    ),
    Type.BOOKING_CANCELLED: _Content(
        "cancelledAt",
        (*_BOOKING, "cancelledAt", "cancelledBy"),
        ("joinedAt", "promotedAt", "heldAt", "bookedAt", "reference"),
    ),
    Type.BOOKING_TRANSFERRED: _Content(
        "transferredAt", (*_BOOKING, "bookedAt", "transferredAt", "transferredTo", "transferredBy"), ("reference",)
    ),
    Type.BOOKING_CHECKED_IN: _Content(
        "checkedInAt", (*_BOOKING, "bookedAt", "checkedInAt", "checkedInBy"), ("reference",)
    ),
    Type.WAITING_LEFT: _Content("cancelledAt", (*_BOOKING, "joinedAt", "cancelledAt", "cancelledBy")),
    Type.EVENT_OPENED: _Content("createdAt", (*_EVENT, "createdAt"), (*_TERMS, *_RULES)),
    Type.EVENT_CHANGED: _Content(None, (*_EVENT, "revision"), _TERMS, number="revision"),
    Type.EVENT_SOLD_OUT: _Content("soldOutAt", (*_EVENT, "sale", "soldOutAt"), number="sale"),
    Type.EVENT_BACK_ON_SALE: _Content(None, (*_EVENT, "sale"), number="sale"),
    Type.EVENT_CANCELLED: _Content("cancelledAt", (*_EVENT, "cancelledAt")),
}
_OF_NEW_BOOKING: Final = {
    Status.HELD: Type.BOOKING_HELD,
    Status.CONFIRMED: Type.BOOKING_CONFIRMED,
    Status.WAITING: Type.WAITING_JOINED,
}
_OF_SAME_BOOKING: Final = {
    (Status.WAITING, Status.HELD): Type.BOOKING_OFFERED,
    (Status.WAITING, Status.CONFIRMED): Type.BOOKING_CONFIRMED,
    (Status.HELD, Status.CONFIRMED): Type.BOOKING_CONFIRMED,
    (Status.HELD, Status.EXPIRED): Type.BOOKING_EXPIRED,
    (Status.HELD, Status.CANCELLED): Type.BOOKING_CANCELLED,
    (Status.CONFIRMED, Status.CANCELLED): Type.BOOKING_CANCELLED,
    (Status.CONFIRMED, Status.TRANSFERRED): Type.BOOKING_TRANSFERRED,
    (Status.WAITING, Status.CANCELLED): Type.WAITING_LEFT,
}
_OF_FEWER_TICKETS: Final = {
    Status.HELD: Type.BOOKING_REDUCED,
    Status.CONFIRMED: Type.BOOKING_REDUCED,
    Status.WAITING: Type.WAITING_REDUCED,
}


@dataclass(frozen=True, slots=True)
class Announcement:
    """One announcement. `subject` is a bookingId or an eventId; `time` is ISO 8601 in UTC."""

    type: Type
    id: str
    subject: str
    time: str
    data: Values

    def cloud_event(self) -> dict[str, Any]:
        """Return it as a CloudEvent in the JSON format."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": f"/ticket-office/{telemetry.stack()}",
            "type": self.type,
            "subject": self.subject,
            "time": self.time,
            "datacontenttype": "application/json",
            "dataschema": f"urn:ticket-office:{self.type}:{SCHEMA_VERSION}",
            "data": dict(self.data),
        }


def announcements(record: Record) -> list[Announcement]:
    """Return what a record announces: usually one thing; nothing of a deleted item, of a note, or if no step was taken.

    Raises DamagedItem, KeyError, TypeError or ValueError if the record cannot be read.
    """
    change = record["dynamodb"]
    if "NewImage" not in change or items.is_note(change["Keys"]):
        return []
    old, new = change.get("OldImage", {}), change["NewImage"]
    types = _of_booking(old, new) if "laneId" in change["Keys"] else _of_event(old, new)
    return [_announcement(type_, new, change) for type_ in types]


def _of_booking(old: Item, new: Item) -> Iterator[Type]:
    was, booking = items.to_booking(old) if old else None, items.to_booking(new)
    if was is None or was.booking_id != booking.booking_id:
        found = _OF_NEW_BOOKING.get(booking.status)
    elif was.status is booking.status and was.quantity > booking.quantity:
        found = _OF_FEWER_TICKETS.get(booking.status)
    else:
        found = _OF_SAME_BOOKING.get((was.status, booking.status))
        if booking.checked_in_at and not was.checked_in_at:
            found = Type.BOOKING_CHECKED_IN
    if found:
        yield found


def _of_event(old: Item, new: Item) -> Iterator[Type]:
    items.to_event(new)
    if not old:
        yield Type.EVENT_OPENED
    elif old.get("revision") != new.get("revision"):
        yield Type.EVENT_CHANGED
    for attribute, type_ in (("soldOutAt", Type.EVENT_SOLD_OUT), ("cancelledAt", Type.EVENT_CANCELLED)):
        if attribute in new and attribute not in old:
            yield type_
    if "soldOutAt" in old and "soldOutAt" not in new:
        yield Type.EVENT_BACK_ON_SALE


def _announcement(type_: Type, new: Item, change: Mapping[str, Any]) -> Announcement:
    moment, needed, optional, number = _CONTENTS[type_]
    told = {name: new[name] for name in needed} | {
        name: new[name] for name in optional if name in new and name not in needed
    }
    data = {_RENAMED.get(name, name): value for name, value in items.values(told).items()}
    subject = str(data["bookingId"] if "bookingId" in data else data["eventId"])
    which = subject if number is None else f"{subject}:{data[number]}"
    written = str(data[moment]) if moment else _iso(change["ApproximateCreationDateTime"])
    return Announcement(type_, f"{type_}:{which}", subject, written, data)


def _iso(since_1970_s: float) -> str:
    return datetime.fromtimestamp(since_1970_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
