"""`python -m bench.scale`: run the simulation, print its tables, and keep its figures.

The same seed gives the same numbers on every machine. `make scale` also writes docs/scale.md and its charts.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from bench import record
from bench.scale import scenarios
from bench.scale.database import Latency
from bench.scale.report import DESIGNS, FIGURES, Row, tables, with_sections
from bench.scale.scenarios import AMPLE_WRITES_S, World
from shared.model import LANES_MAX
from shared.store import dynamodb

SECONDS = 4.0  # measured of each load

# Offered loads per second, up to well above the limit of each design.
SALES = {
    None: (25, 50, 100, 150, 200, 300),
    1: (25, 50, 100, 150, 200, 300),
    4: (100, 200, 400, 600, 800),
    16: (400, 800, 1_600, 2_400, 3_200),
    64: (2_000, 4_000, 6_000, 8_000, 10_000, 12_000),
    96: (2_000, 4_000, 6_000, 8_000, 10_000, 12_000),
}
GOAL_S = 10_000
LANES = LANES_MAX
WARM = (4_000, 10_000, 20_000, 40_000, 100_000, AMPLE_WRITES_S)
HOLDS_MS = (2.5, 3.5, 5.0, 7.5, 10.0)
BACKOFFS_S: Sequence[scenarios.Pauses] = (
    (dynamodb.BACKOFF_CONFLICT_S, dynamodb.BACKOFF_S),
    (dynamodb.BACKOFF_S, dynamodb.BACKOFF_S),
    (dynamodb.BACKOFF_CONFLICT_S, dynamodb.BACKOFF_CONFLICT_S),
    ((0.005, 0.05), dynamodb.BACKOFF_S),
    (dynamodb.BACKOFF_CONFLICT_S, (0.1, 1.0)),
)
JOINS = {
    1: (25, 50, 100, 150),
    16: (250, 500, 1_000, 1_500),
    LANES: (250, 500, 750, 1_000, 1_250, 1_500, 3_000),
}
TURNS = (1_000, 5_000, 10_000)
RELEASES: Sequence[tuple[int, int, float, float | None]] = (
    # lanes, tickets of each of two, bookings offered a second, and seconds of a crowd that comes with the second one
    (16, 4_000, 1_000, None), (LANES, 50_000, GOAL_S, None), (16, 4_000, 500, SECONDS),
)  # fmt: skip
EXPIRIES = (  # write units a second, holds that expire at once, and users who wait
    (4_000, 5_000, 0), (4_000, 20_000, 0), (4_000, 5_000, 5_000), (LANES * 1_000, 5_000, 5_000),
)  # fmt: skip
WATCHERS_S = 20_000
WATCHED = ((4_000, 500), (AMPLE_WRITES_S, 5_000))  # write units a second, and bookings offered
CANCELLATIONS = ((1, 20), (10, 200), (100, 500), (500, 2_000), (1_000, 4_000))  # offered a second, and how many

Cell = tuple[str, dict[str, Any], Callable[[], Any]]


def main() -> None:
    """Run the chosen sections."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description="Simulate the office at scale.")
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help=f"which ({', '.join(SECTIONS)}); all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results/scale.json")
    options = parser.parse_args()
    wanted = options.sections or list(SECTIONS)
    begun_s = time.monotonic()
    cells = [cell for section in wanted for cell in SECTIONS[section](World(options.seed))]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(_run, cells)
        rows = [_told(row) for row in found]
    figures = {"seed": options.seed, "rows": rows}
    print("\n".join(tables(figures)))  # noqa: T201  # this is the product
    print(f"took {time.monotonic() - begun_s:.0f} s", file=sys.stderr)  # noqa: T201
    if options.write:
        record.write(FIGURES, with_sections(record.read(FIGURES), figures))


def _run(cell: Cell) -> Row:
    section, about, measure = cell
    return {"section": section, **about, **asdict(measure())}


def _told(row: Row) -> Row:
    print(json.dumps(row), file=sys.stderr, flush=True)  # noqa: T201  # it takes minutes
    return row


def _sales(world: World) -> Iterator[Cell]:
    for lanes, loads in SALES.items():
        for offered_s in loads:
            about = {"design": DESIGNS.get(lanes, f"{lanes} lanes")}
            yield "sales", about, partial(scenarios.on_sale, world, lanes, offered_s, SECONDS)


def _warm(world: World) -> Iterator[Cell]:
    for writes_s in WARM:
        median, unlucky = scenarios.lanes_on_the_fullest_partition(LANES, writes_s)
        about = {"writes_s": writes_s, "lanes": LANES, "fullest": median, "fullest_unlucky": unlucky}
        yield "warm", about, partial(scenarios.on_sale, replace(world, writes_s=writes_s), LANES, GOAL_S, SECONDS)


def _holds(world: World) -> Iterator[Cell]:
    for hold_ms in HOLDS_MS:
        for lanes in (64, 96):
            held = replace(world, latency=Latency(hold_ms=hold_ms))
            about = {"hold_ms": hold_ms, "lanes": lanes}
            yield "holds", about, partial(scenarios.on_sale, held, lanes, GOAL_S, SECONDS)


def _backoffs(world: World) -> Iterator[Cell]:
    for pauses in BACKOFFS_S:
        about = {"conflict_s": "{} to {}".format(*pauses[0]), "other_s": "{} to {}".format(*pauses[1])}
        patient = replace(world, backoffs_s=pauses)
        for lanes, offered_s in ((1, 100), (LANES, GOAL_S)):
            what = {"what": f"bookings, {DESIGNS.get(lanes, f'{lanes} lanes')}"}
            yield "backoffs", about | what, partial(scenarios.on_sale, patient, lanes, offered_s, SECONDS)
        joins = partial(scenarios.joins, patient, LANES, 2_000, SECONDS)
        yield "backoffs", about | {"what": f"joins, {LANES} lanes"}, joins


def _cold(world: World) -> Iterator[Cell]:
    for offered_s in (1_000, 5_000, GOAL_S):
        cold = replace(world, warm=False)
        yield "cold", {"lanes": LANES}, partial(scenarios.on_sale, cold, LANES, offered_s, SECONDS)


def _joins(world: World) -> Iterator[Cell]:
    for lanes, loads in JOINS.items():
        for offered_s in loads:
            about = {"design": DESIGNS.get(lanes, f"{lanes} lanes")}
            yield "joins", about, partial(scenarios.joins, world, lanes, offered_s, SECONDS)


def _turns(world: World) -> Iterator[Cell]:
    for offered_s in TURNS:
        yield "turns", {}, partial(scenarios.sold_out_turn, world, LANES, 2 * offered_s, offered_s, SECONDS)


def _releases(world: World) -> Iterator[Cell]:
    for lanes, tickets, offered_s, rush_s in RELEASES:
        about = {"crowd": "with the release" if rush_s else "once it is on sale"}
        yield "releases", about, partial(scenarios.releases, world, lanes, tickets, offered_s, rush_s)


def _promotions(world: World) -> Iterator[Cell]:
    for writes_s in (4_000, LANES * 1_000):
        for offered_s, number in CANCELLATIONS:
            busy = replace(world, writes_s=writes_s)
            yield "promotions", {}, partial(scenarios.cancellations, busy, LANES, number, offered_s)


def _expiry(world: World) -> Iterator[Cell]:
    for writes_s, holds, waiting in EXPIRIES:
        yield "expiry", {}, partial(scenarios.expiry, replace(world, writes_s=writes_s), holds, waiting)


def _watched(world: World) -> Iterator[Cell]:
    for writes_s, offered_s in WATCHED:
        for watchers_s in (0, WATCHERS_S):
            about = {"writes_s": writes_s}
            yield (
                "watched",
                about,
                partial(scenarios.watched, replace(world, writes_s=writes_s), LANES, offered_s, watchers_s, SECONDS),
            )


def _costs(world: World) -> Iterator[Cell]:
    for lanes, events, bookings in ((1, 1, 0), (LANES, 1, 0), (LANES, 200, 0), (LANES, 1, 10_000)):
        yield "costs", {}, partial(scenarios.cost, world, lanes, events, bookings)


SECTIONS: dict[str, Callable[[World], Iterator[Cell]]] = {
    "sales": _sales,
    "warm": _warm,
    "holds": _holds,
    "backoffs": _backoffs,
    "cold": _cold,
    "joins": _joins,
    "turns": _turns,
    "releases": _releases,
    "promotions": _promotions,
    "expiry": _expiry,
    "watched": _watched,
    "costs": _costs,
}

if __name__ == "__main__":
    main()
