"""The usual design, to compare with: one item counts an event's tickets, and every booking changes it.

It is as small as it can be without overselling: it knows nothing of contention, of the order of promotions, of
repeated requests or of users who come back, all of which would cost it more. It is stored in the office's own tables,
without the attributes that their indexes need, so it pays for no index.
"""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import Refused, TransactItem

_CONFIRMED, _WAITING = "CONFIRMED", "WAITING"


@dataclass(frozen=True)
class OneCounter:
    """One event."""

    event_id: str

    def open(self, tickets: int, deadline: Deadline) -> None:
        """Put the counter."""
        counts = {"available": items.number(tickets), "waiting": items.number(0)}
        put = {"TableName": items.LANES, "Item": self._counter() | counts}
        assert _commit([{"Put": put}], deadline) is None

    def book(self, user: str, deadline: Deadline) -> str:
        """Take a ticket, or else a place in the queue; return the status. Raises TryAgain."""
        if _commit([self._count("available", -1), self._put(user, _CONFIRMED)], deadline) is None:
            return _CONFIRMED
        place = self._place(items.number(time.time_ns()))
        booking = self._put(user, _WAITING, place=place["sequence"])
        entry = {"Put": {"TableName": items.WAITING_LIST, "Item": place | {"userId": items.text(user)}}}
        assert _commit([self._count("waiting", 1), booking, entry], deadline) is None
        return _WAITING

    def cancel(self, user: str, deadline: Deadline) -> None:
        """Give the ticket back, or leave the queue."""
        booking = dynamodb.get(deadline, items.BOOKINGS, self._booking(user))
        assert booking
        status = booking["status"]["S"]
        changes = [self._move(user, status, "CANCELLED")]
        if status == _WAITING:
            changes += [self._count("waiting", -1), self._leave(booking["place"])]
        else:
            changes.append(self._count("available", 1))
        assert _commit(changes, deadline) is None

    def promote(self, deadline: Deadline) -> None:
        """Give a ticket to the head of the queue."""
        [head] = dynamodb.query(
            deadline,
            TableName=items.WAITING_LIST,
            KeyConditionExpression="stripeId = :event",
            ExpressionAttributeValues={":event": items.text(self.event_id)},
            Limit=1,
            ConsistentRead=True,
        )["Items"]
        both = self._count("available", -1)
        both["Update"]["UpdateExpression"] = "ADD available :change, waiting :change"
        changes = [both, self._leave(head["sequence"]), self._move(head["userId"]["S"], _WAITING, _CONFIRMED)]
        assert _commit(changes, deadline) is None

    def status(self, deadline: Deadline) -> int:
        """Return how many tickets are left."""
        return int((dynamodb.get(deadline, items.LANES, self._counter()) or {})["available"]["N"])

    def _counter(self) -> dict[str, Any]:
        return {"laneId": items.text(self.event_id)}

    def _booking(self, user: str) -> dict[str, Any]:
        return {"laneId": items.text(f"{self.event_id}#{user}"), "userId": items.text(user)}

    def _place(self, sequence: Any) -> dict[str, Any]:
        return {"stripeId": items.text(self.event_id), "sequence": sequence}

    def _count(self, what: str, change: int) -> dict[str, Any]:
        update = {
            "TableName": items.LANES,
            "Key": self._counter(),
            "UpdateExpression": f"ADD {what} :change",
            "ExpressionAttributeValues": {":change": items.number(change)},
        }
        if what == "available" and change < 0:
            update["ConditionExpression"] = "available >= :one"
            update["ExpressionAttributeValues"] = {":change": items.number(change), ":one": items.number(1)}
        return {"Update": update}

    def _put(self, user: str, status: str, **facts: Any) -> dict[str, Any]:
        facts |= {"status": items.text(status), "bookingId": items.text(str(uuid.uuid4()))}
        condition = "attribute_not_exists(userId)"
        put = {"TableName": items.BOOKINGS, "Item": self._booking(user) | facts, "ConditionExpression": condition}
        return {"Put": put}

    def _move(self, user: str, before: str, after: str) -> dict[str, Any]:
        return {
            "Update": {
                "TableName": items.BOOKINGS,
                "Key": self._booking(user),
                "UpdateExpression": "SET #status = :after",
                "ConditionExpression": "#status = :before",
                "ExpressionAttributeNames": {"#status": "status"},
                "ExpressionAttributeValues": {":before": items.text(before), ":after": items.text(after)},
            }
        }

    def _leave(self, sequence: Any) -> dict[str, Any]:
        return {"Delete": {"TableName": items.WAITING_LIST, "Key": self._place(sequence)}}


def _commit(transaction: Sequence[TransactItem], deadline: Deadline) -> Refused | None:
    return dynamodb.commit(dict(enumerate(transaction)), deadline)
