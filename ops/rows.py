"""Read the items of one event page by page: strongly consistent, one page in memory, one deadline per page."""

import heapq
import sys
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain, islice
from typing import Any

from tqdm import tqdm

from shared.booking import catalog
from shared.model import LANES_MAX, STRIPES_MAX, DamagedItem, Event, EventNotFound, Lane
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.items import Item

PAGE_ROWS = 1_000  # bounds the memory; a row takes about 3 kB
REQUEST_S_MAX = 20.0  # for one request and its retries


def deadline() -> Deadline:
    """Return the deadline of one request and its retries."""
    return Deadline.after(REQUEST_S_MAX)


def event(event_id: str) -> Event:
    """Read an event as it is now. Raises EventNotFound; TryAgain; DamagedItem."""
    item = dynamodb.get(deadline(), items.EVENTS, items.event_key(event_id))
    if item is None:
        raise EventNotFound(event_id)
    found = items.to_event(item)
    for name, parts, most in (("lanes", found.lanes, LANES_MAX), ("stripes", found.stripes, STRIPES_MAX)):
        if not 1 <= parts <= most:
            raise DamagedItem(f"event {event_id}", name)
    return found


def lanes(of: Event) -> list[Lane]:
    """Read all lanes, each as of its own moment. Raises TryAgain."""
    return catalog.read_lanes(of, deadline())


def bookings(of: Event) -> Iterator[list[Item]]:
    """Yield pages of all bookings of an event, cancelled ones too, lane by lane. Raises TryAgain."""
    for lane in range(of.lanes):
        yield from _pages(items.BOOKINGS, "laneId", items.lane_id(of.event_id, lane))


def entries(of: Event) -> Iterator[list[Item]]:
    """Yield pages of the waiting list in its order, merged from all stripes. Raises TryAgain."""
    stripes = [
        chain.from_iterable(_pages(items.WAITING_LIST, "stripeId", items.stripe_id(of.event_id, stripe)))
        for stripe in range(of.stripes)
    ]
    in_order = heapq.merge(*stripes, key=lambda entry: Decimal(entry["sequence"]["N"]))
    while page := list(islice(in_order, PAGE_ROWS)):
        yield page


def progress(total: int, doing: str) -> "tqdm[Any]":
    """Return a progress bar, which is shown if stderr is a terminal."""
    return tqdm(total=total, desc=doing, unit=" rows", file=sys.stderr, disable=None, leave=False, dynamic_ncols=True)


def _pages(table: str, key: str, value: str) -> Iterator[list[Item]]:
    request = items.partition(table, key, value) | {"Limit": PAGE_ROWS}
    while True:
        page = dynamodb.query(deadline(), **request)
        yield page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
