"""Expire: every minute, end the holds that were not confirmed in time."""

from typing import Any

from shared.booking.expiry import expire
from shared.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Expire as many due holds as the time of this invocation allows."""
    return {"expired": expire(context.get_remaining_time_in_millis() / 1000)}
