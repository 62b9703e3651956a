"""The usual design, to compare with: one counter for all tickets of an event, and a booking, in one transaction.

It is generous: bookings lie apart from each other, the same client tries again in the same way, and there is no waiting
list. Only the counter is one.
"""

from shared.store import dynamodb, items
from shared.store.dynamodb import Deadline

CONFIRMED, SOLD_OUT = "CONFIRMED", "SOLD OUT"


def open_event(event_id: str, tickets: int, deadline: Deadline) -> None:
    """Put the counter."""
    counter = {"laneId": items.text(event_id), "available": items.number(tickets)}
    assert dynamodb.commit([{"Put": {"TableName": items.LANES, "Item": counter}}], deadline) is None


def book(event_id: str, user_id: str, deadline: Deadline) -> str:
    """Take a ticket. Raises TryAgain."""
    counter = {
        "TableName": items.LANES,
        "Key": {"laneId": items.text(event_id)},
        "UpdateExpression": "ADD available :taken",
        "ConditionExpression": "available > :none",
        "ExpressionAttributeValues": {":none": items.number(0), ":taken": items.number(-1)},
    }
    booking = {
        "TableName": items.BOOKINGS,
        "Item": {
            "laneId": items.text(f"{event_id}#{user_id}"),
            "userId": items.text(user_id),
            "status": items.text(CONFIRMED),
        },
        "ConditionExpression": "attribute_not_exists(userId)",
    }
    refused = dynamodb.commit([{"Update": counter}, {"Put": booking}], deadline)
    return SOLD_OUT if refused and refused.reasons[0].refused else CONFIRMED
