"""Announce: publish what happens to bookings and events, so that other systems can send mail, passes or webhooks.

A stream record says what changed. Each step of a booking or event goes to the event bus as a CloudEvent, at least once
and always with the same id. Lambda repeats what fails: see announcing.py.
"""

from typing import Any

from functions.announce import unreadable
from functions.announce.announcing import announce
from shared.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
    """Announce a batch of stream records in order. Report the first that failed: Lambda goes on from there."""
    failed_from = announce(event["Records"], context.get_remaining_time_in_millis() / 1000, unreadable.keep)
    return {"batchItemFailures": [{"itemIdentifier": failed_from}] if failed_from else []}
