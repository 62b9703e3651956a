"""Follow: complete an organiser's change of an event.

It cancels all bookings of a cancelled event, and promotes waiting users when a sold-out event gets more tickets. A
record of the Events stream is a hint: only the event's id is used.
"""

from typing import Any

from shared.booking.background import follow_batch
from shared.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
    """Empty or settle each event that a batch of records names, once. Report the records of events not done yet."""
    failed = follow_batch(event["Records"], context.get_remaining_time_in_millis() / 1000)
    return {"batchItemFailures": [{"itemIdentifier": sequence_number} for sequence_number in failed]}
