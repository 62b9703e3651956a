"""What the office tells its operators: one structured line per outcome, which is its metric, too.

A line in CloudWatch's embedded metric format is a log line with an `_aws` object: CloudWatch makes the metric
from it, so that outcome and count can never differ.
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

NAMESPACE = "TicketOffice"


class Formatter(LambdaPowertoolsFormatter):
    """Powertools' own, with a shorter way to the same line for nearly all of them: those without an exception."""

    _RESERVED: Final = frozenset(RESERVED_LOG_ATTRS)
    _encode = json.JSONEncoder(default=str, ensure_ascii=False, separators=(",", ":")).encode

    def format(self, record: LogRecord) -> str:
        """Write a line: its own keys, those of the invocation, and what came with it, which goes before them."""
        if record.exc_info or record.args:
            return super().format(record)
        own = {"level": record.levelname, "message": record.msg, "timestamp": self.formatTime(record)}
        facts = {name: value for name, value in vars(record).items() if name not in self._RESERVED}
        trace_id = {"xray_trace_id": self._get_latest_trace_id()}
        line = self.log_format | own | facts | trace_id
        return self._encode({name: value for name, value in line.items() if value is not None})


# No location: every line comes from this file; the message tells more.
logger = Logger(logger_formatter=Formatter(location=None))


class Metric(StrEnum):
    """The names of the metrics. What each means stands in docs/operations.md; none has its like under another name."""

    EVENT_OPENED = "EventOpened"
    EVENT_CHANGED = "EventChanged"
    EVENT_CANCELLED = "EventCancelled"
    EVENT_EMPTIED = "EventEmptied"
    EMPTYING_AGE = "EmptyingAge"
    BOOKING_CONFIRMED = "BookingConfirmed"
    WAITING_JOINED = "WaitingJoined"
    BOOKING_PROMOTED = "BookingPromoted"
    BOOKING_CANCELLED = "BookingCancelled"
    WAITING_LEFT = "WaitingLeft"
    SOLD_OUT = "SoldOut"
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
    STRANDED_AGE = "StrandedAge"
    CHANGE_UNFINISHED = "ChangeUnfinished"
    PROMISE_VIOLATIONS = "PromiseViolations"
    AUDIT_INCONCLUSIVE = "AuditInconclusive"


# CloudWatch's names; what is not here counts. No metric has a dimension for the event: each event would be a metric of
# its own, and each metric is paid for by the month. Which event it was, the line says.
UNITS: Final = {
    Metric.PROMOTION_LATENCY: "Milliseconds",
    Metric.STRANDED_AGE: "Seconds",
    Metric.EMPTYING_AGE: "Seconds",
}


def outcome(
    metric: Metric, value: float = 1, *, also: Mapping[Metric, float] | None = None, **facts: str | int
) -> None:
    """Log what happened, with ids and numbers as facts, and count it; `also` holds what was measured with it."""
    _log().info(metric, extra=facts | _embedded({metric: value, **(also or {})}))


def alarm(metric: Metric, value: float = 1, **facts: str | int) -> None:
    """Log what must not happen, and count it."""
    _log().error(metric, extra=facts | _embedded({metric: value}))


def internal_error(error: Exception) -> None:
    """Log an exception that nobody expected, and count it: it is answered with 500, and to Lambda all went well."""
    _log().error(Metric.INTERNAL_ERROR, exc_info=error, extra=_embedded({Metric.INTERNAL_ERROR: 1}))


def contention(operation: str, cause: str) -> None:
    """Log a request to the database that has to be sent again, and count it."""
    facts = {"operation": operation, "cause": cause}
    _log().warning(Metric.CONTENTION, extra=facts | _embedded({Metric.CONTENTION: 1}))


def warning(message: str, **facts: str | int) -> None:
    """Log what an operator should know of and need not act on."""
    _log().warning(message, extra=facts)


def failure(message: str) -> None:
    """Log the exception that is being handled, and go on."""
    _log().exception(message)


def about(event_id: str) -> AbstractContextManager[None]:
    """Put an event's id into each line that the block logs."""
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
