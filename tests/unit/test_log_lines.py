"""The faster formatter writes the same log lines as powertools' own, with keys in the same order."""

import json
import logging
import sys
from typing import Any

import pytest
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from harness.gateway import Context
from shared import telemetry
from shared.telemetry import Formatter

KEYS: dict[str, Any] = {"service": "ticket-office", "sampling_rate": None, "cold_start": False, "event_id": "e-1"}
FACTS: dict[str, Any] = {"user_id": "Zoë", "booking_id": None, "_aws": {"Timestamp": 1}, "BookingConfirmed": 1}


def test_log_lines_never_have_a_location(capsys: pytest.CaptureFixture[str]) -> None:
    """Also after an invocation that clears the keys of the one before."""

    @telemetry.logger.inject_lambda_context(clear_state=True)
    def handler(_event: dict[str, Any], _context: Any) -> None:
        telemetry.outcome(telemetry.Metric.SOLD_OUT, event_id="e-1")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(telemetry.logger.registered_handler, "stream", sys.stdout)
        for _ in range(2):
            handler({}, Context())
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in written] == ["SoldOut"] * 2
    assert all("location" not in line and "%" not in json.dumps(line) for line in written)


def lines(record: logging.LogRecord) -> tuple[str, str]:
    """Format a record with both formatters."""
    ours, theirs = Formatter(location=None, **KEYS), LambdaPowertoolsFormatter(location=None, **KEYS)
    return ours.format(record), theirs.format(record)


def record_of(message: str, facts: dict[str, Any], **more: Any) -> logging.LogRecord:
    """Return a record as a logger makes it."""
    return logging.getLogger("any").makeRecord(
        "any", logging.INFO, "a.py", 1, message, more.get("args", ()), more.get("exc_info"), "f", facts
    )


@pytest.mark.parametrize("facts", [{}, FACTS, {"event_id": "another"}])
@pytest.mark.parametrize("trace", ["", "Root=1-5f;Parent=a;Sampled=1"])
def test_a_line_equals_powertools_own(facts: dict[str, Any], trace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With keys of the invocation, facts that replace them, and without empty values."""
    monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
    ours, theirs = lines(record_of("BookingConfirmed", facts))
    assert ours == theirs
    assert json.loads(ours)["event_id"] == facts.get("event_id", "e-1")


def test_exceptions_and_arguments_are_formatted_by_powertools() -> None:
    """With the exception's details, and with the arguments in the message."""
    ours, theirs = lines(record_of("%s of %d", {}, args=("one", 2)))
    assert ours == theirs
    assert json.loads(ours)["message"] == "one of 2"
    error = ValueError("no such ticket")
    ours, theirs = lines(record_of("InternalError", FACTS, exc_info=(ValueError, error, None)))
    assert ours == theirs
    assert json.loads(ours)["exception_name"] == "ValueError"
