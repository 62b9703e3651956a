"""Events: open one, read it, and count what is left.

A warm function caches events: fixed fields never change, and cancelled and emptied are permanent. Whether an event is
sold out may be old: conditions name the sale. What an organiser can change is read again before it is shown or decides
anything.
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import astuple, replace

from shared import runtime, telemetry
from shared.booking import sale_window
from shared.booking.cache import Cache
from shared.model import (
    NO_HOLDS,
    AlreadyClosed,
    Availability,
    Event,
    EventNotFound,
    IdempotencyKeyReused,
    Lane,
    Rules,
    Terms,
    lanes_for,
    stripes_for,
)
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import Name, TransactItem
from shared.store.items import Item

KNOWN_MAX = 1_000  # events that a warm function caches; about 500 bytes each

_ID_NAMESPACE = uuid.UUID("6c0b5c62-5d5a-4f0e-9d7e-0f6a3f5a7a11")  # of the ids that follow from an Idempotency-Key

_IS_NEW = "attribute_not_exists(eventId)"  # P7: a repeated request opens no second event
_NEVER = f"{_IS_NEW} AND attribute_exists(eventId)"  # the event is only looked for, not opened

_known: Cache[Event] = Cache("events", KNOWN_MAX)


def open_event(
    terms: Terms, deadline: Deadline, *, rules: Rules = NO_HOLDS, caller: str = "", idempotency_key: str | None = None
) -> Event:
    """Open an event with 1 to TICKETS_MAX tickets. All of them go on sale at the event's `opens_at`, or at once.

    With an `idempotency_key` the id follows from it and the caller. So a repeated request finds the event that it
    opened, and returns it as it was opened, even if its sale has ended since.

    Raises ImpossibleWindow; AlreadyClosed; IdempotencyKeyReused if the key came with another body before; TryAgain.
    """
    sale_window.check(terms.opens_at, terms.closes_at)
    lanes, rules = lanes_for(terms.total_tickets), rules.with_defaults()
    event = Event(
        event_id=_id_of(caller, idempotency_key) if idempotency_key else runtime.current.new_id(),
        terms=terms,
        lanes=lanes,
        stripes=stripes_for(lanes),
        created_at=runtime.current.now(),
        request_fingerprint=_fingerprint(terms, rules),
        tickets_in_lanes=terms.total_tickets,
        rules=rules,
    )
    has_closed = terms.closes_at is not None and terms.closes_at <= event.created_at
    refused = dynamodb.commit(_open(event, _NEVER if has_closed else _IS_NEW), deadline)
    if refused is None:
        telemetry.outcome(telemetry.Metric.EVENT_OPENED, event_id=event.event_id, tickets=terms.total_tickets)
        return event
    existing_item = refused["event"].item
    if existing_item is None:  # only _NEVER is refused without an item
        raise AlreadyClosed(str(terms.closes_at))
    existing = items.to_event(existing_item)
    if existing.request_fingerprint != event.request_fingerprint:
        raise IdempotencyKeyReused(event.event_id)
    return replace(event, created_at=existing.created_at)  # P7: the same answer, even if it was changed since


def read_event(event_id: str, deadline: Deadline) -> Event:
    """Return the event, from the cache if it is there.

    Raises EventNotFound; TryAgain.
    """
    return _known.get(event_id) or read_anew(event_id, deadline)


def read_anew(event_id: str, deadline: Deadline) -> Event:
    """Read the event as it is now. Raises EventNotFound; TryAgain."""
    item = dynamodb.get(deadline, items.EVENTS, items.event_key(event_id))
    if item is None:
        raise EventNotFound(event_id)
    return remember(items.to_event(item))


def remember(event: Event) -> Event:
    """Cache an event; the oldest is dropped when there are too many."""
    return _known.keep(event.event_id, event)


def lane_keys(event: Event) -> list[Item]:
    """List the keys of all lanes of an event."""
    return [items.lane_key(event.event_id, number) for number in range(event.lanes)]


def read_lanes(event: Event, deadline: Deadline) -> list[Lane]:
    """Read all lanes in the order of their numbers, each as of its own moment. Raises TryAgain."""
    found = dynamodb.get_all(deadline, {items.LANES: lane_keys(event)})
    return _in_order(found[items.LANES])


def read_with_lanes(event: Event, deadline: Deadline) -> tuple[Event, list[Lane]]:
    """Read an event again and all its lanes, in one request, each as of its own moment. Raises TryAgain."""
    found = dynamodb.get_all(deadline, keys_with_lanes(event))
    return found_with_lanes(found)


def keys_with_lanes(event: Event) -> dict[str, list[Item]]:
    """List the keys of an event and of all its lanes, by their tables."""
    return {items.EVENTS: [items.event_key(event.event_id)], items.LANES: lane_keys(event)}


def found_with_lanes(found: Mapping[str, list[Item]]) -> tuple[Event, list[Lane]]:
    """Return the event and its lanes among what was found, and cache the event."""
    return remember(items.to_event(found[items.EVENTS][0])), _in_order(found[items.LANES])


def availability(event: Event, lanes: list[Lane]) -> Availability:
    """Count what is left, and how many users wait.

    Lanes are read at different moments, so sums may be off while bookings go on. The bounds keep them possible.
    """
    total = sum(lane.tickets for lane in lanes)
    available = sum(lane.available for lane in lanes)
    waiting = sum(lane.waiting for lane in lanes)
    return Availability(
        event, total, min(available, total), max(waiting, 0), checked_in_tickets=sum(lane.checked_in for lane in lanes)
    )


def _id_of(caller: str, idempotency_key: str) -> str:
    return str(uuid.uuid5(_ID_NAMESPACE, f"{caller}\n{idempotency_key}"))


def _open(event: Event, condition: str) -> dict[Name, TransactItem]:
    """Put the event on a condition, the end of its list, and its lanes with the tickets spread evenly."""
    put_event = {
        "TableName": items.EVENTS,
        "Item": items.event_item(event),
        "ConditionExpression": condition,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    transaction: dict[Name, TransactItem] = {
        "event": {"Put": put_event},
        "tail": {"Put": {"TableName": items.WAITING_LIST, "Item": items.tail_item(event)}},
    }
    share, rest = divmod(event.terms.total_tickets, event.lanes)
    for number in range(event.lanes):
        tickets = share + (number < rest)
        lane = Lane(
            event.event_id, number, tickets, available=tickets, waiting=0, changes=0,
            opens_at=event.terms.opens_at, closes_at=event.terms.closes_at,
        )  # fmt: skip
        transaction["lane", number] = {"Put": {"TableName": items.LANES, "Item": items.lane_item(lane)}}
    return transaction


def _fingerprint(terms: Terms, rules: Rules) -> str:
    facts = (*astuple(rules), *astuple(terms)[1:], terms.name)  # the name comes last, because it may have any text
    return hashlib.sha256("\n".join(map(str, facts)).encode()).hexdigest()


def _in_order(lane_items: list[Item]) -> list[Lane]:
    return sorted(map(items.to_lane, lane_items), key=lambda lane: lane.number)
