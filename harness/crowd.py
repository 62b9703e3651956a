"""A crowd: many users at once over real HTTP, with the moments of each request and response.

A user whose response is lost, or who gets a 5xx, sends the same request again, as real clients do.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from harness.promises import Item, Request, order_violations, queue_jumps

RETRIES_MAX = 60
PAUSE_S = 0.25
REQUEST_S_MAX = 30.0  # so that no test hangs

Result = TypeVar("Result")


@dataclass(frozen=True)
class Exchange:
    """One request with its final response. Times are on the crowd's monotonic clock."""

    path: str
    user: str
    asked_s: float
    answered_s: float
    status: int
    answer: dict[str, Any]
    tries: int


@dataclass
class Crowd:
    """Clients of one office. `faults` has every 5xx response and every broken connection."""

    client: httpx.AsyncClient
    event_id: str
    faults: list[str] = field(default_factory=list)

    async def book(self, user: str, **more: int) -> Exchange:
        """Book for a user, perhaps several tickets. The response may be a refusal."""
        return await self._post("/book", user, **more)

    async def confirm(self, user: str, booking_id: str, **more: str) -> Exchange:
        """Confirm a user's hold, perhaps with a reference. The response may be a refusal."""
        return await self._post("/confirm", user, bookingId=booking_id, **more)

    async def cancel(self, user: str, booking_id: str, **more: int) -> Exchange:
        """Cancel a user's booking by its id, or keep some of its tickets."""
        return await self._post("/cancel", user, bookingId=booking_id, **more)

    async def transfer(self, user: str, booking_id: str, to: str) -> Exchange:
        """Transfer a user's booking. The response may be a refusal."""
        return await self._post("/transfer", user, bookingId=booking_id, toUserId=to)

    async def check_in(self, user: str, booking_id: str) -> Exchange:
        """Check a user's booking in. The response may be a refusal."""
        return await self._post("/check-in", user, bookingId=booking_id)

    async def _post(self, path: str, user: str, **more: str | int) -> Exchange:
        body = {"userId": user, "eventId": self.event_id, **more}
        asked_s = time.monotonic()
        for tries in range(1, RETRIES_MAX + 1):
            try:
                response = await self.client.post(path, json=body)
            except httpx.TransportError as error:
                self.faults.append(repr(error))
            else:
                if response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                    return Exchange(path, user, asked_s, time.monotonic(), response.status_code, response.json(), tries)
                self.faults.append(response.text)
            await asyncio.sleep(random.uniform(0, 2 * PAUSE_S))
        raise AssertionError(f"{path} for {user} got no response: {self.faults[-3:]}")


def in_flight(
    url: str, event_id: str, act: Callable[[Crowd, str], Awaitable[Result]], users: Iterable[str], at_once: int = 64
) -> tuple[list[Result], Crowd]:
    """Let all users act, `at_once` at a time. Return their results, in the order of the users, and the crowd."""

    async def run() -> tuple[list[Result], Crowd]:
        limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=REQUEST_S_MAX) as client:
            crowd = Crowd(client, event_id)
            turn = asyncio.Semaphore(at_once)

            async def one(user: str) -> Result:
                async with turn:
                    return await act(crowd, user)

            results = await asyncio.gather(*(one(user) for user in users))
            return list(results), crowd

    return asyncio.run(run())


def open_event(url: str, tickets: int, **more: object) -> str:
    """Open an event and return its id."""
    response = httpx.post(f"{url}/initialize", json={"name": "The concert", "totalTickets": tickets, **more})
    assert response.status_code == httpx.codes.CREATED, response.text
    return str(response.json()["eventId"])


def by_status(exchanges: Sequence[Exchange], status: str) -> list[Exchange]:
    """Return the exchanges whose response has this booking status."""
    return [one for one in exchanges if one.answer["status"] == status]


def order_broken(changes: Sequence[Item], histories: Sequence[Sequence[Exchange]]) -> list[str]:
    """List what breaks P4, and what breaks P5 for the users who stay, whose names begin with "loyal".

    `changes` are all states of bookings in the database's order, which says who got a ticket when: held, offered or at
    once.
    """
    owners = [one["userId"] for one in changes if one["status"] in {"HELD", "CONFIRMED"}]
    bookings = [
        Request(one.user, one.asked_s, one.answered_s, one.answer["status"])
        for history in histories
        for one in history
        if one.path == "/book" and one.user.startswith("loyal")
    ]
    ticket_at = {user: float(owners.index(user)) for user in {*owners} if user.startswith("loyal")}
    return queue_jumps(changes) + order_violations(bookings, ticket_at)
