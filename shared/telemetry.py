"""What the office tells its operators: one structured line per outcome, which is its metric, too.

A line in CloudWatch's embedded metric format is a log line with an `_aws` object: CloudWatch makes the metric
from it, so that outcome and count can never differ.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import os
import time
from enum import StrEnum
from typing import Any

from aws_lambda_powertools import Logger

NAMESPACE = "TicketOffice"
_STAGE = os.environ.get("STAGE", "dev")

logger = Logger(location=None)  # every line comes from this file; the message tells more


class Metric(StrEnum):
    """The names of the metrics; all of them count."""

    EVENT_OPENED = "EventOpened"
    BOOKING_CONFIRMED = "BookingConfirmed"
    WAITING_JOINED = "WaitingJoined"
    BOOKING_PROMOTED = "BookingPromoted"
    BOOKING_CANCELLED = "BookingCancelled"
    WAITING_LEFT = "WaitingLeft"
    SOLD_OUT = "SoldOut"
    TRY_AGAIN = "TryAgain"
    CONTENTION = "Contention"
    PROMISE_VIOLATIONS = "PromiseViolations"
    AUDIT_INCONCLUSIVE = "AuditInconclusive"


def outcome(metric: Metric, value: int = 1, **facts: str | int) -> None:
    """Log what happened, with ids and numbers as facts, and count it."""
    logger.info(metric, extra=facts | _embedded(metric, value))


def alarm(metric: Metric, value: int = 1, **facts: str | int) -> None:
    """Log what must not happen, and count it."""
    logger.error(metric, extra=facts | _embedded(metric, value))


def contention(operation: str, cause: str) -> None:
    """Log a request to the database that has to be sent again, and count it."""
    facts = {"operation": operation, "cause": cause}
    logger.warning(Metric.CONTENTION, extra=facts | _embedded(Metric.CONTENTION, 1))


def _embedded(metric: Metric, value: int) -> dict[str, Any]:
    definition = {"Namespace": NAMESPACE, "Dimensions": [["stage"]], "Metrics": [{"Name": metric, "Unit": "Count"}]}
    return {
        "stage": _STAGE,
        metric: value,
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [definition]},
    }
