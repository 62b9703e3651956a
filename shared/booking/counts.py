"""An event's counts, which a warm function caches for a second: many watch an event, and a count reads all its lanes.

A cached count never decides anything, it is only shown, with the moment at which it began. An event can have a million
watchers, so a function counts an event once a second for all of them.

A caller may ask for a new count. Anyone may, with or without a token, and browsers do when a page is reloaded. So a
function makes one for them at most once a second as well. A request within that second gets the same one: it is less
than a second old, and says so.
"""

from dataclasses import dataclass

from shared import runtime
from shared.booking.cache import Cache
from shared.model import Counts

AGE_S_MAX = 1.0  # of a cached count
COUNTS_MAX = 1_000  # events whose count a warm function caches; about 500 bytes each


@dataclass(frozen=True, slots=True)
class Began:
    """The moment at which a count began: every change that was acknowledged before is in it."""

    moment: str
    time_s: float
    monotonic_s: float

    @classmethod
    def now(cls) -> "Began":
        """Return the present moment."""
        return cls(runtime.current.now(), runtime.current.time_s(), runtime.current.monotonic_s())

    @property
    def is_recent(self) -> bool:
        """Tell whether it was at most AGE_S_MAX ago, by both clocks.

        The monotonic one may stand still while Lambda freezes the function; the other one may be set back.
        """
        age_s = runtime.current.time_s() - self.time_s
        return 0 <= age_s <= AGE_S_MAX and runtime.current.monotonic_s() - self.monotonic_s <= AGE_S_MAX


@dataclass(frozen=True, slots=True)
class _Kept:
    counts: Counts
    began: Began
    was_asked_for: bool  # by a caller who wanted a new count


_kept: Cache[_Kept] = Cache("counts", COUNTS_MAX)


def known(event_id: str, *, anew: bool) -> Counts | None:
    """Return the cached counts if they are recent; `anew`, only those made for a caller who wanted new ones, too."""
    kept = _kept.get(event_id)
    if kept is None or not kept.began.is_recent or (anew and not kept.was_asked_for):
        return None
    return kept.counts


def keep(counts: Counts, began: Began, *, anew: bool) -> Counts:
    """Cache the counts and return them."""
    _kept.keep(counts.availability.event.event_id, _Kept(counts, began, anew))
    return counts
