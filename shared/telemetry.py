"""Logs and metrics: one structured line per outcome, which is also its metric.

A line in CloudWatch's embedded metric format is a log line with an `_aws` object. CloudWatch makes the metric from it,
so log and metric never differ.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from logging import LogRecord
from typing import Any, Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import RESERVED_LOG_ATTRS, LambdaPowertoolsFormatter

from shared import runtime
from shared.model import Booking, Entry

NAMESPACE = "TicketOffice"


class Formatter(LambdaPowertoolsFormatter):
    """Powertools' formatter, with a faster way to write lines without an exception, which are nearly all.

    Keys that no query uses are left out, because CloudWatch bills by the byte: Lambda's own lines and the settings of
    the function have them.
    """

    _UNUSED: Final = frozenset({"service", "function_arn", "function_memory_size", "sampling_rate"})
    _RESERVED: Final = frozenset(RESERVED_LOG_ATTRS)
    _encode = json.JSONEncoder(default=str, ensure_ascii=False, separators=(",", ":")).encode

    def append_keys(self, **keys: Any) -> None:
        """Add keys to the lines of an invocation: `cold_start` only if it is one, and one request id."""
        kept = {name: value for name, value in keys.items() if name not in self._UNUSED}
        if kept.get("cold_start") is False:
            del kept["cold_start"]
        if kept.get("correlation_id"):
            self.log_format.pop("function_request_id", None)  # API Gateway's, which the user sees, is enough
        super().append_keys(**kept)

    def format(self, record: LogRecord) -> str:
        """Write a line: the invocation's keys, the line's own keys, and its facts. Facts replace equal keys."""
        if record.exc_info or record.args:
            return super().format(record)
        own = {"level": record.levelname, "message": record.msg, "timestamp": self.formatTime(record)}
        facts = {name: value for name, value in vars(record).items() if name not in self._RESERVED}
        trace_id = {"xray_trace_id": self._get_latest_trace_id()}
        line = self.log_format | own | facts | trace_id
        return self._encode({name: value for name, value in line.items() if value is not None})


# No location: every line would have the same, which is in this file.
logger = Logger(logger_formatter=Formatter(location=None))


class Metric(StrEnum):
    """The names of the metrics. docs/operations.md says what each means. No two mean the same."""

    EVENT_OPENED = "EventOpened"
    EVENT_CHANGED = "EventChanged"
    EVENT_CANCELLED = "EventCancelled"
    EVENT_EMPTIED = "EventEmptied"
    EMPTYING_AGE = "EmptyingAge"
    BOOKING_CONFIRMED = "BookingConfirmed"
    BOOKING_HELD = "BookingHeld"
    HOLD_CONFIRMED = "HoldConfirmed"
    HOLD_EXPIRED = "HoldExpired"
    OVERDUE_HOLD_AGE = "OverdueHoldAge"
    WAITING_JOINED = "WaitingJoined"
    BOOKING_PROMOTED = "BookingPromoted"
    BOOKING_OFFERED = "BookingOffered"
    BOOKING_REDUCED = "BookingReduced"
    BOOKING_CANCELLED = "BookingCancelled"
    WAITING_REDUCED = "WaitingReduced"
    WAITING_LEFT = "WaitingLeft"
    BOOKING_CHECKED_IN = "BookingCheckedIn"
    BOOKING_TRANSFERRED = "BookingTransferred"
    SOLD_OUT = "SoldOut"
    BACK_ON_SALE = "BackOnSale"
    TRY_AGAIN = "TryAgain"
    INTERNAL_ERROR = "InternalError"
    CONTENTION = "Contention"
    PROMOTION_LATENCY = "PromotionLatency"
    RECORDS_FAILED = "RecordsFailed"
    ANNOUNCED = "Announced"
    ANNOUNCEMENTS_FAILED = "AnnouncementsFailed"
    FAILED_RECORDS_KEPT = "FailedRecordsKept"
    EVENTS_SWEPT = "EventsSwept"
    EVENTS_NOT_SWEPT = "EventsNotSwept"
    AVAILABLE_TICKETS = "AvailableTickets"
    WAITING_LIST_COUNT = "WaitingListCount"
    IDLE_TICKETS = "IdleTickets"
    STRANDED_AGE = "StrandedAge"
    CHANGE_UNFINISHED = "ChangeUnfinished"
    PROMISE_VIOLATIONS = "PromiseViolations"
    AUDIT_INCONCLUSIVE = "AuditInconclusive"


# CloudWatch's units; every other metric is a count. No metric has the event as a dimension: each event would be a
# metric of its own, which AWS bills by the month. The log line names the event.
UNITS: Final = {
    Metric.PROMOTION_LATENCY: "Milliseconds",
    Metric.STRANDED_AGE: "Seconds",
    Metric.EMPTYING_AGE: "Seconds",
    Metric.OVERDUE_HOLD_AGE: "Seconds",
}


def outcome(
    metric: Metric, value: float = 1, *, also: Mapping[Metric, float] | None = None, **facts: str | int
) -> None:
    """Log and count an outcome, with ids and numbers as facts. `also` has further metrics of the same outcome."""
    _log().info(metric, extra=facts | _embedded({metric: value, **(also or {})}))


def of_booking(
    metric: Metric, booking: Booking | Entry, *, also: Mapping[Metric, float] | None = None, **facts: str | int
) -> None:
    """Log and count an outcome for a booking, or for one by its entry in the waiting list, with its ids."""
    ids = {"event_id": booking.event_id, "user_id": booking.user_id, "booking_id": booking.booking_id}
    outcome(metric, 1, also=also, **ids, **facts)


def alarm(metric: Metric, value: float = 1, **facts: str | int) -> None:
    """Log and count something that must not happen."""
    _log().error(metric, extra=facts | _embedded({metric: value}))


def internal_error(error: Exception) -> None:
    """Log and count an unexpected exception. The client gets a 500; to Lambda, the invocation succeeded."""
    _log().error(Metric.INTERNAL_ERROR, exc_info=error, extra=_embedded({Metric.INTERNAL_ERROR: 1}))


def contention(operation: str, cause: str) -> None:
    """Log and count a request to the database that must be sent again."""
    facts = {"operation": operation, "cause": cause}
    _log().warning(Metric.CONTENTION, extra=facts | _embedded({Metric.CONTENTION: 1}))


def warning(message: str, **facts: str | int) -> None:
    """Log something that operators should know but need not act on."""
    _log().warning(message, extra=facts)


def failure(message: str) -> None:
    """Log the exception that is being handled, with a message."""
    _log().exception(message)


def about(event_id: str) -> AbstractContextManager[None]:
    """Add an event's id to each line that the block logs."""
    block: AbstractContextManager[None] = _log().append_context_keys(event_id=event_id)
    return block


def stack() -> str:
    """Return the name of this stack; an account may have several."""
    return runtime.current.environment.get("STACK", "none")


def _log() -> Any:
    return runtime.current.logger or logger


def _embedded(values: Mapping[Metric, float]) -> dict[str, Any]:
    metrics = [{"Name": metric, "Unit": UNITS.get(metric, "Count")} for metric in values]
    definition = {"Namespace": NAMESPACE, "Dimensions": [["stack"]], "Metrics": metrics}
    metadata = {"Timestamp": int(runtime.current.time_s() * 1000), "CloudWatchMetrics": [definition]}
    return {"stack": stack(), "_aws": metadata} | {metric.value: value for metric, value in values.items()}
