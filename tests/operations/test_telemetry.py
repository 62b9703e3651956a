"""One line per outcome, in the form that CloudWatch makes metrics of; cheap, and nothing about users but their ids."""

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from harness.office import Event, Office
from shared import telemetry
from shared.booking.catalog import read_event
from shared.booking.settle import settle
from shared.store.dynamodb import Deadline
from shared.telemetry import UNITS, Metric
from tests.conftest import LogLines
from tests.operations.test_drill import hide_others, sweeps

LINE_MS_MAX = 0.5  # of CPU; a line takes 0.05 ms on a quiet machine
EMF_METRICS_MAX = 100  # of one line, CloudWatch's limit


def _told(line: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of a line and their values."""
    definitions = line.get("_aws", {}).get("CloudWatchMetrics", [])
    return {metric["Name"]: line[metric["Name"]] for one in definitions for metric in one["Metrics"]}


@pytest.fixture
def life(office: Office) -> Event:
    """Return an event whose one ticket anna had, who cancelled, and ben got; cleo waited and left."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben", "cleo"):
        event.books(user)
    event.cancels("cleo")
    event.cancels("anna")
    event.promotes()
    return event


def test_each_step_of_a_life_is_one_line_and_one_count(office: Office, log_lines: LogLines) -> None:
    """P7 for counts: repeats are not outcomes."""
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
    """Namespace, one dimension that the line itself has, and units that CloudWatch knows."""
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


def test_a_line_says_who_what_and_by_which_request(life: Event, log_lines: LogLines) -> None:
    """Structured: the ids of event, user and booking, the request that errors show, and nothing else of the user."""
    life.cancels("ben")
    [line] = log_lines()
    assert (line["event_id"], line["user_id"], line["message"]) == (life.event_id, "ben", "BookingCancelled")
    of_the_outcome = {"message", "event_id", "user_id", "booking_id", "BookingCancelled", "stack", "_aws"}
    of_the_function = {"function_name", "function_arn", "function_memory_size", "function_request_id", "cold_start"}
    assert line.keys() == of_the_outcome | of_the_function | {"correlation_id", "service", "level", "timestamp"}


def test_a_promotion_carries_the_time_since_the_cancellation(office: Office, log_lines: LogLines) -> None:
    """The record's own moment; the oldest release of a batch goes with its first promotion."""
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
    """What was not measured is not made up: a newcomer who is first in line settles without any record."""
    life.cancels("ben")
    assert life.books("dora") == 201
    [promoted] = [line for line in log_lines() if "BookingPromoted" in line]
    assert "PromotionLatency" not in promoted


def test_a_sweep_adds_up_what_is_left_and_who_waits(office: Office, log_lines: LogLines) -> None:
    """One line a sweep, over all sold-out events and no others; the line of each event has its own numbers."""
    hide_others(office)
    event, given_back, on_sale = office.opens(tickets=1), office.opens(tickets=3), office.opens(tickets=7)
    for user in ("anna", "ben", "cleo"):
        event.books(user)
    for user in ("anna", "ben", "cleo", "dora"):
        given_back.books(user)
    for user in ("dora", "cleo", "ben"):  # dora waited; two tickets are free, and nobody wants them
        given_back.cancels(user)
    on_sale.books("anna")
    sweeps()
    [sweep] = [line for line in log_lines() if "EventsSwept" in line]
    told = {"EventsSwept", "EventsNotSwept", "AvailableTickets", "WaitingListCount", "EmptyingAge"}
    assert _told(sweep).keys() == told
    assert (sweep["EventsSwept"], sweep["EventsNotSwept"], sweep["EmptyingAge"]) == (2, 0, 0)
    assert (sweep["AvailableTickets"], sweep["WaitingListCount"]) == (2, 2)
    sound = [line for line in log_lines() if line.get("PromiseViolations") == 0]
    numbers = {line["event_id"]: (line["available"], line["waiting"]) for line in sound}
    assert numbers == {event.event_id: (0, 2), given_back.event_id: (2, 0)}


def test_a_line_costs_little(log_lines: LogLines) -> None:
    """An on-sale writes ten thousand of them a second; the bound is loose, for machines that do other things."""
    lines = 500
    begun_s = time.process_time()
    for _ in range(lines):
        telemetry.outcome(Metric.BOOKING_CONFIRMED, event_id="e" * 36, user_id="anna", booking_id="b" * 36)
    assert (time.process_time() - begun_s) / lines * 1000 < LINE_MS_MAX
    assert len(log_lines()) == lines


def test_no_line_has_too_many_metrics() -> None:
    """CloudWatch drops a line with more; we have fewer names than that in all."""
    assert len(Metric) <= EMF_METRICS_MAX


@pytest.mark.parametrize(
    ("tracing", "is_loaded", "client"),
    [("Disabled", False, "shared.store.aws_client.Client"), ("Active", True, "shared.store.tracing.Traced")],
)
def test_tracing_is_loaded_only_where_it_is_on(
    tracing: str, is_loaded: bool, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off, it costs nothing; on, the functions' requests go through it, and it brings no library."""
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
