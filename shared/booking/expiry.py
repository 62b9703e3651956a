"""Expiring: holds that were not confirmed in time end, and their tickets move on.

The index of holds by expiry says which holds are due. It is only eventually consistent, so the condition of each
transaction decides: a hold that was confirmed or cancelled in the meantime stays as it is. The released tickets reach
the next users in line through the stream, as after a cancellation.

H1 alone depends on a clock: `expiresAt` was written by the function that made the hold, and is compared with the clock
of the function that expires it, less MARGIN_S.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from shared import runtime, telemetry
from shared.booking import catalog
from shared.booking.cancellation import BOOKINGS_MAX, expire_all
from shared.model import HOLD_SHARDS, Booking, DamagedItem, TryAgain, later, seconds_between
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.items import Item
from shared.telemetry import Metric

MARGIN_S = 2.0  # the clocks of two functions may differ by this much before H1 is broken
RESERVE_S = 5.0  # of an invocation's time, kept for the last request and the answer
PAGE_HOLDS = 500  # in memory at once: about 500 kB
LANE_S_MAX = 5.0  # for the holds of one page on one lane, so that a busy lane does not take the time of the others
HOLDS_PER_S_MAX = 500  # a quarter of what a new table takes; the rest is for bookings


def expire(time_left_s: float) -> int:
    """Expire the holds that are due, as many as the time allows; return how many. The next run does the rest.

    Shards come in random order, so that repeated runs reach all. Safe to repeat, and to run twice at once.
    """
    deadline = Deadline.after(time_left_s - RESERVE_S)
    run = _Run(deadline, runtime.current.monotonic_s(), due=later(runtime.current.now(), -MARGIN_S))
    try:
        for shard in runtime.current.shuffled(range(HOLD_SHARDS)):
            run.expire_shard(shard)
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

    def expire_shard(self, shard: int) -> None:
        """Expire the due holds of a shard, page by page, lane by lane. Raises TryAgain when the time is up."""
        request = _due_holds(shard, self.due)
        while True:
            page = dynamodb.query(self.deadline, **request)
            for lane, holds in groupby(sorted(page["Items"], key=_lane), key=_lane):
                self._expire(items.event_of(lane), list(holds))
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _expire(self, event_id: str, holds: list[Item]) -> None:
        """Expire holds of one lane. A failure is logged and does not keep the others."""
        deadline = self.deadline.within(LANE_S_MAX)
        with telemetry.about(event_id):
            try:
                oldest = min(str(one["expiresAt"]["S"]) for one in holds)
                self.oldest_s = max(self.oldest_s, seconds_between(oldest, runtime.current.now()))
                event = catalog.read_event(event_id, deadline)
                bookings = list(_readable(holds))
                for first in range(0, len(bookings), BOOKINGS_MAX):
                    self.expired += expire_all(event, bookings[first : first + BOOKINGS_MAX], deadline, self.due)
                    self._keep_pace()
            except TryAgain:
                if self.deadline.has_passed:
                    raise
                telemetry.warning("not expired yet")
            except Exception:  # noqa: BLE001  # no fault of one event may keep the holds of others
                telemetry.failure("not expired")

    def _keep_pace(self) -> None:
        ahead_s = self.began_s + self.expired / HOLDS_PER_S_MAX - runtime.current.monotonic_s()
        runtime.current.sleep(min(max(0.0, ahead_s), self.deadline.left_s))


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
