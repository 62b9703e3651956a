"""A visit to the office: what the check asks, and what it must be answered.

It has an event of its own for each deployment group, with one ticket, which it opens at its first visit (by an
Idempotency-Key, so there is never a second) and leaves at each as it has found it: the ticket free, nobody waiting.
CodeDeploy runs one deployment of a group at a time, so nobody else is there. What a visit that was cut short has left
is cleared by the next.
"""

import time
from collections.abc import Callable, Collection
from typing import Any, Final

FIRST, SECOND = "deployment-check-1", "deployment-check-2"
PAUSE_S = 0.2  # between two looks at whether the promoter has come by

Invoke = Callable[..., tuple[int, dict[str, Any]]]

TRY_AGAIN: Final = 503


class Wrong(Exception):
    """The office did not answer as it must."""


def what_is_wrong(group: Callable[[], str], invoke: Invoke, budget_s: float) -> str | None:
    """Visit the office within the time given; return what is not as it must be, None if all is."""
    try:
        _visit(group(), _Office(invoke, time.monotonic() + budget_s))
    except Exception as error:  # noqa: BLE001  # whatever it is: unless CodeDeploy is told, it waits for an hour
        return f"{type(error).__name__}: {error}"
    return None


def _visit(group: str, office: "_Office") -> None:
    """Get the ticket, wait for it, be promoted; leave nothing behind."""
    event = office.ask(
        "POST /initialize",
        {201},
        body={"name": "Deployment check", "totalTickets": 1},
        headers={"idempotency-key": f"deployment-check {group}"},
    )
    event_id = event["eventId"]
    for user_id in (SECOND, FIRST):  # 404: the first visit
        office.cancel(event_id, user_id, {200, 404})

    _expect(office.book(event_id, FIRST, 201), status="CONFIRMED")
    _expect(office.book(event_id, SECOND, 202), status="WAITING", position=1)
    _expect(office.status(event_id, SECOND), availableTickets=0, bookedTickets=1, waitingListCount=1)
    _expect(office.cancel(event_id, FIRST, {200}), status="CANCELLED", was="CONFIRMED")
    while office.status(event_id, SECOND)["booking"]["status"] != "CONFIRMED":
        office.pause("the stream has promoted nobody")
    _expect(office.cancel(event_id, SECOND, {200}), status="CANCELLED", was="CONFIRMED")
    _expect(office.status(event_id, SECOND), availableTickets=1, bookedTickets=0, waitingListCount=0)


class _Office:
    """The office, asked until a moment of the monotonic clock."""

    def __init__(self, invoke: Invoke, until_s: float) -> None:
        self._invoke = invoke
        self._until_s = until_s

    def book(self, event_id: str, user_id: str, status: int) -> dict[str, Any]:
        return self.ask("POST /book", {status}, body={"userId": user_id, "eventId": event_id})

    def cancel(self, event_id: str, user_id: str, statuses: Collection[int]) -> dict[str, Any]:
        return self.ask("POST /cancel", statuses, body={"userId": user_id, "eventId": event_id})

    def status(self, event_id: str, user_id: str) -> dict[str, Any]:
        return self.ask("GET /status/{eventId}", {200}, path={"eventId": event_id}, query={"userId": user_id})

    def ask(self, route: str, statuses: Collection[int], **request: Any) -> dict[str, Any]:
        """Send a request, again while the answer is "not now"; it must be answered with one of the statuses.

        What was answered "not now" may have happened: sent again, it is answered with what there is.
        """
        repeated: set[int] = set()
        while True:
            status, answer = self._invoke(route, **request)
            if status in {*statuses, *repeated}:
                return answer
            if status != TRY_AGAIN:
                raise Wrong(f"{route} answered {status}, not {sorted(statuses)}: {answer}")
            repeated = {200}
            self.pause(f"{route} answers {status}")

    def pause(self, reason: str) -> None:
        """Wait a moment. Raises Wrong when the time is up."""
        if time.monotonic() >= self._until_s:
            raise Wrong(f"{reason}, until the time was up")
        time.sleep(PAUSE_S)


def _expect(answer: dict[str, Any], **fields: Any) -> None:
    found = {name: answer.get(name) for name in fields}
    if found != fields:
        raise Wrong(f"the answer has {found}, not {fields}")
