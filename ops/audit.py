"""audit EVENT: recount an event while bookings go on, and print for each promise whether it holds. It changes nothing.

The sweep's audit (shared/booking/audit.py) settles first and reports what is broken; this one only reads, and shows the
numbers. Both judge alike: a difference larger than the number of bookings that changed during the count is a violation,
and a count during which nothing changed is exact. The promoter gives a free ticket to a waiting user: only if nothing
at all happens for PATIENCE_S is that user stranded.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ops.recount import Count, count
from shared.booking.audit import OVERDUE_S_MAX, RECOUNTS_MAX, disagreements
from shared.model import Event
from shared.store import items

PATIENCE_S = 5.0  # for the promoter, which normally takes a second
HOLDS, VIOLATION, INCONCLUSIVE = 0, 1, 3


class Verdict(StrEnum):
    """Whether a promise holds, as far as a count can tell."""

    HOLDS = "holds"
    BROKEN = "BROKEN"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise, and the numbers that it is judged by."""

    promise: str
    verdict: Verdict
    numbers: str


def run(event_id: str) -> int:
    """Recount until the result is clear, at most RECOUNTS_MAX times. Print it and return the exit code."""
    stranded_at: int | None = None
    for turn in range(1, RECOUNTS_MAX + 1):
        counted = count(event_id)
        findings = list(judge(counted, stranded_at))
        seen_first = _is_stranded(counted) and stranded_at != counted.changes_before
        clear = (counted.moved == 0 and counted.is_at_rest) or Verdict.BROKEN in {
            finding.verdict for finding in findings
        }
        if turn == RECOUNTS_MAX or (clear and not seen_first):
            return _report(counted, findings)
        if seen_first:
            stranded_at = counted.changes_after
            time.sleep(PATIENCE_S)
    raise AssertionError("unreachable: the last turn reports")


def judge(counted: Count, stranded_at: int | None) -> Iterator[Finding]:
    """Yield what this count shows. `stranded_at` is the number of changes at which users last seemed stranded."""
    yield from _about_tickets(counted)
    yield from _about_waiting_list(counted, stranded_at)
    yield from _about_holds(counted)
    yield from _about_event(counted)


def _about_tickets(counted: Count) -> Iterator[Finding]:
    tally, lanes = counted.tally, counted.lanes
    out = abs(counted.available + tally.confirmed + tally.held - counted.tickets)
    below = sum(lane.available < 0 for lane in lanes) + counted.event.lanes - len(lanes)
    numbers = f"{counted.available} left + {tally.confirmed} confirmed + {tally.held} held, of {counted.tickets}; "
    numbers += f"{below} lanes below 0"
    yield Finding("P1", Verdict.BROKEN if below else _counted(out, counted.moved), numbers)

    numbers = f"{tally.bookings} bookings, {tally.misplaced} on a wrong lane, {tally.odd} with facts that do not fit"
    yield Finding("P2", Verdict.BROKEN if tally.misplaced or tally.odd else Verdict.HOLDS, numbers)


def _about_waiting_list(counted: Count, stranded_at: int | None) -> Iterator[Finding]:
    event, tally, moved = counted.event, counted.tally, counted.moved
    out = max(abs(tally.waiting - tally.entries), abs(counted.counted_waiting - tally.entries))
    others = moved == 0 and tally.difference != 0
    numbers = f"{tally.waiting} waiting, {tally.entries} entries, {counted.counted_waiting} counted"
    numbers += "; not the same people" if others and not out else ""
    yield Finding("P3", Verdict.BROKEN if others else _counted(out, moved), numbers)

    still_open = sum(lane.is_open for lane in counted.lanes)
    unmarked = tally.entries > 0 and event.sold_out_at is None
    numbers = f"{still_open} of {event.lanes} lanes open, {tally.entries} entries; {_sold_out(event.sold_out_at)}"
    yield Finding("P4", Verdict.BROKEN if tally.entries and (still_open or unmarked) else Verdict.HOLDS, numbers)

    numbers = f"{tally.overtaken} users wait although a user who joined well after them was promoted"
    yield Finding("P5", Verdict.BROKEN if tally.overtaken else Verdict.HOLDS, numbers)

    numbers = f"{tally.entries} wait beside {counted.available} free tickets"
    yield Finding("P6", _stranded(counted, stranded_at), numbers)


def _about_holds(counted: Count) -> Iterator[Finding]:
    tally = counted.tally
    numbers = f"{tally.overdue} holds expired over {OVERDUE_S_MAX:.0f} s ago and have not ended"
    yield Finding("H3", Verdict.BROKEN if tally.overdue else Verdict.HOLDS, numbers)


def _about_event(counted: Count) -> Iterator[Finding]:
    event, tally, lanes = counted.event, counted.tally, counted.lanes
    strange = sum(items.window(lane) != items.window(event.terms) for lane in lanes)
    numbers = f"{counted.tickets} tickets on the lanes, {event.tickets_in_lanes} by the event's count, "
    numbers += (
        f"{event.terms.total_tickets} in its terms; {strange} lanes with another sale window; {_under_way(event)}"
    )
    broken = Verdict.BROKEN if disagreements(event, lanes) else Verdict.HOLDS
    yield Finding("O2", broken if counted.is_at_rest else Verdict.UNCLEAR, numbers)

    if event.cancelled_at:
        owned_or_waiting = tally.confirmed + tally.held + tally.waiting
        ignorant = sum(lane.cancelled_at is None for lane in lanes)
        numbers = f"{owned_or_waiting} tickets or places, {ignorant} lanes that are not marked as cancelled; "
        numbers += f"cancelled at {event.cancelled_at}, "
        numbers += f"emptied at {event.emptied_at}" if event.emptied_at else "not emptied"
        is_broken = event.emptied_at is not None and (owned_or_waiting > counted.moved or ignorant > 0)
        yield Finding("O3", Verdict.BROKEN if is_broken else Verdict.HOLDS, numbers)


def _counted(out: int, moved: int) -> Verdict:
    """Judge a count with this difference and this number of concurrent changes."""
    if out > moved:
        return Verdict.BROKEN
    return Verdict.UNCLEAR if moved else Verdict.HOLDS


def _is_stranded(counted: Count) -> bool:
    free = counted.available if counted.event.cancelled_at is None else 0  # a cancelled event gives no ticket
    return counted.moved == 0 and free > 0 and counted.tally.entries > 0


def _stranded(counted: Count, stranded_at: int | None) -> Verdict:
    if counted.moved:
        return Verdict.UNCLEAR
    if not _is_stranded(counted):
        return Verdict.HOLDS
    return Verdict.BROKEN if stranded_at == counted.changes_before else Verdict.UNCLEAR


def _sold_out(moment: str | None) -> str:
    return f"sold out at {moment}" if moment else "on sale"


def _under_way(event: Event) -> str:
    return f"a change is under way since {event.change.requested_at}" if event.change else "no change is under way"


def _report(counted: Count, findings: list[Finding]) -> int:
    event, verdicts = counted.event, {finding.verdict for finding in findings}
    sys.stdout.write(f"{event.event_id} {event.terms.name}\n")
    for finding in findings:
        sys.stdout.write(f"{finding.promise} {finding.verdict:<7} {finding.numbers}\n")
    if Verdict.BROKEN in verdicts:
        sys.stdout.write("A promise is broken.\n")
        return VIOLATION
    if Verdict.UNCLEAR in verdicts:
        sys.stdout.write(f"Too much moved to tell: {counted.moved} changes during the last count. Try again.\n")
        return INCONCLUSIVE
    sys.stdout.write("All promises hold.\n")
    return HOLDS
