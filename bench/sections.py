"""The sections of the benchmark: each measures its own office, with its data on disk, and checks the promises."""

import os
import random
import resource
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from bench import around, cpu, floor, load
from bench.goals import COMMITS_OF_JOIN
from bench.load import Measured, Requests
from harness import promises
from harness.crowd import open_event
from harness.running import RunningOffice
from shared.booking import cancellation, catalog, office
from shared.model import REQUEST_BUDGET_S, Terms, seconds_between
from shared.runtime import Deadline

ONE_TICKET_EACH = 1_000_000  # more than any run sells
STORM_USERS = 500
RELEASE_TICKETS = 3_000  # each time
RELEASE_WAITING = 50  # users between two releases
GROUP_MAX = 4
MIX_TICKETS = 2_000  # are sold out in the middle of it
STATUS_READS = 7  # in the mix, for each booking
PROMOTED_WITHIN_S = 60.0
STORM_S_MAX = 120.0
REST_S = 1.5  # longer than a batch waits to be fuller
REST_S_MAX = 20.0
REST_SHARE = 0.03  # of a processor: more than idle feeders use

Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """An office to measure, for how long each load goes on, and how many workers it has."""

    office: RunningOffice
    seconds: float
    workers: int


def book(run: Run) -> Iterator[Row]:
    """Bookings of one hot event."""
    rows = []
    for in_flight in (16, 64):
        event_id = open_event(run.office.url, ONE_TICKET_EACH)
        row, measured = _loaded(run, f"book, {in_flight} in flight", in_flight, partial(_bookings, event_id))
        found = run.office.check_drained(event_id, PROMOTED_WITHIN_S)
        assert len(found.confirmed) == measured.statuses[201]
        rows.append(row)
    yield from _with_floor(run, rows, floor.book, partial(_floors_event, ONE_TICKET_EACH))


def join(run: Run) -> Iterator[Row]:
    """Joins of the empty waiting list of a sold-out event."""
    event_id = _sold_out(run.office)
    row, measured = _loaded(run, "join, 64 in flight", 64, partial(_bookings, event_id))
    found = run.office.check_drained(event_id, PROMOTED_WITHIN_S)
    assert len(found.waiting) == measured.statuses[202]
    yield from _with_floor(run, [row], floor.book, _floors_empty_list)
    yield _join_unread(run)
    rate = _alone(_floors_empty_list, partial(floor.ceiling, floor.join_by_its_commits, seconds=run.seconds))
    yield {"section": COMMITS_OF_JOIN, "per_second": rate, "note": "no reads, no HTTP, engine alone"}


def _join_unread(run: Run) -> Row:
    """Measure joins while the readers of the streams stand still: nothing is announced, and no promoter runs."""
    event_id = _sold_out(run.office)
    _wait_for_rest(run.office)
    readers = run.office.pids("feeder")
    try:
        for pid in readers:
            os.kill(pid, signal.SIGSTOP)
        row, measured = _loaded(run, "join, 64 in flight, streams not read", 64, partial(_bookings, event_id))
    finally:
        for pid in readers:
            os.kill(pid, signal.SIGCONT)
    found = run.office.check_drained(event_id, PROMOTED_WITHIN_S)
    assert len(found.waiting) == measured.statuses[202]
    _wait_for_rest(run.office)
    return row


def cancel(run: Run) -> Iterator[Row]:
    """All holders cancel at once while as many users wait: the time until each of these has a ticket."""
    event_id = open_event(run.office.url, STORM_USERS)
    for some in (range(STORM_USERS), range(STORM_USERS, 2 * STORM_USERS)):
        load.run(run.office.port, 16, STORM_S_MAX, partial(_shares, event_id, some, 16))
    storm = partial(_cancellations, event_id, range(STORM_USERS), 64)
    row, _ = _loaded(replace(run, seconds=STORM_S_MAX), "cancel storm, 64 in flight", 64, storm)
    found = run.office.check_drained(event_id, PROMOTED_WITHIN_S)
    assert (len(found.waiting), len(found.confirmed)) == (0, STORM_USERS)
    cancelled = sorted(one["cancelledAt"] for one in found.bookings if one["status"] == "CANCELLED")
    promoted = sorted(one["promotedAt"] for one in found.bookings if "promotedAt" in one)
    waits_ms = sorted(1000 * seconds_between(*pair) for pair in zip(cancelled, promoted, strict=True))
    after_s = seconds_between(cancelled[-1], promoted[-1])
    p50, p99 = statistics.median(waits_ms), waits_ms[int(0.99 * len(waits_ms))]
    yield from _with_floor(run, [row], floor.cancel, partial(_floors_event, STORM_USERS, 2 * STORM_USERS), STORM_USERS)
    yield {"section": "n-th cancellation to n-th promotion", "p50_ms": p50, "p99_ms": p99,
           "note": f"all promoted {after_s:.2f} s after the last cancellation"}  # fmt: skip


def status(run: Run) -> Iterator[Row]:
    """Reads of an event with one lane, and of one with the most lanes."""
    for tickets in (50, ONE_TICKET_EACH):
        event_id = open_event(run.office.url, tickets)
        lanes = len(promises.check(run.office.database, event_id).lanes)
        reads = partial(load.forever, load.get(f"/status/{event_id}"))
        row, _ = _loaded(run, f"status of {lanes} lane{'s' * (lanes > 1)}, 64 in flight", 64, reads)
        promises.check(run.office.database, event_id)
        yield row


def mix(run: Run) -> Iterator[Row]:
    """Users book and read the event seven times, and every second one cancels. The event sells out during that time."""
    event_id = open_event(run.office.url, MIX_TICKETS)
    row, _ = _loaded(run, "mix, 64 in flight", 64, partial(_visits, event_id))
    run.office.check_drained(event_id, PROMOTED_WITHIN_S)
    yield row


def release(run: Run) -> Iterator[Row]:
    """An event sells out, some wait, and as many tickets again are released: those who waited come first."""
    event_id, sold = open_event(run.office.url, RELEASE_TICKETS), 0
    rates = []
    for name in ("first release", "second release"):
        buyers = range(sold, sold + RELEASE_TICKETS)
        row, measured = _loaded(
            replace(run, seconds=STORM_S_MAX), f"{name}, 64 in flight", 64, partial(_shares, event_id, buyers, 64)
        )
        assert measured.statuses == {201: RELEASE_TICKETS}
        rates.append(row["per_second"])
        yield row | {"note": f"{rates[-1] / rates[0]:.2f} of the first"}
        sold += RELEASE_TICKETS
        load.run(run.office.port, 16, STORM_S_MAX, partial(_shares, event_id, range(sold, sold + RELEASE_WAITING), 16))
        sold += RELEASE_WAITING
        total = {"totalTickets": sold + RELEASE_TICKETS}
        httpx.patch(f"{run.office.url}/events/{event_id}", json=total).raise_for_status()
        found = run.office.check_drained(event_id, PROMOTED_WITHIN_S)
        assert (len(found.waiting), found.tickets_left) == (0, RELEASE_TICKETS)


def groups(run: Run) -> Iterator[Row]:
    """Groups of one to four book until no request fits: then single tickets are left, and these are sold, too."""
    event_id = open_event(run.office.url, RELEASE_TICKETS, ticketsPerBooking=GROUP_MAX)
    for name, most in (("groups of 1 to 4", GROUP_MAX), ("single tickets after them", 1)):
        requests = partial(_groups, event_id, most)
        row, _ = _loaded(replace(run, seconds=STORM_S_MAX), f"{name}, 64 in flight", 64, requests)
        yield row
    found = run.office.check_drained(event_id, PROMOTED_WITHIN_S)
    assert (found.tickets_left, found.tickets_owned) == (0, RELEASE_TICKETS)


SECTIONS = {
    "book": book, "join": join, "cancel": cancel, "status": status, "mix": mix, "release": release, "groups": groups,
}  # fmt: skip


def _loaded(run: Run, section: str, in_flight: int, requests: Requests) -> tuple[Row, Measured]:
    """Run a load; return its row with the processor time of each part, in ms per request."""
    used_s, client_s = cpu.used_s(run.office), _children_s()
    measured = load.run(run.office.port, in_flight, run.seconds, requests)
    _wait_for_rest(run.office)
    used_s = {part: used - used_s[part] for part, used in cpu.used_s(run.office).items()}
    used_s["client"] = _children_s() - client_s
    faults = sum(count for status, count in measured.statuses.items() if status >= 500)  # noqa: PLR2004  # HTTP
    assert faults == 0, measured.statuses
    requests_made = len(measured.latencies_s)
    row = {
        "section": section,
        **measured.figures,
        "cpu_ms": {part: 1000 * used / requests_made for part, used in sorted(used_s.items())},
        "note": " ".join(f"{count}x{status}" for status, count in sorted(measured.statuses.items())),
    }
    return row, measured


def _wait_for_rest(office: RunningOffice) -> None:
    """Wait until all is announced, so that the processor time of announcements counts, too."""
    until_s = time.monotonic() + REST_S_MAX
    before_s, rests = cpu.used_s(office)["feeder"], False
    while not rests and time.monotonic() < until_s:
        time.sleep(REST_S)
        used_s = cpu.used_s(office)["feeder"]
        before_s, rests = used_s, used_s - before_s < REST_SHARE * REST_S


def _with_floor(
    run: Run, rows: list[Row], act: floor.Act, opened: Callable[[], str], holders: int = 0
) -> Iterator[Row]:
    """Yield the rows with their ratio to the floor, then the floor, and the ceiling.

    So many holders, user-0, user-1 and so on, have bookings already; without holders the users are new. There is no
    ceiling for holders: it would run out of them.
    """
    section = rows[-1]["section"]
    names = [f"user-{n}" for n in range(holders)]
    users = [names[n :: run.workers] if names else floor.new_users(n) for n in range(run.workers)]
    rate = _alone(opened, lambda event_id: floor.floor(act, event_id, users, run.seconds))
    for row in rows:
        yield row | {"ratio": row["per_second"] / rate}
    yield {"section": f"floor of {section}", "per_second": rate, "note": "boto3, engine alone"}
    if not holders:
        rate = _alone(opened, lambda event_id: floor.ceiling(act, event_id, run.seconds))
        yield {"section": f"ceiling of {section}", "per_second": rate, "note": "no HTTP, engine alone"}


def _alone(opened: Callable[[], str], measure: Callable[[str], float]) -> float:
    """Measure an event on an engine of its own, with its data on disk; check its promises."""
    with tempfile.TemporaryDirectory() as data, around.office_on(Path(data)) as client:
        event_id = opened()
        rate = measure(event_id)
        promises.check(client, event_id)
    return rate


def _floors_event(tickets: int, bookers: int = 0) -> str:
    """Open an event on the floor's engine, and book it for user-0, user-1 and so on."""
    event_id = catalog.open_event(Terms("The concert", tickets), _deadline()).event_id
    for n in range(bookers):
        office.book(event_id, f"user-{n}", _deadline())
    return event_id


def _floors_empty_list() -> str:
    event_id = _floors_event(tickets=1, bookers=2)
    cancellation.cancel(event_id, "user-1", None, _deadline())
    return event_id


def _deadline() -> Deadline:
    return Deadline.after(REQUEST_BUDGET_S)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _sold_out(office: RunningOffice) -> str:
    event_id = open_event(office.url, tickets=1)
    for user in ("first", "second"):  # the second closes it
        load.run(office.port, 1, 1.0, lambda _, user=user: iter([_booking(event_id, user)]))  # type: ignore[misc]
    load.run(office.port, 1, 1.0, lambda _: iter([_cancellation(event_id, "second")]))
    return event_id


def _bookings(event_id: str, connection: int) -> Iterator[bytes]:
    for n in range(ONE_TICKET_EACH):
        yield _booking(event_id, f"user-{connection}-{n}")


def _visits(event_id: str, connection: int) -> Iterator[bytes]:
    for n in range(ONE_TICKET_EACH):
        user = f"user-{connection}-{n}"
        yield _booking(event_id, user)
        for look in range(STATUS_READS):
            yield load.get(f"/status/{event_id}{f'?userId={user}' if look % 2 else ''}")
        if n % 2:
            yield _cancellation(event_id, user)


def _shares(event_id: str, users: range, connections: int, connection: int) -> Iterator[bytes]:
    for n in users[connection::connections]:
        yield _booking(event_id, f"user-{n}")


def _groups(event_id: str, most: int, connection: int) -> Iterator[bytes]:
    """Ask for 1 to `most` tickets at a time, for as many in all as the event has, and a few more."""
    sizes = random.Random(connection)  # the same in each run
    for n in range(2 * RELEASE_TICKETS // (64 * (1 + most)) + 1):
        yield _booking(event_id, f"user-{most}-{connection}-{n}", quantity=sizes.randint(1, most))


def _cancellations(event_id: str, users: range, connections: int, connection: int) -> Iterator[bytes]:
    for n in users[connection::connections]:
        yield _cancellation(event_id, f"user-{n}")


def _booking(event_id: str, user: str, **more: int) -> bytes:
    return load.ask("/book", event_id, user, **more)


def _cancellation(event_id: str, user: str) -> bytes:
    return load.ask("/cancel", event_id, user)
