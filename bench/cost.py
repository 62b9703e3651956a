"""`python -m bench.cost`: measure the cost of each request, beside a design with one counter.

Warm functions that know the event make each request once on the real engine, which reports the units
(ReturnConsumedCapacity); tests/bench/test_cost.py compares these with the documented rules. The engine does not report
the units of a transaction that a condition refused: it is counted as if it had happened, which is the most it can cost.
Prices of single requests leave out the run time of functions, storage, logs, and backups; bench/bill.py has them all.
"""

import argparse
import io
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from types import ModuleType
from typing import Any
from unittest.mock import patch

from bench import around, filling, record
from bench.one_counter import OneCounter
from functions.bookings import app as bookings
from functions.event_bookings import app as event_bookings
from functions.events import app as events_listed
from functions.expire import app as expire
from functions.sweep import app as sweep
from functions.waiting_list import app as waiting_list
from harness.gateway import Context, call
from harness.meter import metered
from harness.office import Event, Office, clock_ahead, open_office
from shared import model, telemetry
from shared.booking import catalog
from shared.booking.sweep import EMPTIED_AUDIT_S, audit_event
from shared.edge import pages
from shared.model import TICKETS_PER_LANE
from shared.runtime import Deadline
from shared.telemetry import Metric

# US dollars for a million, in us-east-1, on demand.
WRITE_UNITS_USD = 0.625  # https://aws.amazon.com/dynamodb/pricing/on-demand/
READ_UNITS_USD = 0.125  # the same
HTTP_REQUESTS_USD = 1.00  # https://aws.amazon.com/api-gateway/pricing/: HTTP APIs, the first 300 million a month
INVOCATIONS_USD = 0.20  # https://aws.amazon.com/lambda/pricing/
GB_SECONDS_USD = 13.3334  # the same, arm64: a millisecond of 1 GB is 0.001 GB-seconds

# US dollars for a thousand, in us-east-1. AWS's own page (https://aws.amazon.com/cognito/pricing/) could not be read:
# the users are from a transcript of AWS's Price List of October 2025, the tokens from a catalogue of April 2025.
USERS_USD = {"LITE": 5.5, "ESSENTIALS": 15, "PLUS": 20}
TOKENS_USD = 2.25

# Each item of a transaction costs two writes of its size, here below 1 KB; one that a condition refused is paid, too.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-capacity-handling
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html#WorkingWithItems.ConditionalUpdate
REFUSED_ITEM_WRITE_UNITS = 2

RUNS_MONTHLY = 30 * 24 * 60  # of ExpireFunction, which runs every minute
HOLD_S = 600
HOLDS_AT_ONCE = 40  # of one lane
NOTHING_DUE = "expire, no hold due"
NOTHING_TO_SWEEP = "sweep, nothing has changed"
PAST_EVENTS = 40  # every second one was cancelled, the others sold out
PAST_TO_SWEEP = f"sweep, nothing has changed, after {PAST_EVENTS} past events"
SWEPT = "sweep, each sold-out event that has changed"
COUNTED = "status, counted already"
LOG_LINE_BYTES = 26  # that CloudWatch bills for each line besides its own

LANES_MANY = 96
TICKETS_MANY = 1_000_000  # of an event with LANES_MANY lanes


class Bill:
    """The rows of one design. The price is for a million such requests."""

    def __init__(self) -> None:
        """Begin."""
        self.rows: list[dict[str, Any]] = []

    @contextmanager
    def item(self, name: str, *, http: bool = True, invocations: int = 1) -> Iterator[None]:
        """Add a row with the database requests of the block: one HTTP request, or else so many invocations."""
        with metered() as meter, _logged() as lines:
            yield
        refused = meter.refused_items * REFUSED_ITEM_WRITE_UNITS
        units_usd = (meter.write_units + refused) * WRITE_UNITS_USD + meter.read_units * READ_UNITS_USD
        self.rows.append(
            {
                "request": name,
                "calls": dict(Counter(meter.requests)),
                "writeUnits": meter.write_units,
                "refusedWriteUnits": refused,
                "readUnits": meter.read_units,
                "logBytes": sum(len(line) + LOG_LINE_BYTES for line in lines),
                "unitsUsd": round(units_usd, 4),
                "totalUsd": round(units_usd + INVOCATIONS_USD * invocations + HTTP_REQUESTS_USD * http, 4),
            }
        )


@contextmanager
def _logged() -> Iterator[list[bytes]]:
    """Collect the log lines of the block, with names as long as on AWS."""
    written, lines = io.StringIO(), list[bytes]()
    handler, level = telemetry.logger.registered_handler, telemetry.logger.log_level
    with (
        patch.object(handler, "stream", written),
        patch.object(Context, "function_name", "ticket-office-BookFunction-1A2B3C4D5E6F"),
        patch.dict(os.environ, STACK="ticket-office"),
    ):
        telemetry.logger.setLevel("INFO")
        try:
            yield lines
        finally:
            telemetry.logger.setLevel(level)
    lines += written.getvalue().encode().splitlines(keepends=True)


def main() -> None:
    """Measure, print, and write bench/results/cost.json."""
    argparse.ArgumentParser(prog="python -m bench.cost", description="Measure what each request costs.").parse_args()
    with around.office_on() as client:
        result = measure(client)
    record.write("cost", result)
    print(section(result))  # noqa: T201  # this is the product


def measure(client: Any) -> dict[str, Any]:
    """Make each request once, with both designs."""
    office_bill, counter_bill = Bill(), Bill()
    with open_office(client) as office:
        _runs_of_nothing(office_bill)
        _past_events(office, office_bill)
        _opening(office, office_bill)
        _on_sale(office, office_bill)
        _holds(office, office_bill)
        _groups(office, office_bill)
        _after_the_sale(office, office_bill)
        _sold_out(office, office_bill)
        _back_on_sale(office, office_bill)
        _promotions(office, office_bill)
        _status(office, office_bill)
        _lists(office, office_bill)
        _audits(client, office, office_bill)
    _one_counter(counter_bill)
    return {"command": "python -m bench.cost", "office": office_bill.rows, "oneCounter": counter_bill.rows}


def section(result: dict[str, Any]) -> str:
    """Render the part of docs/benchmark.md."""
    head = ["request", "calls", "write units", "read units", "units, $", "with gateway and function, $"]
    return f"""## Cost

`{result["command"]}`: the price of a million of each request, from the units that the engine reports in a run.
On demand, in us-east-1, a million write units are ${WRITE_UNITS_USD}, read units ${READ_UNITS_USD}, requests to the
HTTP API ${HTTP_REQUESTS_USD:.2f}, and invocations ${INVOCATIONS_USD:.2f}. Functions are warm: they know the event.
Units in brackets are those of transactions that a condition refused, counted as if they had happened. Run time costs
extra: ${GB_SECONDS_USD / 1000:.4f} for a million requests of one millisecond. Promoter, `ExpireFunction` and sweep need
no gateway. A booking of several tickets costs as much as one of a single ticket, if the user's lane has them.
[All that a stack pays](#the-whole-bill).

{record.table(head, [_row(row) for row in result["office"]])}

The usual design with one counter per event (`bench/one_counter.py`), in the same run:

{record.table(head, [_row(row) for row in result["oneCounter"]])}

A booking costs the same on one lane and on {LANES_MANY}, and one unit more than with one counter: for the index by
user, which `GET /bookings` reads. More lanes cost more where all are read: in a count, which a function makes once a
second for all statuses, by the promoter, and by the sweep.
A hold costs one write unit more than a booking, and its end one more: until then it is in the index of holds.

{_monthly(result["office"])}
"""


def _monthly(rows: list[dict[str, Any]]) -> str:
    """Say what a stack pays for ExpireFunction if no hold is ever due."""
    [row] = [row for row in rows if row["request"] == NOTHING_DUE]
    units_usd = row["readUnits"] * READ_UNITS_USD * RUNS_MONTHLY / 1_000_000
    invocations_usd = INVOCATIONS_USD * RUNS_MONTHLY / 1_000_000
    tenth_usd = 0.1 * GB_SECONDS_USD * RUNS_MONTHLY / 1_000_000
    return f"""`ExpireFunction` runs every minute, {RUNS_MONTHLY:,} times in 30 days, and makes
{row["calls"]["Query"]} queries, even if no event has holds. Each stack pays ${units_usd + invocations_usd:.2f} a month
for that: ${units_usd:.2f} for read units and ${invocations_usd:.2f} for invocations. Each tenth of a second that a run
takes adds ${tenth_usd:.2f}."""


def _row(row: dict[str, Any]) -> list[str]:
    refused = f" (+{row['refusedWriteUnits']})" if row["refusedWriteUnits"] else ""
    units = [f"{row['writeUnits']:g}{refused}", f"{row['readUnits']:g}"]
    return [row["request"], record.calls(row["calls"]), *units, f"{row['unitsUsd']:.3f}", f"{row['totalUsd']:.3f}"]


def _opening(office: Office, bill: Bill) -> None:
    for tickets, lanes in ((1, 1), (TICKETS_MANY, LANES_MANY)):
        with bill.item(f"initialize: {of_lanes(lanes)}"):
            office.opens(tickets=tickets)


def _on_sale(office: Office, bill: Bill) -> None:
    event = office.opens(tickets=TICKETS_MANY)
    with bill.item("book, on sale, by a function that does not know the event"):
        assert event.books("first") == _CREATED
    with bill.item("book, on sale"):
        assert event.books("anna") == _CREATED
    with bill.item("book again, on sale"):
        assert event.books("anna") == _OK
    with bill.item("cancel, on sale"):
        event.cancels("anna")
    with bill.item("promoter, after a cancellation on sale", http=False):
        event.promotes()
    with bill.item("book after cancelling, on sale"):
        assert event.books("anna") == _CREATED


def _holds(office: Office, bill: Bill) -> None:
    event = office.opens(tickets=TICKETS_MANY, holdSeconds=HOLD_S)
    event.books("first")
    with bill.item("book, a hold"):
        booking_id = event.book("anna").json["bookingId"]
    with bill.item("confirm a hold"):
        assert event.confirm("anna", booking_id).status == _OK
    with bill.item("confirm again"):
        assert event.confirm("anna", booking_id).status == _OK
    event.books("ben")
    with bill.item("cancel, a hold"):
        event.cancels("ben")
    event.cancels("first")
    small = office.opens(tickets=HOLDS_AT_ONCE, holdSeconds=HOLD_S)
    for n in range(HOLDS_AT_ONCE):
        small.books(f"user-{n}")
    with clock_ahead(HOLD_S + 5), bill.item(f"expire, {HOLDS_AT_ONCE} holds of one lane", http=False):
        expire.handler({}, Context())
    assert small.check().tickets_left == HOLDS_AT_ONCE


def _groups(office: Office, bill: Bill) -> None:
    event = office.opens(tickets=TICKETS_MANY, ticketsPerBooking=4)
    event.books("first")
    with bill.item("book 4 tickets, on sale"):
        assert event.books("anna", quantity=4) == _CREATED
    with bill.item("cancel 2 of 4 tickets, on sale"):
        assert event.cancel("anna", keep=2).json["quantity"] == 2  # noqa: PLR2004  # as above
    scarce = office.opens(tickets=2 * TICKETS_PER_LANE, ticketsPerBooking=4)
    for lane in range(scarce.check().event["lanes"]):
        _leave_in_lane(scarce, lane, 2)
    with bill.item("book 4 tickets, the last 2 of each of two lanes"):
        assert scarce.books("anna", quantity=4) == _CREATED


def _leave_in_lane(event: Event, lane: int, left: int) -> None:
    known = catalog.read_event(event.event_id, Deadline.after(60))
    users = (f"{event.event_id}-{n}" for n in count())
    at_home = (user for user in users if known.home_lane(user) == lane)
    for user in islice(at_home, TICKETS_PER_LANE - left):
        assert event.books(user) == _CREATED


def _after_the_sale(office: Office, bill: Bill) -> None:
    event = office.opens(tickets=TICKETS_MANY)
    booking_id = event.book("anna").json["bookingId"]
    with bill.item("transfer"):
        assert event.transfer("anna", booking_id, "ben").status == _OK
    booking_id = event.status("ben").json["booking"]["bookingId"]
    with bill.item("check-in"):
        assert event.check_in("ben", booking_id).status == _OK
    with bill.item("check-in, again"):
        assert event.check_in("ben", booking_id).status == _OK


def _back_on_sale(office: Office, bill: Bill) -> None:
    for lanes in (1, LANES_MANY):
        with patch.object(catalog, "lanes_for", lambda _, lanes=lanes: lanes):
            event = office.opens(tickets=lanes)
        for n in range(lanes):
            assert event.books(f"holder-{n}") == _CREATED
        assert event.books("first") == _ACCEPTED  # closes the lanes
        for user in ("first", *(f"holder-{n}" for n in range(lanes))):
            event.cancels(user)
        with bill.item(f"promoter, back on sale: {of_lanes(lanes)}", http=False, invocations=promoters(lanes)):
            event.promotes()
        assert event.books("anna") == _CREATED


def _sold_out(office: Office, bill: Bill) -> None:
    event = office.opens(tickets=1)
    event.books("holder")
    with bill.item("book, first to find it sold out: 1 lane"):
        assert event.books("first") == _ACCEPTED
    event.books("second")
    with bill.item("book, sold out: join the waiting list"):
        assert event.books("anna") == _ACCEPTED
    with bill.item("book again, waiting: the first in ten seconds"):
        assert event.books("anna") == _OK
    with bill.item("book again, waiting: the next"):
        assert event.books("anna") == _OK
    with bill.item("cancel, waiting"):
        event.cancels("anna")
    with bill.item("cancel, sold out"):
        event.cancels("holder")
    event.promotes()
    for user in ("first", "second"):
        event.cancels(user)
        event.promotes()
    with bill.item("book, sold out, a free ticket and an empty list"):
        assert event.books("late") == _CREATED


def _promotions(office: Office, bill: Bill) -> None:
    tickets = 25
    event = office.opens(tickets=tickets)
    for n in range(2 * tickets):
        event.books(f"user-{n}")
    for n in range(tickets):
        event.cancels(f"user-{n}")
    with bill.item(f"promoter, {tickets} promotions at once", http=False):
        event.promotes()


def _status(office: Office, bill: Bill) -> None:
    for tickets, lanes in ((1, 1), (TICKETS_MANY, LANES_MANY)):
        event = office.opens(tickets=tickets)
        event.books("anna")
        with bill.item(f"status: {of_lanes(lanes)}"):
            event.status()
        if lanes == LANES_MANY:
            with bill.item(COUNTED):
                event.status_again()
        with bill.item(f"status of a user: {of_lanes(lanes)}"):
            event.status("anna")


def _lists(office: Office, bill: Bill) -> None:
    events_booked = [office.opens(tickets=1) for _ in range(pages.LIMIT)]
    for event in events_booked:
        event.books("anna")
    with bill.item(f"bookings of a user: a page of {pages.LIMIT}"):
        assert len(call(bookings, query={"userId": "anna"}).json["bookings"]) == pages.LIMIT
    with bill.item("bookings of a user: their booking on one event"):
        call(bookings, query={"userId": "anna", "eventId": events_booked[0].event_id})
    with bill.item(f"events: a page of {pages.LIMIT}"):
        assert len(call(events_listed).json["events"]) == pages.LIMIT
    filled = filling.opened(LANES_MANY, pages.LIMIT_MAX * LANES_MANY)
    waiting = [f"waiting-{n}" for n in range(pages.LIMIT_MAX)]
    filling.write(filling.on_sale(filled, left_in_each_lane=pages.LIMIT_MAX))
    filling.write(filling.confirmed(filled, (f"holder-{n}" for n in range(10 * LANES_MANY))))
    filling.write(filling.waiting(filled, waiting, first_sequence=1))
    catalog.read_event(filled.event_id, Deadline.after(60))
    with bill.item(f"bookings of an event: a page of {pages.LIMIT_MAX}"):
        assert len(_page_of(event_bookings, filled)["bookings"]) == pages.LIMIT_MAX
    with bill.item(f"waiting list: a page of {pages.LIMIT_MAX}"):
        assert len(_page_of(waiting_list, filled)["entries"]) == pages.LIMIT_MAX


def _page_of(function: ModuleType, event: model.Event) -> dict[str, Any]:
    page: dict[str, Any] = call(function, event_id=event.event_id, query={"limit": str(pages.LIMIT_MAX)}).json
    return page


def _runs_of_nothing(bill: Bill) -> None:
    with bill.item(NOTHING_DUE, http=False):
        expire.handler({}, Context())
    with bill.item(NOTHING_TO_SWEEP, http=False):
        sweep.handler({}, Context(time_left_s=120))


def _past_events(office: Office, bill: Bill) -> None:
    for number in range(PAST_EVENTS):
        event = office.opens(tickets=1)
        for user in ("anna", "ben"):
            event.books(user)
        if number % 2:
            event.cancels_event()
    sweep.handler({}, Context(time_left_s=120))
    with clock_ahead(EMPTIED_AUDIT_S + 60):
        sweep.handler({}, Context(time_left_s=120))
    with bill.item(PAST_TO_SWEEP, http=False):
        sweep.handler({}, Context(time_left_s=120))


def _audits(client: Any, office: Office, bill: Bill) -> None:
    for lanes, users in ((1, 50), (LANES_MANY, 1_000)):
        event = filling.opened(lanes, users)
        waiting = [f"waiting-{n}" for n in range(users)]
        filling.write(filling.on_sale(event, left_in_each_lane=0))
        filling.write(filling.confirmed(event, (f"holder-{n}" for n in range(users))))
        office.events.append(Event(event.event_id, client))
        assert office.events[-1].books("first") == _ACCEPTED  # closes the lanes
        filling.write(filling.waiting(event, waiting, first_sequence=2))
        filling.count_waiting(client, event, waiting)
        with bill.item(f"{SWEPT}: {of_lanes(lanes)}, {users:,} booked and waiting", http=False):
            assert audit_event(event.event_id, Deadline.after(60))[Metric.WAITING_LIST_COUNT] == users + 1
        office.events[-1].cancels("holder-0")
        with bill.item(f"promoter, one promotion: {of_lanes(lanes)}", http=False, invocations=promoters(lanes)):
            office.events[-1].promotes()


def _one_counter(bill: Bill) -> None:
    event, deadline = OneCounter("the-event"), Deadline.after(60)
    event.open(1, deadline)
    with bill.item("book, on sale"):
        assert event.book("anna", deadline) == "CONFIRMED"
    with bill.item("book, sold out: join the queue"):
        assert event.book("ben", deadline) == "WAITING"
    event.book("cleo", deadline)
    with bill.item("cancel, waiting"):
        event.cancel("cleo", deadline)
    with bill.item("cancel, sold out"):
        event.cancel("anna", deadline)
    with bill.item("promoter, one promotion", http=False):
        event.promote(deadline)
    with bill.item("status"):
        assert event.status(deadline) == 0


_OK, _CREATED, _ACCEPTED = 200, 201, 202


def promoters(lanes: int) -> int:
    """Return how many invocations a promotion takes: one leaves a note if there are several lanes, another settles."""
    return 1 if lanes == 1 else 2


def of_lanes(lanes: int) -> str:
    """Name a number of lanes, as in the rows."""
    return "1 lane" if lanes == 1 else f"{lanes} lanes"


if __name__ == "__main__":
    main()
