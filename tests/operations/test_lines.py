"""Each log line says which event it is about, and nothing about the user but the id."""

import json
import re
from collections import defaultdict
from itertools import repeat
from typing import Any

import pytest

import functions.announce.bus
import functions.book.app
import functions.follow.app
import functions.initialize.app
import functions.promote.app
import functions.status.app
import functions.sweep.app
from harness.gateway import Context, call, organiser
from harness.network import error, network
from harness.office import Event, Office, clock_ahead
from harness.watching import RUNBOOK
from shared import runtime
from shared.booking import audit, event_change, expiry
from shared.model import BACKGROUND_RESERVE_S, TryAgain
from shared.store import dynamodb, items
from shared.store.aws_client import NoResponse
from shared.telemetry import Metric
from tests.announce.test_bus import FakeBus, announce, confirmed
from tests.conftest import LogLines
from tests.operations.clock import at
from tests.operations.test_drill import HOLD_S, expires, forge, hide_others, set_lanes, sweeps
from tests.operations.troubles import throttled

Line = dict[str, Any]

OF_A_LINE = {"level", "timestamp", "message"}
OF_A_FUNCTION = {"function_name", "function_request_id", "cold_start"}
OF_A_METRIC = {"stack", "_aws"}
OF_A_REQUEST = {"correlation_id"}
A_BOOKING = {"event_id", "user_id", "booking_id"}
AN_EXCEPTION = {"exception", "exception_name", "stack_trace"}  # places in the code, without values

# The fields of each message, besides those above and its own metric.
FACTS: dict[str, set[str]] = {
    Metric.EVENT_OPENED: {"event_id", "tickets"},
    Metric.EVENT_CHANGED: {"event_id"},
    Metric.BOOKING_CONFIRMED: A_BOOKING | {"by"},
    Metric.BOOKING_HELD: A_BOOKING | {"by"},
    Metric.HOLD_CONFIRMED: A_BOOKING | {"by", "caller"},  # here a shop confirms
    Metric.HOLD_EXPIRED: A_BOOKING,
    Metric.OVERDUE_HOLD_AGE: {"expired"},
    Metric.WAITING_JOINED: A_BOOKING | {"by"},
    Metric.BOOKING_PROMOTED: A_BOOKING | {Metric.PROMOTION_LATENCY, Metric.BOOKING_OFFERED},
    Metric.EVENT_CANCELLED: {"event_id"},
    Metric.EVENT_EMPTIED: {"event_id"},
    Metric.BOOKING_REDUCED: A_BOOKING | {"by"},
    Metric.WAITING_REDUCED: A_BOOKING | {"by"},
    Metric.BOOKING_CANCELLED: A_BOOKING | {Metric.WAITING_LEFT, "by"},
    Metric.WAITING_LEFT: A_BOOKING | {"by"},
    Metric.BOOKING_TRANSFERRED: A_BOOKING | {"by", "tickets"},
    Metric.BOOKING_CHECKED_IN: A_BOOKING | {"by", "caller", "tickets"},
    Metric.SOLD_OUT: {"event_id"},
    Metric.BACK_ON_SALE: {"event_id"},
    Metric.TRY_AGAIN: {"event_id", "cause"},
    Metric.CONTENTION: {"event_id", "operation", "cause"},
    Metric.INTERNAL_ERROR: {"event_id", *AN_EXCEPTION},
    Metric.RECORDS_FAILED: set(),
    Metric.FAILED_RECORDS_KEPT: set(),
    Metric.EVENTS_SWEPT: {
        Metric.EVENTS_NOT_SWEPT,
        Metric.AVAILABLE_TICKETS,
        Metric.WAITING_LIST_COUNT,
        Metric.IDLE_TICKETS,
        Metric.EMPTYING_AGE,
    },
    Metric.STRANDED_AGE: {"event_id"},
    Metric.CHANGE_UNFINISHED: {"event_id"},
    Metric.PROMISE_VIOLATIONS: {"event_id", "promise", "difference", "available", "waiting"},
    Metric.AUDIT_INCONCLUSIVE: {"event_id"},
    "not done": {"event_id", *AN_EXCEPTION},
    "not done yet": {"event_id"},
    Metric.ANNOUNCED: set(),
    Metric.ANNOUNCEMENTS_FAILED: set(),
    "not announced": {"codes", *AN_EXCEPTION},
    "no time left to announce": set(),
    "unreadable record": AN_EXCEPTION,
    "not expired": {"event_id", *AN_EXCEPTION},
    "not expired yet": {"event_id"},
    "expiry ends early": set(),
    "not settled": {"event_id", *AN_EXCEPTION},
    "not audited": {"event_id", *AN_EXCEPTION},
    "sweep ends early": {"segment"},
}

PRIVATE = "anna@example.com"  # what a token, a header or a query may contain about a user
ABOUT_NO_ONE_EVENT = {
    Metric.RECORDS_FAILED,
    Metric.FAILED_RECORDS_KEPT,
    Metric.EVENTS_SWEPT,
    Metric.OVERDUE_HOLD_AGE,
    "expiry ends early",
    Metric.ANNOUNCED,
    Metric.ANNOUNCEMENTS_FAILED,
    "not announced",
    "no time left to announce",
    "unreadable record",
    "sweep ends early",
}

_WORDS_OF_A_QUERY = {"filter", "and", "stats", "display", "sort", "count", "max", "by", "ispresent", "like"}


@pytest.fixture
def event(office: Office) -> Event:
    """Return an event with one ticket, which anna has, and for which ben and cleo wait; the sweep sees no other."""
    hide_others(office)
    return office.opens(tickets=1)


@pytest.fixture
def lines(office: Office, event: Event, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    """Return the lines of an office in which everything happened that has a metric."""
    call(functions.initialize.app, {"name": "Another", "totalTickets": 1}, claims=organiser("o") | {"email": PRIVATE})
    with at(monkeypatch, seconds_ago=90):
        for user in ("anna", "ben", "cleo"):
            event.books(user)
        event.cancels("anna")
    sweeps()  # finds ben stranded
    event.changes(name="The encore")
    event.cancels("cleo")
    event.books("dora")
    event.cancels("ben")
    _promotes(event, Context())
    with monkeypatch.context() as hurried, throttled():
        hurried.setattr(functions.book.app, "REQUEST_BUDGET_S", 0.05)
        hurried.setattr(functions.status.app, "STATUS_BUDGET_S", 0.05)
        assert _asks(event) == [503, 503]
        _promotes(event, Context(BACKGROUND_RESERVE_S + 0.05))
    with network() as between:
        between.intercept = lambda sent: error(400, "ThrottlingException") if sent.operation == "BatchGetItem" else None
        functions.sweep.app.handler({}, Context(BACKGROUND_RESERVE_S + 1))
    set_lanes(office, event, "many")
    assert _asks(event) == [500, 500]
    sweeps()
    set_lanes(office, event, "1")
    lane = items.LANES, items.lane_key(event.event_id, 0)
    forge(office, *lane, "ADD available :more", more=items.number(1))
    sweeps()  # finds one ticket too many
    forge(office, *lane, "ADD available :more", more=items.number(-1))
    inconclusive = audit.Inspection(None, 0, 0, stranded_s=0.0, is_cancelled=False, lanes=(), is_quiet=False)
    monkeypatch.setattr(audit, "audit", lambda *_: inconclusive)
    sweeps()
    with monkeypatch.context() as busy:
        busy.setattr(event_change, "_advance", _raises_try_again)
        with at(monkeypatch, seconds_ago=90):
            assert event.change(totalTickets=2).status == 503
        sweeps()
    event.cancels_event()
    set_lanes(office, event, "many")
    _follows(event)
    set_lanes(office, event, "1")
    with monkeypatch.context() as hurried:
        hurried.setattr("shared.booking.sweep.UNFINISHED_S_MAX", 0)
        sweeps()
    sweeps()
    _announces(monkeypatch)
    _holds(office, monkeypatch)
    _groups(office)
    # Reading the index is about no single event, and whether it times out depends on the machine.
    return [line for line in log_lines() if line.get("operation") != "Scan"]


def _groups(office: Office) -> None:
    """Give back some tickets, ask for fewer, and put an event back on sale."""
    event = office.opens(tickets=2, ticketsPerBooking=2)
    for user in ("anna", "ben"):
        event.books(user, quantity=2)
    event.cancel("ben", keep=1)
    event.cancel("anna", keep=1)
    _promotes(event, Context())
    event.cancels("ben")
    _promotes(event, Context())


def _raises_try_again(*_: object, **__: object) -> None:
    raise TryAgain("busy")


def test_lines_have_their_fields_and_no_others(office: Office, lines: list[Line]) -> None:
    """One test, because everything must happen first."""
    _have_nothing_from_the_request(lines)
    _have_every_metric(lines)
    _have_the_id_of_their_event(office, lines)
    _have_the_id_of_the_request_that_met_contention(lines)
    queries = re.findall(r"filter [^`#\n]+", RUNBOOK.read_text("utf-8"))
    assert queries
    for query in queries:
        _assert_finds_its_fields(query, lines)


def _have_nothing_from_the_request(lines: list[Line]) -> None:
    """Or from the token or the address."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        found[line["message"]] |= line.keys() - {line["message"]}
    common = OF_A_LINE | OF_A_FUNCTION | OF_A_METRIC | OF_A_REQUEST
    assert {message: facts - common for message, facts in found.items()} == FACTS
    assert PRIVATE not in json.dumps(lines)


def _have_every_metric(lines: list[Line]) -> None:
    metrics = {
        one["Name"] for line in lines if "_aws" in line for one in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    }
    assert metrics == set(Metric)


def _have_the_id_of_their_event(office: Office, lines: list[Line]) -> None:
    """Also lines about failures, and those of the promoter, the sweep and ExpireFunction."""
    about_one = [line for line in lines if line["message"] not in {*ABOUT_NO_ONE_EVENT, Metric.EVENT_OPENED}]
    named = {line.get("event_id") for line in about_one}
    assert named >= {one.event_id for one in office.events}  # the sweep also looks at events of other tests
    for line in lines:
        assert ("event_id" in line) is (line["message"] not in ABOUT_NO_ONE_EVENT), line


def _have_the_id_of_the_request_that_met_contention(lines: list[Line]) -> None:
    """The id that the user was shown; contention of the promoter and the sweep has none."""
    found = {"correlation_id" in line for line in lines if line["message"] == Metric.CONTENTION}
    assert found == {True, False}


def test_an_invocation_does_not_inherit_the_event_of_the_last_one(
    event: Event, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next invocation in the same process is about another event, or none."""
    monkeypatch.setattr(functions.initialize.app, "REQUEST_BUDGET_S", 0.05)
    event.books("anna")
    with throttled():
        assert call(functions.initialize.app, {"name": "Another", "totalTickets": 1}).status == 503
    event.books("ben")
    with throttled():
        functions.sweep.app.handler({}, Context(BACKGROUND_RESERVE_S + 0.05))
    found = [line for line in log_lines() if line["message"] in {Metric.CONTENTION, Metric.TRY_AGAIN}]
    assert {"correlation_id" in line for line in found} == {True, False}  # of the request, and of the sweep
    assert not any("event_id" in line for line in found)


def _assert_finds_its_fields(query: str, lines: list[Line]) -> None:
    """Every line that a query of the runbook selects has all fields that it names."""
    fields = set(re.findall(r"(?<![@\w])[A-Za-z_]\w*", re.sub(r'"[^"]*"|/[^/]*/', "", query))) - _WORDS_OF_A_QUERY
    wanted = dict(re.findall(r'(message|level) = "([\w ]+)"', query))
    present = set(re.findall(r"ispresent\((\w+)\)", query)) or (fields if not wanted else set())
    selected = [line for line in lines if line.items() >= wanted.items() and line.keys() >= present]
    assert selected, query
    for line in selected:
        assert line.keys() >= fields, query


def _asks(event: Event) -> list[int]:
    """Book and read the status with a token and headers that say more about the user; return both statuses."""
    who: dict[str, Any] = {"claims": organiser("anna") | {"email": PRIVATE}, "headers": {"user-agent": PRIVATE}}
    booked = call(functions.book.app, {"userId": "anna", "eventId": event.event_id}, **who)
    asked = call(functions.status.app, event_id=event.event_id, query={"userId": "anna"}, **who)
    return [booked.status, asked.status]


def _promotes(event: Event, context: Context) -> None:
    """Give the promoter a record with the time of a release."""
    image = {"cancelledAt": {"S": runtime.current.now()}, "email": {"S": PRIVATE}}
    keys = {"laneId": {"S": f"{event.event_id}#0"}}
    record = {"dynamodb": {"Keys": keys, "NewImage": image, "SequenceNumber": "1"}}
    functions.promote.app.handler({"Records": [record]}, context)


def _follows(event: Event) -> None:
    """Give FollowFunction a record of the damaged event."""
    record = {"dynamodb": {"Keys": {"eventId": {"S": event.event_id}}, "SequenceNumber": "1"}}
    functions.follow.app.handler({"Records": [record]}, Context())


def _holds(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold, confirm, offer and expire tickets of another event; let expiry fail in each of its ways."""
    event = office.opens(tickets=1, holdSeconds=HOLD_S)
    held = event.book("anna").json["bookingId"]
    event.confirm("anna", held, reference=PRIVATE)
    event.books("ben")
    event.cancels("anna")
    _checks_in(office)
    event.promotes()
    with clock_ahead(HOLD_S + 5):
        for place, name in ((dynamodb, "query"), (expiry, "expire_all")):
            with monkeypatch.context() as busy:
                busy.setattr(place, name, _raises_try_again)
                expires()
        set_lanes(office, event, "many")
        expires()
        set_lanes(office, event, "1")
        expires()


def _checks_in(office: Office) -> None:
    event = office.opens(tickets=1)
    event.transfer("anna", event.book("anna").json["bookingId"], "ben")
    event.check_in("ben", event.status("ben").json["booking"]["bookingId"])


def _announces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Announce records: successfully, refused, without a bus, without time, and one that cannot be read."""
    bus = FakeBus()
    monkeypatch.setattr(functions.announce.bus, "_client", lambda: bus)
    monkeypatch.setattr(functions.announce.bus, "PAUSE_S_MAX", 0.0)
    records = confirmed(2)
    for record in records:
        record["dynamodb"]["NewImage"]["email"] = {"S": PRIVATE}
    assert announce(records) == []
    assert announce(records, time_left_s=1) == ["1"]
    bus.refuse = lambda _: "InternalFailure"
    assert announce(records) == ["1"]
    bus.troubles = repeat(NoResponse("PutEvents", "ConnectionRefusedError"))
    assert announce(records) == ["1"]
    del records[1]["dynamodb"]["NewImage"]["status"]
    assert announce(records) == ["1"]
