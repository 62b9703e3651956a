"""The usual design, to compare with: one item counts an event's tickets, and every booking passes through it.

It is as small as it can be and still not oversell. It knows nothing of contention, of P4 and P5, of repeats or of
coming back; what it lacks would cost it more.
"""

import uuid
from typing import Any

from shared import runtime
from shared.store import dynamodb, items
from shared.store.dynamodb import Deadline

COUNTERS, BOOKINGS, QUEUE = "OneCounterEvents", "OneCounterBookings", "OneCounterQueue"
REQUEST_S_MAX = 5.0


def create_tables(client: Any) -> None:
    """Make its three tables."""
    for table, *keys in ((COUNTERS, "eventId"), (BOOKINGS, "eventId", "userId"), (QUEUE, "eventId", "place")):
        client.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[
                {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
        )


class OneCounter:
    """One event."""

    def __init__(self, client: Any, tickets: int) -> None:
        """Open it."""
        self._event = {"eventId": items.text(str(uuid.uuid4()))}
        counts = {"available": items.number(tickets), "waiting": items.number(0)}
        client.put_item(TableName=COUNTERS, Item=self._event | counts)

    def book(self, user: str) -> str:
        """Take a ticket, or else a place in the queue; return the status."""
        if dynamodb.commit([self._count("available", -1), self._put(user, "CONFIRMED")], _deadline()) is None:
            return "CONFIRMED"
        place = f"{runtime.current.now()} {uuid.uuid4()}"
        entry = {
            "Put": {"TableName": QUEUE, "Item": self._event | {"place": items.text(place), "user": items.text(user)}}
        }
        booking = self._put(user, "WAITING", place=place)
        assert dynamodb.commit([self._count("waiting", 1), booking, entry], _deadline()) is None
        return "WAITING"

    def cancel(self, user: str) -> None:
        """Give the ticket back, or leave the queue."""
        standing = dynamodb.get(_deadline(), BOOKINGS, self._key(user))
        assert standing
        changes = [self._move(user, standing["status"]["S"], "CANCELLED")]
        if "place" in standing and standing["status"]["S"] == "WAITING":
            changes += [self._count("waiting", -1), self._leave(standing["place"]["S"])]
        else:
            changes.append(self._count("available", 1))
        assert dynamodb.commit(changes, _deadline()) is None

    def promote(self) -> None:
        """Give a ticket to the head of the queue."""
        head = dynamodb.query(
            _deadline(),
            TableName=QUEUE,
            KeyConditionExpression="eventId = :event",
            ExpressionAttributeValues={":event": self._event["eventId"]},
            Limit=1,
            ConsistentRead=True,
        )["Items"][0]
        both = self._count("available", -1)
        both["Update"]["UpdateExpression"] = "ADD available :change, waiting :change"
        changes = [both, self._leave(head["place"]["S"]), self._move(head["user"]["S"], "WAITING", "CONFIRMED")]
        assert dynamodb.commit(changes, _deadline()) is None

    def status(self) -> int:
        """Return how many tickets are left."""
        return int((dynamodb.get(_deadline(), COUNTERS, self._event) or {})["available"]["N"])

    def _key(self, user: str) -> dict[str, Any]:
        return self._event | {"userId": items.text(user)}

    def _count(self, what: str, change: int) -> dict[str, Any]:
        update = {
            "TableName": COUNTERS,
            "Key": self._event,
            "UpdateExpression": f"ADD {what} :change",
            "ExpressionAttributeValues": {":change": items.number(change)},
        }
        if what == "available" and change < 0:
            update["ConditionExpression"] = "available >= :one"
            update["ExpressionAttributeValues"] = {":change": items.number(change), ":one": items.number(1)}
        return {"Update": update}

    def _put(self, user: str, status: str, **facts: str) -> dict[str, Any]:
        facts = {"status": status, "bookingId": str(uuid.uuid4()), "at": runtime.current.now()} | facts
        item = self._key(user) | {name: items.text(fact) for name, fact in facts.items()}
        return {"Put": {"TableName": BOOKINGS, "Item": item, "ConditionExpression": "attribute_not_exists(userId)"}}

    def _move(self, user: str, before: str, after: str) -> dict[str, Any]:
        return {
            "Update": {
                "TableName": BOOKINGS,
                "Key": self._key(user),
                "UpdateExpression": "SET #status = :after",
                "ConditionExpression": "#status = :before",
                "ExpressionAttributeNames": {"#status": "status"},
                "ExpressionAttributeValues": {":before": items.text(before), ":after": items.text(after)},
            }
        }

    def _leave(self, place: str) -> dict[str, Any]:
        return {"Delete": {"TableName": QUEUE, "Key": self._event | {"place": items.text(place)}}}


def _deadline() -> Deadline:
    return Deadline.after(REQUEST_S_MAX)
