"""Sweep: on a schedule, settle and audit the sold-out events, and so find what a lost record left behind."""

from typing import Any

from shared.promotion import sweep
from shared.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Sweep as many events as the time of this invocation allows."""
    return {"swept": sweep(context.get_remaining_time_in_millis() / 1000)}
