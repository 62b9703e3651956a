"""`python -m bench.size`: show that a request costs the same with a million bookings as with ten.

Two events with the same number of lanes, each in its own database on disk: one with ten bookings and ten users waiting,
alone; one with a million of each, among 100,000 other events. bench/filling writes both. Then warm functions make the
same requests of both, and the units and times are noted. At the end the office's own audit recounts the event. It takes
ten minutes, and 2 GB of disk while it runs.
"""

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from bench import around, filling, record
from harness.meter import Meter, metered
from harness.office import Event
from shared.booking import audit, catalog
from shared.model import POSITION_EXACT_MAX
from shared.runtime import Deadline

LANES = 96
SAMPLES = 50  # of each request; few enough for exact positions in a list of ten
AUDIT_S_MAX = 1200.0

BUYERS = 2_000  # to choose one for each lane from
REST = 1_000  # more than the tickets that are left
_ACCEPTED = 202

Act = Callable[[str], object]  # of a user
Figures = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """The size of a database."""

    bookings: int
    waiting: int
    others: int


SMALL, FULL = Size(10, 10, others=1), Size(1_000_000, 1_000_000, others=100_000)


def main() -> None:
    """Measure, print, and write bench/results/size.json."""
    about = "Measure the office at its full size."
    argparse.ArgumentParser(prog="python -m bench.size", description=about).parse_args()
    machine = record.machine()
    measured = []
    for size in (SMALL, FULL):
        with tempfile.TemporaryDirectory() as data:
            measured.append(measure(Path(data), size))
    result = {"command": "python -m bench.size", "machine": machine, "lanes": LANES, "sizes": measured}
    record.write("size", result)
    print(section(result))  # noqa: T201  # this is the product


def measure(data: Path, size: Size) -> dict[str, Any]:
    """Fill a database and make the requests."""
    begun_s = time.perf_counter()
    event = filling.opened(LANES, total_tickets=size.bookings + LANES)
    with around.office_on(data):
        filling.write(filling.on_sale(event, left_in_each_lane=1))
    holders, waiting = (names(kind, count) for kind, count in (("holder", size.bookings), ("waiting", size.waiting)))
    filling.write_into(data / "tickets.db", chain(filling.others(size.others), filling.confirmed(event, holders)))
    with around.office_on(data) as client:
        requests = on_sale(client, event.event_id, SAMPLES)
        first_sequence = sell_out(client, event.event_id)
    filling.write_into(data / "tickets.db", filling.waiting(event, waiting, first_sequence))
    with around.office_on(data) as client:
        filling.count_waiting(client, event, waiting)
        filled_s = time.perf_counter() - begun_s
        requests |= sold_out(client, event.event_id, holders, waiting, SAMPLES)
        audited_s = _audited_s(event.event_id)
    return {
        **vars(size),
        "requests": requests,
        "fileMegabytes": round(sum(file.stat().st_size for file in data.glob("tickets.db*")) / 1e6),
        "filledSeconds": round(filled_s),
        "auditedSeconds": round(audited_s, 1),
    }


def names(kind: str, count: int) -> list[str]:
    """Return the names of so many users."""
    return [f"{kind}-{n:07}" for n in range(count)]


def on_sale(client: Any, event_id: str, samples: int) -> dict[str, Figures]:
    """Make the requests of an event on sale, with a ticket left in each lane."""
    office = Event(event_id, client)
    at_home = {catalog.read_event(event_id, Deadline.after(5)).home_lane(user): user for user in names("buyer", BUYERS)}
    buyers = list(at_home.values())[:samples]  # each on a lane of their own, so that each finds its ticket
    return {
        "book, on sale": _each(office.books, buyers),
        "cancel, on sale": _each(office.cancels, buyers),
        "promoter, empty list": _each(lambda _: office.promotes(), buyers),
        "status, on sale": _each(lambda _: office.status(), buyers),
    }


def sell_out(client: Any, event_id: str) -> int:
    """Sell the rest; return the next number of the waiting list, which then has one entry."""
    office = Event(event_id, client)
    for user in names("late", REST):
        if office.books(user) == _ACCEPTED:
            return 2
    raise AssertionError("it is not sold out")


def sold_out(client: Any, event_id: str, holders: list[str], waiting: list[str], samples: int) -> dict[str, Figures]:
    """Make the requests of a sold-out event with these holders, and these users waiting behind one other."""
    office = Event(event_id, client)
    office.status()  # for the functions to know the event
    joining = names("joining", samples)
    found = {"book, sold out: join": _each(office.books, joining)}
    office.books(joining[0])  # from now on the function knows that users come back
    found |= {
        "book again, waiting": _each(office.books, joining),
        "status of a user far back": _each(office.status, joining),
        "cancel, waiting": _each(office.cancels, joining),
        "status of the user at the head": _each(lambda _: office.status(waiting[0]), joining),
        "status of a user with a ticket": _each(lambda _: office.status(holders[0]), joining),
        "status, sold out": _each(lambda _: office.status(), joining),
    }
    found["cancel, sold out"], found["promoter, one promotion"] = _in_turns(
        holders[:samples], office.cancels, lambda _: office.promotes()
    )
    return found


def section(result: dict[str, Any]) -> str:
    """Render the part of docs/benchmark.md."""
    small, full = result["sizes"]
    head = ["request", "most calls", "write units", "read units", "ms", "write units ", "read units ", "ms "]
    rows = [_row(name, small["requests"][name], full["requests"][name]) for name in small["requests"]]
    return f"""## Size

`{result["command"]}`: the same requests to two events of {result["lanes"]} lanes. The first has
{small["bookings"]} bookings and {small["waiting"]} users waiting. The second, on the right, has {full["bookings"]:,}
bookings and {full["waiting"]:,} users waiting, among {full["others"]:,} other events, in a file of
{full["fileMegabytes"]:,} MB. Times are medians of warm functions on the engine. {record.described(result["machine"])}.

{record.table(head, rows)}

Positions beyond {POSITION_EXACT_MAX} are estimates from the front of the list, which a function reads once a second:
most of them cost nothing, and none costs more than reading {POSITION_EXACT_MAX} entries. The sweep's audit reads every
booking: {full["auditedSeconds"]:.0f} s for the large event, {small["auditedSeconds"]:.1f} s for the small one.
"""


def _row(name: str, small: Figures, full: Figures) -> list[str]:
    calls = max((variant["calls"] for variant in small["variants"] + full["variants"]), key=len)
    cells = [name, record.calls(Counter(calls))]
    for figures in (small, full):
        cells += [_range(variant[units] for variant in figures["variants"]) for units in ("writeUnits", "readUnits")]
        cells.append(f"{figures['medianMs']:.1f}")
    return cells


def _range(units: Iterable[float]) -> str:
    ordered = sorted(units)
    low, high = ordered[0], ordered[-1]
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _each(act: Act, users: Sequence[str]) -> Figures:
    return _in_turns(users, act)[0]


def _in_turns(users: Sequence[str], *acts: Act) -> list[Figures]:
    """Have each user do these things one after the other; return the figures of each."""
    asked: list[Counter[tuple[tuple[str, ...], float, float]]] = [Counter() for _ in acts]
    times_ms: list[list[float]] = [[] for _ in acts]
    with metered() as meter:
        for user in users:
            for act, seen, spent_ms in zip(acts, asked, times_ms, strict=True):
                vars(meter).update(vars(Meter()))
                begun_s = time.perf_counter()
                act(user)
                spent_ms.append((time.perf_counter() - begun_s) * 1000)
                seen[tuple(meter.requests), meter.write_units, meter.read_units] += 1
    return [_figures(seen, spent_ms) for seen, spent_ms in zip(asked, times_ms, strict=True)]


def _figures(asked: Counter[tuple[tuple[str, ...], float, float]], times_ms: list[float]) -> Figures:
    """Return the requests made, the most frequent first, and how long they took."""
    return {
        "variants": [
            {"calls": list(calls), "writeUnits": write_units, "readUnits": read_units, "times": times}
            for (calls, write_units, read_units), times in asked.most_common()
        ],
        "medianMs": round(statistics.median(times_ms), 2),
        "slowestMs": round(max(times_ms), 2),
    }


def _audited_s(event_id: str) -> float:
    """Have the office audit the event; return the seconds that it took."""
    begun_s = time.perf_counter()
    deadline = Deadline.after(AUDIT_S_MAX)
    assert audit.audit(catalog.read_event(event_id, deadline), deadline).findings == []
    return time.perf_counter() - begun_s


if __name__ == "__main__":
    main()
