"""audit EVENT: count an event while bookings go on, and print for each promise whether it holds. It changes nothing.

The sweep's audit (shared/booking/audit.py) settles first and reports what is broken; this one only reads, and shows the
numbers. Both count and judge alike (shared/booking/tally.py). The promoter gives a free ticket to a waiting user: only
if nothing at all happens for PATIENCE_S is that user stranded.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ops.recount import Recount, count
from shared.booking.audit import RECOUNTS_MAX
from shared.booking.tally import OVERDUE_S_MAX, broken_promises
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
        is_broken = any(finding.verdict is Verdict.BROKEN for finding in findings)
        seems_stranded = (
            Verdict.UNCLEAR in {one.verdict for one in findings if one.promise == "P6"} and not counted.moved
        )
        clear = (counted.moved == 0 and counted.is_at_rest and counted.is_same_sale) or is_broken
        if turn == RECOUNTS_MAX or (clear and not seems_stranded):
            return _report(counted, findings)
        if seems_stranded:
            stranded_at = counted.changes_after
            time.sleep(PATIENCE_S)
    raise AssertionError("unreachable: the last turn reports")


def judge(counted: Recount, stranded_at: int | None) -> Iterator[Finding]:
    """Yield what this count shows. `stranded_at` is the number of changes at which users last seemed stranded."""
    event, tally, lanes = counted.event, counted.tally, counted.lanes
    broken = {finding.promise for finding in broken_promises(counted)}
    still_open = sum(lane.is_open for lane in lanes)
    unmarked = sum(lane.cancelled_at is None for lane in lanes)
    is_passed = tally.entries > 0 and (still_open > 0 or event.sold_out_at is None)
    broken |= {"P2"} if tally.odd else set()
    broken |= {"P4"} if counted.is_same_sale and (is_passed or _in_other_sales(counted)) else set()
    broken |= {"P5"} if tally.overtaken else set()
    broken |= {"O3"} if event.emptied_at and unmarked else set()
    unclear = {"P1", "P3", "P6"} if counted.moved else set()
    unclear |= set() if counted.is_at_rest else {"O2"}
    unclear |= set() if counted.is_same_sale else {"P4", "P6"}
    if "P6" in broken and stranded_at != counted.changes_before:
        broken, unclear = broken - {"P6"}, unclear | {"P6"}  # the ticket may be on its way
    for promise, numbers in _numbers(counted, still_open, unmarked):
        is_unclear = Verdict.UNCLEAR if promise in unclear else Verdict.HOLDS
        yield Finding(promise, Verdict.BROKEN if promise in broken else is_unclear, numbers)


def _numbers(counted: Recount, still_open: int, unmarked: int) -> Iterator[tuple[str, str]]:
    """Yield the numbers that each promise is judged by."""
    event, tally, lanes = counted.event, counted.tally, counted.lanes
    below = sum(lane.available < 0 for lane in lanes) + event.lanes - len(lanes)
    others = counted.moved == 0 and tally.difference != 0 and tally.waiting == tally.entries == counted.waiting
    strange = sum(items.window(lane) != items.window(event.terms) for lane in lanes)
    yield (
        "P1",
        (
            f"{counted.available} left + {tally.confirmed} confirmed + {tally.held} held, of {counted.tickets}; "
            f"{below} lanes below 0"
        ),
    )
    yield "P2", f"{tally.bookings} bookings, {tally.misplaced} on a wrong lane, {tally.odd} with facts that do not fit"
    yield (
        "P3",
        (
            f"{tally.waiting} waiting, {tally.entries} entries, {counted.waiting} counted"
            f"{'; not the same people' if others else ''}"
        ),
    )
    sold_out = f"sold out at {event.sold_out_at}" if event.sold_out_at else "on sale"
    elsewhere = f"; {lanes_elsewhere} lanes in another sale" if (lanes_elsewhere := _in_other_sales(counted)) else ""
    yield "P4", f"{still_open} of {event.lanes} lanes open, {tally.entries} entries; {sold_out}{elsewhere}"
    yield "P5", f"{tally.overtaken} users wait although a user who joined well after them was promoted"
    insists = f", the first for at least {tally.head[1]}" if tally.head and tally.head[1] > 1 else ""
    yield "P6", f"{tally.entries} wait beside {counted.available} free tickets{insists}"
    yield "H3", f"{tally.overdue} holds expired over {OVERDUE_S_MAX:.0f} s ago and have not ended"
    yield "D1", f"{tally.checked_in} tickets checked in, {counted.checked_in} counted"
    change = f"a change is under way since {event.change.requested_at}" if event.change else "no change is under way"
    yield (
        "O2",
        (
            f"{counted.tickets} tickets on the lanes, {event.tickets_in_lanes} by the event's count, "
            f"{event.terms.total_tickets} in its terms; {strange} lanes with another sale window; {change}"
        ),
    )
    if event.cancelled_at:
        emptied = f"emptied at {event.emptied_at}" if event.emptied_at else "not emptied"
        yield (
            "O3",
            (
                f"{tally.owned + tally.waiting} tickets or places, {unmarked} lanes that are not marked as cancelled; "
                f"cancelled at {event.cancelled_at}, {emptied}"
            ),
        )


def _in_other_sales(counted: Recount) -> int:
    """Count the lanes that were not put back on sale with the event, or without it."""
    return sum(lane.sale != counted.event.sale for lane in counted.lanes)


def _report(counted: Recount, findings: list[Finding]) -> int:
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
