"""`python -m bench.compare`: the office beside a conventional service, in one run.

We wrote the conventional service, bench/baseline/, too: Express and Sequelize on PostgreSQL, with row locks. Both get
the same loads from the same load generator, in turns. After each load the tables are checked: a broken promise on
either side ends the run. The baseline runs all the time, because it uses nothing while it waits; the office runs in its
turns only.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import load, record
from bench.baseline import Baseline
from bench.load import Measured, Requests
from harness.crowd import open_event
from harness.running import RunningOffice, running
from local.supervisor import default_workers
from shared.model import seconds_between

IN_FLIGHT = 64
ROUNDS = 5
SECONDS = 4.0  # of each load
BUDGET_S = 210.0  # no round begins that would end later
ROUNDS_MIN = 2
MANY = 1_000_000  # tickets: more than any run sells
STATUS_TICKETS = 1_000
HOLDERS = 300  # cancel, while as many wait
RUSH_S, RUSH_TICKETS, RUSH_USERS = 2.0, 40, 150
STORM_S_MAX = 60.0
DRAINED_WITHIN_S = 60.0

LOADS = {
    "book": "bookings of one event",
    "join": "joins of the waiting list",
    "status": f"statuses of an event of {STATUS_TICKETS:,} tickets",
    "cancel": "cancellations, until each ticket has its next holder",
}

Row = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """What the tables hold of an event that keeps every promise; how long its cancelled tickets took to move on."""

    confirmed: int
    waiting: int
    moved_s: float


@dataclass(frozen=True)
class Side:
    """A service to measure. `check` raises AssertionError for an event that breaks a promise."""

    port: int
    check: Callable[[str], Found]

    def opened(self, tickets: int) -> str:
        """Open an event and return its id."""
        return open_event(f"http://127.0.0.1:{self.port}", tickets)

    def loaded(self, seconds: float, requests: Requests) -> Measured:
        """Run a load. Raises AssertionError for a 5xx."""
        measured = load.run(self.port, IN_FLIGHT, seconds, requests)
        assert max(measured.statuses) < 500, measured.statuses  # noqa: PLR2004  # HTTP
        return measured


def main() -> None:
    """Measure both sides."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description="Compare with a conventional service.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of each load ({SECONDS:g})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"at most ({ROUNDS})")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results/compare.json")
    options = parser.parse_args()
    os.environ.update(AWS_DEFAULT_REGION="us-east-1", AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench")
    machine, workers = record.machine(), default_workers()
    with Baseline.running(workers) as baseline:
        theirs = Side(baseline.port, partial(_checked, baseline))
        rounds = list(_rounds(theirs, workers, options.seconds, options.rounds))
        facts = {"seconds": options.seconds, "rounds": len(rounds), "workers": workers, **baseline.facts()}
    result = {"machine": machine | {"loadAverageAtEnd": record.machine()["loadAverage"]}, **facts, "rows": rows(rounds)}
    print(table(result))  # noqa: T201  # the product
    if options.write:
        record.write("compare", result)


def _rounds(theirs: Side, workers: int, seconds: float, most: int) -> Iterator[dict[str, dict[str, Row]]]:
    """Yield what each side did in each round, while there is time. The side that begins changes with each round."""
    begun_s = time.monotonic()
    for number in range(most):
        found: dict[str, dict[str, Row]] = {}
        for name in ("office", "baseline") if number % 2 == 0 else ("baseline", "office"):
            if name == "baseline":
                found[name] = _turn(theirs, seconds)
            else:
                with _office(workers) as ours:
                    found[name] = _turn(ours, seconds)
            rates = ", ".join(f"{load} {row['per_second']:,.0f}" for load, row in found[name].items())
            print(f"round {number + 1}, {name}: {rates} a second", flush=True)  # noqa: T201
        yield found
        used_s = time.monotonic() - begun_s
        if number + 1 >= ROUNDS_MIN and used_s * (number + 2) / (number + 1) > BUDGET_S:
            break


@contextmanager
def _office(workers: int) -> Iterator[Side]:
    with tempfile.TemporaryDirectory() as data, running(Path(data), workers) as office:
        yield Side(office.port, partial(_drained, office))


def _drained(office: RunningOffice, event_id: str) -> Found:
    found = office.check_drained(event_id, DRAINED_WITHIN_S)
    ended = [one["cancelledAt"] for one in found.bookings if "cancelledAt" in one]
    promoted = [one["promotedAt"] for one in found.bookings if "promotedAt" in one]
    moved_s = seconds_between(min(ended), max(promoted)) if promoted else 0.0
    return Found(len(found.confirmed), len(found.waiting), moved_s)


def _checked(baseline: Baseline, event_id: str) -> Found:
    event, bookings = baseline.read(event_id)
    broken = violations(event, bookings)
    assert not broken, broken
    by_status = [one["status"] for one in bookings]
    return Found(by_status.count("CONFIRMED"), by_status.count("WAITING"), 0.0)  # it promotes in the same transaction


def violations(event: Mapping[str, Any], bookings: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the promises that the baseline's tables break: those of docs/guarantees.md, by the same names."""
    confirmed = [one for one in bookings if one["status"] == "CONFIRMED"]
    waiting = [one for one in bookings if one["status"] == "WAITING"]
    active = [one["user_id"] for one in (*confirmed, *waiting)]
    left, total = event["available_tickets"], event["total_tickets"]
    broken = []
    if left < 0 or left + len(confirmed) != total:
        broken.append(f"P1: {left} left + {len(confirmed)} confirmed, of {total}")
    if len(active) != len(set(active)):
        broken.append(f"P2: {len(active)} active bookings of {len(set(active))} users")
    if waiting and left:
        broken.append(f"P6: {len(waiting)} wait, {left} left")
    promoted = [one["booking_id"] for one in bookings if one["joined_at"] and one["booked_at"]]
    passed = [one["user_id"] for one in waiting if promoted and one["booking_id"] < max(promoted)]
    if passed:
        broken.append(f"P5: {len(passed)} were passed")
    return broken


def _turn(side: Side, seconds: float) -> dict[str, Row]:
    """Measure all loads on one side, after a rush that warms it up. Raises AssertionError."""
    _rush(side)
    event_id = side.opened(MANY)
    book = side.loaded(seconds, partial(_bookings, event_id))
    assert side.check(event_id).confirmed == book.statuses[201]
    event_id = side.opened(1)
    load.run(
        side.port, 1, STORM_S_MAX, lambda _: iter([load.ask("/book", event_id, user) for user in ("first", "second")])
    )
    join = side.loaded(seconds, partial(_bookings, event_id))
    assert side.check(event_id).waiting == 1 + join.statuses[202]
    event_id = side.opened(STATUS_TICKETS)
    status = side.loaded(seconds / 2, partial(load.forever, load.get(f"/status/{event_id}")))
    event_id = side.opened(HOLDERS)
    for users in (range(HOLDERS), range(HOLDERS, 2 * HOLDERS)):  # the first have tickets, the others wait
        side.loaded(STORM_S_MAX, partial(_of_each, "/book", event_id, users))
    cancel = side.loaded(STORM_S_MAX, partial(_of_each, "/cancel", event_id, range(HOLDERS)))
    found = side.check(event_id)
    assert (found.confirmed, found.waiting, cancel.statuses) == (HOLDERS, 0, {200: HOLDERS})
    measured = {"book": book, "join": join, "status": status, "cancel": cancel}
    rows: dict[str, Row] = {name: one.figures for name, one in measured.items()}
    rows["cancel"]["per_second"] = HOLDERS / max(cancel.seconds, found.moved_s)
    return rows


def _rush(side: Side) -> None:
    """Let few users book and cancel few tickets, many requests of one user at a time. Raises AssertionError."""
    event_id = side.opened(RUSH_TICKETS)
    side.loaded(RUSH_S, partial(_races, event_id))
    side.check(event_id)


def rows(rounds: Sequence[Mapping[str, Mapping[str, Row]]]) -> list[Row]:
    """Return the medians of each load for both sides, and the ratio of their rates in each round."""
    found = []
    for name in LOADS:
        both = {side: [one[side][name] for one in rounds] for side in ("office", "baseline")}
        medians = {
            side: {figure: statistics.median(row[figure] for row in own) for figure in own[0]}
            for side, own in both.items()
        }
        ratios = [ours["per_second"] / theirs["per_second"] for ours, theirs in zip(*both.values(), strict=True)]
        found.append({"load": name, **medians, "ratio": statistics.median(ratios), "ratios": ratios})
    return found


def section(result: Mapping[str, Any]) -> str:
    """Return what `python -m bench.compare` found."""
    versions, database = result["versions"], result["database"]
    return f"""## Beside a conventional service

{record.described(result["machine"])}
at the start and {result["machine"]["loadAverageAtEnd"]} at the end. `make compare`: the office and
[a baseline that we wrote](../bench/baseline/server.js), in turns, with the same load generator,
{IN_FLIGHT} requests in flight, {result["workers"]} worker processes each, and data on the same disk.
Medians of {result["rounds"]} rounds with loads of {result["seconds"]:g} s. The ratio is the median of the rounds'
ratios; the last column has the lowest and the highest. Other work on the machine lowers the rates of both, and may
change the ratios: look at the load averages.

{table(result)}

{_slower(result["rows"])}{_busy(result["machine"])}

The baseline is Express {versions["express"]} and Sequelize {versions["sequelize"]} on Node {versions["node"]} and
PostgreSQL {database["server_version"].partition(" ")[0]}. Each transaction locks the event's row
(`SELECT ... FOR UPDATE`), and the one that cancels promotes the head of the waiting list. It is correct under races,
and each turn begins with one: {RUSH_USERS} users book and cancel {RUSH_TICKETS} tickets through
{IN_FLIGHT} connections for {RUSH_S:g} s. After each load the tables of both are read. The run fails if there are too
many bookings, two active ones of a user, or a free ticket while users wait; on the baseline also if one of them was
passed. (The office's order is [checked elsewhere](guarantees.md#how-it-is-checked).)

What the two promise and do:

- **Both sync to disk before they respond.** PostgreSQL has its defaults: `fsync` is {database["fsync"]},
  `synchronous_commit` is {database["synchronous_commit"]}. The office's engine syncs SQLite's log at each commit.
- The baseline promotes in the transaction that cancels, the office soon after it. The office's rate of cancellations
  counts the time until the last promotion.
- The office's statuses may be [a second old](api.md#the-http-api), because one count serves all who watch. The baseline
  counts anew for each.
- The office also puts each booking on the event bus, logs it, and tells users who join the list their position. The
  baseline does none of this.
- The baseline is one server with one database: [what that means](comparison.md#the-alternatives).
"""


def _slower(found: Sequence[Row]) -> str:
    """Name the loads that the office handles more slowly than the baseline."""
    slower = [f"{LOADS[row['load']]} ({row['ratio']:.2f})" for row in found if row["ratio"] < 1]
    if not slower:
        return "The office is the faster of the two at each load."
    return f"**The office is slower than the baseline at {' and '.join(slower)}.**"


def _busy(machine: Mapping[str, Any]) -> str:
    """Warn of figures that other work on the machine has lowered."""
    if machine["loadAverage"] < machine["cores"]:
        return ""
    return (
        "\n\n**The machine was busy with other work: measure again on a quiet one before you rely on these figures.**"
    )


def table(result: Mapping[str, Any]) -> str:
    """Return both sides, load by load."""
    head = ["load", "office, a second", "p99 ms", "baseline, a second", "p99 ms ", "ratio", "in rounds"]
    lines = [
        [
            LOADS[row["load"]],
            *(figure for side in ("office", "baseline") for figure in _figures(row[side])),
            f"{row['ratio']:.2f}",
            f"{min(row['ratios']):.2f} to {max(row['ratios']):.2f}",
        ]
        for row in result["rows"]
    ]
    return record.table(head, lines)


def _figures(row: Row) -> list[str]:
    return [f"{row['per_second']:,.0f}", f"{row['p99_ms']:.0f}"]


def _bookings(event_id: str, connection: int) -> Iterator[bytes]:
    for n in range(MANY):
        yield load.ask("/book", event_id, f"user-{connection}-{n}")


def _of_each(path: str, event_id: str, users: range, connection: int) -> Iterator[bytes]:
    for n in users[connection::IN_FLIGHT]:
        yield load.ask(path, event_id, f"user-{n}")


def _races(event_id: str, connection: int) -> Iterator[bytes]:
    chance = random.Random(connection)  # the same in each run
    while True:
        path = "/book" if chance.random() < 0.6 else "/cancel"  # noqa: PLR2004  # so that tickets come back
        yield load.ask(path, event_id, f"user-{chance.randrange(RUSH_USERS)}")


if __name__ == "__main__":
    main()
