"""A visit to the office: the check's requests, and the responses that it must get.

Each deployment group has its own event with one ticket. The first visit opens it, with an Idempotency-Key, so there is
never a second one. Each visit leaves the event as it found it: the ticket is free, and the waiting list is empty.
CodeDeploy runs one deployment of a group at a time, so visits to an event never overlap. If a visit is cut short, the
next one cleans up first.
"""

import time
from collections.abc import Callable, Collection
from typing import Any, Final

FIRST, SECOND = "deployment-check-1", "deployment-check-2"
PAUSE_S = 0.2  # between two tries of a request, or two reads of the status

Invoke = Callable[..., tuple[int, dict[str, Any]]]

TRY_AGAIN: Final = 503


class Wrong(Exception):
    """The office did not respond as it must."""


def what_is_wrong(group: Callable[[], str], invoke: Invoke, budget_s: float) -> str | None:
    """Visit the office, for at most `budget_s`. Return what is wrong, None if nothing is."""
    try:
        _visit(group(), _Office(invoke, time.monotonic() + budget_s))
    except Exception as error:  # noqa: BLE001  # CodeDeploy must get a report of any failure, or it waits for an hour
        return f"{type(error).__name__}: {error}"
    return None


def _visit(group: str, office: "_Office") -> None:
    """Book the ticket, wait for it with a second user, see that user promoted, and cancel everything."""
    event = office.ask(
        "POST /initialize",
        {201},
        body={"name": "Deployment check", "totalTickets": 1},
        headers={"idempotency-key": f"deployment-check {group}"},
    )
    event_id = event["eventId"]
    for user_id in (SECOND, FIRST):  # 404 on the first visit
        office.cancel(event_id, user_id, {200, 404})

    _expect(office.book(event_id, FIRST, 201), status="CONFIRMED")
    _expect(office.book(event_id, SECOND, 202), status="WAITING", position=1)
    office.counts(event_id, availableTickets=0, bookedTickets=1, waitingListCount=1)
    _expect(office.cancel(event_id, FIRST, {200}), status="CANCELLED", was="CONFIRMED")
    while office.status(event_id, SECOND)["booking"]["status"] != "CONFIRMED":
        office.pause("the waiting user was not promoted")
    _expect(office.cancel(event_id, SECOND, {200}), status="CANCELLED", was="CONFIRMED")
    office.counts(event_id, availableTickets=1, bookedTickets=0, waitingListCount=0)


class _Office:
    """Sends requests to the office until a moment on the monotonic clock."""

    def __init__(self, invoke: Invoke, until_s: float) -> None:
        self._invoke = invoke
        self._until_s = until_s

    def book(self, event_id: str, user_id: str, status: int) -> dict[str, Any]:
        return self.ask("POST /book", {status}, body={"userId": user_id, "eventId": event_id})

    def cancel(self, event_id: str, user_id: str, statuses: Collection[int]) -> dict[str, Any]:
        return self.ask("POST /cancel", statuses, body={"userId": user_id, "eventId": event_id})

    def status(self, event_id: str, user_id: str) -> dict[str, Any]:
        return self.ask("GET /status/{eventId}", {200}, path={"eventId": event_id}, query={"userId": user_id})

    def counts(self, event_id: str, **wanted: int) -> None:
        """Wait until the event's counts, which may be a second old, are these."""
        while (found := _some(self.status(event_id, SECOND), wanted)) != wanted:
            self.pause(f"the counts were {found}, not {wanted},")

    def ask(self, route: str, statuses: Collection[int], **request: Any) -> dict[str, Any]:
        """Send a request, again after each 503. The response must have one of the statuses.

        A request that got a 503 may have taken effect, so after one a 200 is right, too.
        """
        repeated: set[int] = set()
        while True:
            status, response = self._invoke(route, **request)
            if status in {*statuses, *repeated}:
                return response
            if status != TRY_AGAIN:
                raise Wrong(f"{route} returned {status}, not {sorted(statuses)}: {response}")
            repeated = {200}
            self.pause(f"{route} returned {status}")

    def pause(self, reason: str) -> None:
        """Wait a moment. Raises Wrong when the time is up."""
        if time.monotonic() >= self._until_s:
            raise Wrong(f"{reason} until the time was up")
        time.sleep(PAUSE_S)


def _expect(response: dict[str, Any], **fields: Any) -> None:
    found = _some(response, fields)
    if found != fields:
        raise Wrong(f"the response has {found}, not {fields}")


def _some(response: dict[str, Any], fields: Collection[str]) -> dict[str, Any]:
    return {name: response.get(name) for name in fields}
