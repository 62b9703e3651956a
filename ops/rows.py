"""What the tables hold of one event, page by page: strongly consistent, one page in memory, a deadline per page."""

import heapq
import sys
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from tqdm import tqdm

from shared.booking import catalog
from shared.model import Event, EventNotFound, Lane
from shared.store import dynamodb, items
from shared.store.dynamodb import Deadline
from shared.store.items import Item

PAGE_ROWS = 1_000  # bounds the memory: some 3 kB each
REQUEST_S_MAX = 20.0  # until a database that does not answer is given up


def deadline() -> Deadline:
    """Return the deadline of one request and its retries."""
    return Deadline.after(REQUEST_S_MAX)


def event(event_id: str) -> Event:
    """Read an event as it is now. Raises EventNotFound; TryAgain."""
    item = dynamodb.get(deadline(), items.EVENTS, items.event_key(event_id))
    if item is None:
        raise EventNotFound(event_id)
    return items.to_event(item)


def lanes(of: Event) -> list[Lane]:
    """Read all lanes, each as of its own moment. Raises TryAgain."""
    return catalog.read_lanes(of, deadline())


def bookings(of: Event) -> Iterator[list[Item]]:
    """Yield pages of all bookings of an event, cancelled ones too, lane by lane. Raises TryAgain."""
    for lane in range(of.lanes):
        yield from _pages(items.BOOKINGS, "laneId", items.lane_id(of.event_id, lane))


def entries(of: Event) -> Iterator[list[Item]]:
    """Yield pages of the waiting list, in its order, from all its stripes. Raises TryAgain."""
    stripes = [
        chain.from_iterable(_pages(items.WAITING_LIST, "stripeId", items.stripe_id(of.event_id, stripe)))
        for stripe in range(of.stripes)
    ]
    in_order = heapq.merge(*stripes, key=lambda entry: int(entry["sequence"]["N"]))
    while page := list(islice(in_order, PAGE_ROWS)):
        yield page


def progress(total: int, doing: str) -> "tqdm[Any]":
    """Make a progress bar on stderr, where that is a terminal."""
    return tqdm(total=total, desc=doing, unit=" rows", file=sys.stderr, disable=None, leave=False, dynamic_ncols=True)


def _pages(table: str, key: str, value: str) -> Iterator[list[Item]]:
    request = items.partition(table, key, value) | {"Limit": PAGE_ROWS}
    while True:
        page = dynamodb.query(deadline(), **request)
        yield page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
