"""Each outcome is one log line, in the form from which CloudWatch extracts metrics."""

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from harness.office import Event, Office
from shared.booking.catalog import read_event
from shared.booking.settle import settle
from shared.runtime import Deadline
from shared.telemetry import UNITS, Metric
from tests.conftest import LogLines
from tests.operations.test_drill import hide_others, sweeps


def _told(line: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of a line and their values."""
    definitions = line.get("_aws", {}).get("CloudWatchMetrics", [])
    return {metric["Name"]: line[metric["Name"]] for one in definitions for metric in one["Metrics"]}


@pytest.fixture
def life(office: Office) -> Event:
    """Return an event whose one ticket went from anna, who cancelled, to ben; cleo waited and left."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben", "cleo"):
        event.books(user)
    event.cancels("cleo")
    event.cancels("anna")
    event.promotes()
    return event


def test_each_step_of_a_life_is_one_line_and_one_count(office: Office, log_lines: LogLines) -> None:
    """P7 for counts: a repetition is no outcome."""
    event = office.opens(tickets=1)
    for user in ("anna", "anna", "ben", "ben"):
        event.books(user)
    event.cancels("ben")
    event.cancels("ben")
    event.books("cleo")
    event.cancels("anna")
    event.cancels("anna")
    event.promotes()
    event.promotes()
    told = [tuple(_told(line)) for line in log_lines() if _told(line)]
    assert told == [
        (Metric.EVENT_OPENED,),
        (Metric.BOOKING_CONFIRMED,),
        (Metric.SOLD_OUT,),
        (Metric.WAITING_JOINED,),
        (Metric.WAITING_LEFT,),
        (Metric.WAITING_JOINED,),
        (Metric.BOOKING_CANCELLED,),
        (Metric.BOOKING_PROMOTED,),
    ]


def test_a_line_is_what_cloudwatch_reads(life: Event, log_lines: LogLines) -> None:
    """It has a namespace, a dimension that is a field of the line, and units that CloudWatch knows."""
    life.cancels("ben")
    [line] = log_lines()
    assert line["_aws"]["CloudWatchMetrics"] == [
        {
            "Namespace": "TicketOffice",
            "Dimensions": [["stack"]],
            "Metrics": [{"Name": "BookingCancelled", "Unit": "Count"}],
        }
    ]
    assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 5
    assert (line["stack"], line["BookingCancelled"]) == ("local", 1)
    assert set(UNITS.values()) <= {"Milliseconds", "Seconds"}


def test_a_promotion_carries_the_time_since_the_cancellation(office: Office, log_lines: LogLines) -> None:
    """Measured from the record; the oldest release of a batch is paired with its first promotion."""
    event = office.opens(tickets=2)
    for user in ("anna", "ben", "cleo", "dora"):
        event.books(user)
    for user in ("anna", "ben"):
        event.cancels(user)
    released_at = ["2026-05-01T18:00:01.000Z", "2026-05-01T18:00:00.000Z"]
    deadline = Deadline.after(5)
    settle(read_event(event.event_id, deadline), deadline, released_at=released_at)
    latencies = [line["PromotionLatency"] for line in log_lines() if "PromotionLatency" in line]
    assert len(latencies) == 2
    assert latencies[0] - latencies[1] == pytest.approx(1000, abs=500)
    event.check(drained=True)


def test_a_promotion_without_a_record_has_no_latency(life: Event, log_lines: LogLines) -> None:
    """An operator or a sweep that settles has no record to measure from."""
    life.books("dora")
    life.cancels("ben")
    deadline = Deadline.after(5)
    settle(read_event(life.event_id, deadline), deadline)
    [promoted] = [line for line in log_lines() if "BookingPromoted" in line]
    assert "PromotionLatency" not in promoted


def test_a_sweep_adds_up_what_is_left_and_who_waits(office: Office, log_lines: LogLines) -> None:
    """One line for all sold-out events, and one for each event with its own numbers."""
    hide_others(office)
    event, given_back, on_sale = office.opens(tickets=1), office.opens(tickets=3), office.opens(tickets=7)
    for user in ("anna", "ben", "cleo"):
        event.books(user)
    for user in ("anna", "ben", "cleo", "dora"):
        given_back.books(user)
    for user in ("dora", "cleo", "ben"):  # dora waited; two tickets are free and nobody waits
        given_back.cancels(user)
    on_sale.books("anna")
    sweeps()
    [sweep] = [line for line in log_lines() if "EventsSwept" in line]
    told = {"EventsSwept", "EventsNotSwept", "AvailableTickets", "WaitingListCount", "IdleTickets", "EmptyingAge"}
    assert _told(sweep).keys() == told
    assert (sweep["EventsSwept"], sweep["EventsNotSwept"], sweep["EmptyingAge"]) == (2, 0, 0)
    assert (sweep["AvailableTickets"], sweep["WaitingListCount"], sweep["IdleTickets"]) == (2, 2, 0)
    sound = [line for line in log_lines() if line.get("PromiseViolations") == 0]
    numbers = {line["event_id"]: (line["available"], line["waiting"]) for line in sound}
    assert numbers == {event.event_id: (0, 2), given_back.event_id: (2, 0)}


def test_a_sweep_counts_the_tickets_that_a_head_leaves_idle(office: Office, log_lines: LogLines) -> None:
    """Too few for a user who insists, and so for everyone behind: that breaks no promise."""
    hide_others(office)
    event = office.opens(tickets=3, ticketsPerBooking=3)
    event.books("anna", quantity=3)
    event.books("ben", quantity=3)
    event.books("cleo")
    event.cancel("anna", keep=1)
    sweeps()
    [sweep] = [line for line in log_lines() if "EventsSwept" in line]
    assert (sweep["AvailableTickets"], sweep["IdleTickets"], sweep["WaitingListCount"]) == (2, 2, 2)
    assert [line["PromiseViolations"] for line in log_lines() if "PromiseViolations" in line] == [0]
    assert not [line for line in log_lines() if "StrandedAge" in line]


@pytest.mark.parametrize(
    ("tracing", "is_loaded", "client"),
    [("Disabled", False, "shared.store.aws_client.Client"), ("Active", True, "shared.store.tracing.Traced")],
)
def test_tracing_is_loaded_only_where_it_is_on(
    tracing: str, is_loaded: bool, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off, it costs nothing; on, all requests go through it, without a library."""
    monkeypatch.setenv("TRACING", tracing)
    program = """
import json, sys
import functions.promote.app
from shared.store.dynamodb import client
used = type(client())
print(json.dumps([list(sys.modules), f"{used.__module__}.{used.__name__}"]))
"""
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    modules, used = json.loads(found.stdout)
    assert ("shared.store.tracing" in modules) is is_loaded
    assert used == client
    assert "aws_xray_sdk" not in modules
