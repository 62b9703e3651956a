"""The limit of a waiting list, where its organiser has set one: who finds it full is refused.

Those who wait are counted by the lanes. A ticket that is free is somebody's place less: it is as good as given to the
head of the list. So a limit of 0 still sells the tickets that come back.

A function counts once a second at the most, and adds those who joined through it since. So the list may overrun its
limit by those who join through other functions within that second, of whom the list's one counter admits a thousand,
and by one request in flight for each function.
"""

from dataclasses import dataclass

from shared import runtime
from shared.booking import catalog
from shared.booking.cache import Cache
from shared.model import Event, Tail, WaitingListFull
from shared.store.dynamodb import Deadline

COUNT_AGE_MAX_S = 1.0
COUNTS_MAX = 1_000  # lists whose length a warm function keeps in mind


@dataclass(slots=True)
class _Queue:
    """A list as it was counted, and its limit then."""

    waiting: int  # beyond the tickets that were free
    limit: int
    read_at_s: float  # on the monotonic clock

    @property
    def is_fresh(self) -> bool:
        return runtime.current.monotonic_s() <= self.read_at_s + COUNT_AGE_MAX_S


_queues: Cache[_Queue] = Cache("waiting lists", COUNTS_MAX)


def known_refusal(event: Event) -> WaitingListFull | None:
    """Say without a request that the list was full within the last COUNT_AGE_MAX_S; None if that is not known."""
    queue = _queues.get(event.event_id)
    return _refusal(event, queue) if queue and queue.is_fresh else None


def refusal(event: Event, tail: Tail, deadline: Deadline) -> WaitingListFull | None:
    """Say whether the event's list, whose tail was just read, is full. Raises TryAgain.

    Without a limit it costs nothing.
    """
    if tail.waiting_list_limit is None:
        return None
    queue = _queues.get(event.event_id)
    if queue is None or not queue.is_fresh or queue.limit != tail.waiting_list_limit:
        lanes = catalog.read_lanes(event, deadline)
        waiting = sum(lane.waiting - lane.available for lane in lanes)
        queue = _queues.keep(event.event_id, _Queue(waiting, tail.waiting_list_limit, runtime.current.monotonic_s()))
    return _refusal(event, queue)


def count(event: Event) -> None:
    """Note that somebody has joined."""
    if queue := _queues.get(event.event_id):
        queue.waiting += 1


def _refusal(event: Event, queue: _Queue) -> WaitingListFull | None:
    return WaitingListFull(event.event_id, queue.limit) if queue.waiting >= queue.limit else None
