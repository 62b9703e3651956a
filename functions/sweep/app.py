"""Sweep: on a schedule, settle and audit the sold-out and cancelled events, in case a stream record was lost."""

from typing import Any

from functions.sweep import failed_records
from shared import telemetry
from shared.booking.sweep import sweep
from shared.telemetry import Metric, logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Sweep as many events as the time of this invocation allows. Then count the files of failed records."""
    swept = sweep(context.get_remaining_time_in_millis() / 1000)
    telemetry.outcome(Metric.FAILED_RECORDS_KEPT, failed_records.kept())
    return {"swept": swept}
