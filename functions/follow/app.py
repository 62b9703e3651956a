"""Follow: what follows from an organiser's change of an event.

A cancelled event's bookings are all cancelled; where a sold-out event has got more tickets, they go to those who wait.
A record of the Events stream is a hint, not state: of its content only the event's id is used.
"""

from typing import Any

from shared.booking.background import follow_batch
from shared.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
    """Do what follows for each event of a batch of stream records once; report the records of those not done yet."""
    failed = follow_batch(event["Records"], context.get_remaining_time_in_millis() / 1000)
    return {"batchItemFailures": [{"itemIdentifier": sequence_number} for sequence_number in failed]}
