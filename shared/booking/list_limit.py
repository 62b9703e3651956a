"""The limit of a waiting list, if the organiser has set one: a full list refuses users.

The lanes count the users who wait. Free tickets are subtracted, since they go to the head of the list, except if a
booking may have several tickets: then the head may have to wait beside them. With a limit of 0, returned tickets are
still sold, to the first user who asks.

A warm function counts at most once a second, and adds the users who have joined through it since. So a list may exceed
its limit by the users who join through other functions within that second (at most a thousand: all draw their numbers
from the list's one counter), and by one request in flight for each function.
"""

from dataclasses import dataclass

from shared import runtime
from shared.booking import catalog
from shared.booking.cache import Cache
from shared.model import Event, Tail, WaitingListFull
from shared.runtime import Deadline

COUNT_AGE_S_MAX = 1.0
COUNTS_MAX = 1_000  # lists whose count a warm function caches


@dataclass(slots=True)
class _Count:
    """The count of a list, and the limit that the list had at that time."""

    waiting: int  # less the free tickets that will go to them
    limit: int
    read_at_s: float  # on the monotonic clock

    @property
    def is_fresh(self) -> bool:
        return runtime.current.monotonic_s() <= self.read_at_s + COUNT_AGE_S_MAX


_counts: Cache[_Count] = Cache("waiting lists", COUNTS_MAX)


def known_refusal(event: Event) -> WaitingListFull | None:
    """Return the refusal if the list is known to have been full within COUNT_AGE_S_MAX. Makes no request."""
    known = _counts.get(event.event_id)
    return _refusal(event, known) if known and known.is_fresh else None


def refusal(event: Event, tail: Tail, deadline: Deadline) -> WaitingListFull | None:
    """Return the refusal if the event's list is full; `tail` has just been read. Raises TryAgain.

    Makes no request for a list without a limit.
    """
    if tail.waiting_list_limit is None:
        return None
    known = _counts.get(event.event_id)
    if known is None or not known.is_fresh or known.limit != tail.waiting_list_limit:
        lanes = catalog.read_lanes(event, deadline)
        waiting = sum(lane.waiting for lane in lanes)
        if event.rules.tickets_per_booking == 1:
            waiting -= sum(lane.available for lane in lanes)
        known = _counts.keep(event.event_id, _Count(waiting, tail.waiting_list_limit, runtime.current.monotonic_s()))
    return _refusal(event, known)


def forget(event: Event) -> None:
    """Forget the count: it may include a place that a user has left since, or miss a ticket that they returned."""
    _counts.drop(event.event_id)


def count(event: Event) -> None:
    """Note that a user has joined."""
    if known := _counts.get(event.event_id):
        known.waiting += 1


def _refusal(event: Event, known: _Count) -> WaitingListFull | None:
    return WaitingListFull(event.event_id, known.limit) if known.waiting >= known.limit else None
