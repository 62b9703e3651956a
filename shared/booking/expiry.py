"""Expiring: holds that were not confirmed in time end, and their tickets move on.

The index of holds by expiry says which holds are due. It is only eventually consistent, so the condition of each
transaction decides: a hold that was confirmed or cancelled in the meantime stays as it is. The released tickets reach
the next users in line through the stream, as after a cancellation.

H1 alone depends on a clock: `expiresAt` was written by the function that made the hold, and is compared with the clock
of the function that expires it, less MARGIN_S.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from shared import runtime, telemetry
from shared.booking import catalog
from shared.booking.cancellation import expire_all
from shared.model import (
    BACKGROUND_RESERVE_S,
    HOLD_SHARDS,
    Booking,
    DamagedItem,
    TryAgain,
    later,
    seconds_between,
)
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.items import Item
from shared.telemetry import Metric

MARGIN_S = 2.0  # the clocks of two functions may differ by this much before H1 is broken
SHARDS_AT_ONCE = 16  # of which a page each is in memory: at most about 8 MB
PAGE_HOLDS = 500
HOLDS_MAX = 10  # of one transaction: a larger one takes from its partition more than a tenth of a second brings
LANE_S_MAX = 5.0  # for a transaction; then the rest of the page's holds on its lane wait, so that the others need not
HOLDS_PER_S_MAX = 500  # a quarter of what a new table takes; the rest is for bookings


def expire(time_left_s: float) -> int:
    """Expire the holds that are due, as many as the time allows; return how many. The next run does the rest.

    Shards come in random order, so that repeated runs reach all. Safe to repeat, and to run twice at once.
    """
    deadline = Deadline.after(time_left_s - BACKGROUND_RESERVE_S)
    run = _Run(deadline, runtime.current.monotonic_s(), due=later(runtime.current.now(), -MARGIN_S))
    shards = runtime.current.shuffled(range(HOLD_SHARDS))
    try:
        for first in range(0, HOLD_SHARDS, SHARDS_AT_ONCE):
            run.expire_shards(shards[first : first + SHARDS_AT_ONCE])
    except TryAgain:
        telemetry.warning("expiry ends early")
    telemetry.outcome(Metric.OVERDUE_HOLD_AGE, run.oldest_s, expired=run.expired)
    return run.expired


@dataclass(slots=True)
class _Run:
    """One run: until when, which holds are due, and what it has found and done so far."""

    deadline: Deadline
    began_s: float  # on the monotonic clock
    due: str  # holds that expire at this moment or before it
    expired: int = 0
    oldest_s: float = 0.0  # how long the oldest one that was found had been overdue

    def expire_shards(self, shards: Sequence[int]) -> None:
        """Expire the due holds of some shards, a page of each at a time. Raises TryAgain when the time is up.

        The holds of a lane lie on one partition, which by itself takes less than this pace. So lanes take turns: their
        transactions come in random order.
        """
        requests = [_due_holds(shard, self.due) for shard in shards]
        while requests:
            pages = [dynamodb.query(self.deadline, **request) for request in requests]
            busy: set[str] = set()
            parts = [part for page in pages for part in _parts(page)]
            for lane, holds in runtime.current.shuffled(parts):
                if lane not in busy and not self._expire(items.event_of(lane), holds):
                    busy.add(lane)
            requests = [
                request | {"ExclusiveStartKey": page["LastEvaluatedKey"]}
                for request, page in zip(requests, pages, strict=True)
                if "LastEvaluatedKey" in page
            ]

    def _expire(self, event_id: str, holds: list[Item]) -> bool:
        """Expire holds of one lane. A failure is logged and does not keep the others; return whether it was none."""
        deadline = self.deadline.within(LANE_S_MAX)
        with telemetry.about(event_id):
            try:
                oldest = min(str(one["expiresAt"]["S"]) for one in holds)
                self.oldest_s = max(self.oldest_s, seconds_between(oldest, runtime.current.now()))
                event = catalog.read_event(event_id, deadline)
                if bookings := list(_readable(holds)):
                    self.expired += expire_all(event, bookings, deadline, self.due)
                    self._keep_pace()
            except TryAgain:
                if self.deadline.has_passed:
                    raise
                telemetry.warning("not expired yet")
                return False
            except Exception:  # noqa: BLE001  # no fault of one event may keep the holds of others
                telemetry.failure("not expired")
                return False
        return True

    def _keep_pace(self) -> None:
        ahead_s = self.began_s + self.expired / HOLDS_PER_S_MAX - runtime.current.monotonic_s()
        runtime.current.sleep(min(max(0.0, ahead_s), self.deadline.left_s))


def _parts(page: dict[str, Any]) -> Iterator[tuple[str, list[Item]]]:
    """Yield a page's holds by lane, those of one transaction together."""
    for lane, holds in groupby(sorted(page["Items"], key=_lane), key=_lane):
        while part := list(islice(holds, HOLDS_MAX)):
            yield lane, part


def _due_holds(shard: int, due: str) -> dict[str, Any]:
    """Return the Query for a page of the holds of a shard that are due, the oldest first."""
    return {
        "TableName": items.BOOKINGS,
        "IndexName": items.HOLDS_BY_EXPIRY_INDEX,
        "KeyConditionExpression": "holdShard = :shard AND expiresAt <= :due",
        "ExpressionAttributeValues": {":shard": items.number(shard), ":due": items.text(due)},
        "Limit": PAGE_HOLDS,
    }


def _readable(holds: list[Item]) -> Iterator[Booking]:
    """Yield the bookings that can be read. A damaged one is logged, and does not keep the others of its lane."""
    for hold in holds:
        try:
            yield items.to_booking(hold)
        except DamagedItem:
            telemetry.failure("not expired")


def _lane(hold: Item) -> str:
    return str(hold["laneId"]["S"])
