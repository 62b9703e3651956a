"""Announce: tell the world what happened to bookings and events, so that mail, passes or webhooks can follow.

A record of a stream says what changed; each change that means something goes to the event bus as a CloudEvent, at least
once, always with the same id. What fails comes again: see announcing.py.
"""

from typing import Any

from functions.announce.announcing import announce
from shared.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
    """Announce a batch of stream records in their order; report the first that was not, with which Lambda goes on."""
    failed_from = announce(event["Records"], context.get_remaining_time_in_millis() / 1000)
    return {"batchItemFailures": [{"itemIdentifier": failed_from}] if failed_from else []}
