"""Promote: when a ticket was released, or somebody joined, hand free tickets to the head of the waiting list.

A record of the Bookings stream is a hint, not state: of its content only the event's id is used, and settle reads
everything afresh. So repeats, gaps and reordering do no harm.
"""

from typing import Any

from shared.booking.background import settle_batch
from shared.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
    """Settle each event of a batch of stream records once; report the records of those that failed."""
    failed = settle_batch(event["Records"], context.get_remaining_time_in_millis() / 1000)
    return {"batchItemFailures": [{"itemIdentifier": sequence_number} for sequence_number in failed]}
