"""Cancelling an event: no user gets a ticket or a place any more, and the background cancels every booking.

    organiser        event            lanes            stream              background
      │── cancel ────▶ │ ───────────────────────────────▶ │ ── record ───────▶ │
      │── mark each lane ─────────────▶ │                                      │
      ◀─ 202                            │ ◀── mark each lane that is not yet ──│
                                        │     read the bookings of each lane     │
                                        │ ◀── cancel them, BOOKINGS_MAX at once ─│
                       │ ◀── emptied ──────────────────────────────────────────│

The event is marked first. After a crash, that mark lets the background finish the rest. A marked lane gives no ticket
and no place, because every transaction that would do so has a condition against it. So a read that begins after the
last lane was marked sees all bookings that the event will ever have: docs/decisions/0010.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from shared import runtime, telemetry
from shared.booking import catalog
from shared.booking.cancellation import BOOKINGS_MAX, cancel_all
from shared.model import Availability, Booking, Event, Lane
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.telemetry import Metric

BOOKINGS_PER_S_MAX = 500  # a quarter of what a new table takes; the rest is for bookings of other events
PAGE_BOOKINGS = 100  # of each lane, in memory at once: about 20 MB for 96 lanes


def cancel_event(event_id: str, deadline: Deadline) -> Availability:
    """Cancel an event permanently: when this returns, no user gets a ticket or a place any more (O3).

    Safe to repeat and to stop anywhere: every step sets only what is not set. `empty` does the rest.

    Raises EventNotFound; TryAgain.
    """
    event = catalog.read_event(event_id, deadline)
    if (
        dynamodb.set_once(deadline, items.EVENTS, items.event_key(event_id), "cancelledAt", runtime.current.now())
        is None
    ):
        telemetry.outcome(Metric.EVENT_CANCELLED, event_id=event_id)
    event, lanes = catalog.read_with_lanes(event, deadline)
    _mark(event, lanes, deadline)
    return catalog.availability(event, lanes)


def empty(event_id: str, deadline: Deadline) -> None:
    """Cancel all bookings of a cancelled event.

    Looks for active bookings only, so a repeated call continues where an earlier one stopped. One page of each lane is
    in memory, and at most BOOKINGS_PER_S_MAX bookings a second are cancelled: a million takes at least 34 minutes.

    Raises EventNotFound; TryAgain if the deadline passes before it is done.
    """
    event, lanes = catalog.read_with_lanes(catalog.read_event(event_id, deadline), deadline)
    if event.emptied_at is None:
        _mark(event, lanes, deadline)  # all of them, before the first booking is read (O3)
        _cancel_bookings(event, deadline)
        _mark_emptied(event, deadline)


def _mark(event: Event, lanes: list[Lane], deadline: Deadline) -> None:
    """Mark all lanes as cancelled: no late request gets a ticket or a place from them."""
    assert event.cancelled_at is not None, "the event is marked before its lanes"
    for lane in lanes:
        if lane.cancelled_at is None:
            key = items.lane_key(event.event_id, lane.number)
            dynamodb.set_once(deadline, items.LANES, key, "cancelledAt", event.cancelled_at)


def _cancel_bookings(event: Event, deadline: Deadline) -> None:
    """Cancel the bookings of all lanes, taking turns, so that the load spreads over the partitions."""
    began_s = runtime.current.monotonic_s()
    cancelled = 0
    lanes = [_active_bookings(event, lane, deadline) for lane in range(event.lanes)]
    while lanes:
        for bookings in tuple(lanes):
            if some := list(islice(bookings, BOOKINGS_MAX)):
                cancelled += cancel_all(event, some, deadline)
                runtime.current.sleep(
                    max(0.0, began_s + cancelled / BOOKINGS_PER_S_MAX - runtime.current.monotonic_s())
                )
            else:
                lanes.remove(bookings)


def _active_bookings(event: Event, lane: int, deadline: Deadline) -> Iterator[Booking]:
    bookings = items.partition(items.BOOKINGS, "laneId", items.lane_id(event.event_id, lane))
    for item in dynamodb.all_items("Query", deadline, **bookings, Limit=PAGE_BOOKINGS):
        booking = items.to_booking(item)
        if booking.is_active:
            yield booking


def _mark_emptied(event: Event, deadline: Deadline) -> None:
    moment = runtime.current.now()
    earlier = dynamodb.set_once(deadline, items.EVENTS, items.event_key(event.event_id), "emptiedAt", moment)
    catalog.remember(replace(event, emptied_at=earlier or moment))
    if earlier is None:
        telemetry.outcome(Metric.EVENT_EMPTIED, event_id=event.event_id)
