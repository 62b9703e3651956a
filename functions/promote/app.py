"""Promote: give free tickets to the head of the waiting list.

It runs after tickets were returned, after a user has joined the list, left it or asked for fewer tickets, and after a
note has asked for a settler (note.py).

A record of the Bookings stream is a hint: settling uses the event's id and reads everything afresh. So repeated,
missing and reordered records do no harm.
"""

from typing import Any

from shared.booking.background import settle_batch
from shared.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
    """Settle each event that the records name, or leave a note that asks for it. Report the records that failed."""
    failed = settle_batch(event["Records"], context.get_remaining_time_in_millis() / 1000)
    return {"batchItemFailures": [{"itemIdentifier": sequence_number} for sequence_number in failed]}
