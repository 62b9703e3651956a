"""The limit of a waiting list, if the organiser has set one: a full list refuses users.

The lanes count the users who wait. A free ticket lowers the count by one, because it will go to the head of the list.
So with a limit of 0 the tickets that come back are still sold.

A warm function counts at most once a second, and adds the users who have joined through it since. So a list may exceed
its limit by the users who join through other functions within that second (at most a thousand: all draw their numbers
from the list's one counter), and by one request in flight for each function.
"""

from dataclasses import dataclass

from shared import runtime
from shared.booking import catalog
from shared.booking.cache import Cache
from shared.model import Event, Tail, WaitingListFull
from shared.store.dynamodb import Deadline

COUNT_AGE_MAX_S = 1.0
COUNTS_MAX = 1_000  # lists whose count a warm function caches


@dataclass(slots=True)
class _Queue:
    """The count of a list, and the limit that the list had at that time."""

    waiting: int  # less the free tickets
    limit: int
    read_at_s: float  # on the monotonic clock

    @property
    def is_fresh(self) -> bool:
        return runtime.current.monotonic_s() <= self.read_at_s + COUNT_AGE_MAX_S


_queues: Cache[_Queue] = Cache("waiting lists", COUNTS_MAX)


def known_refusal(event: Event) -> WaitingListFull | None:
    """Return the refusal if the list is known to have been full within COUNT_AGE_MAX_S. Makes no request."""
    queue = _queues.get(event.event_id)
    return _refusal(event, queue) if queue and queue.is_fresh else None


def refusal(event: Event, tail: Tail, deadline: Deadline) -> WaitingListFull | None:
    """Return the refusal if the event's list is full; `tail` has just been read. Raises TryAgain.

    Makes no request for a list without a limit.
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
    """Note that a user has joined."""
    if queue := _queues.get(event.event_id):
        queue.waiting += 1


def _refusal(event: Event, queue: _Queue) -> WaitingListFull | None:
    return WaitingListFull(event.event_id, queue.limit) if queue.waiting >= queue.limit else None
