"""The office in the terms of the tests: it opens events, users book and cancel, and the promises are checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import functions.book.app
import functions.bookings.app
import functions.cancel.app
import functions.cancel_event.app
import functions.change.app
import functions.check_in.app
import functions.confirm.app
import functions.event_bookings.app
import functions.events.app
import functions.expire.app
import functions.follow.app
import functions.initialize.app
import functions.promote.app
import functions.status.app
import functions.transfer.app
import functions.waiting_list.app
from harness import promises
from harness.gateway import Context, Response, call, door, shop
from shared import runtime
from shared.model import later
from shared.store import items


@dataclass
class Event:
    """One event. Its methods call the functions as API Gateway does."""

    event_id: str
    database: Any

    def book(self, user: str | int, **more: int) -> Response:
        """Book for a user; `more` may have `quantity` and `atLeast`."""
        return call(functions.book.app, {"userId": user, "eventId": self.event_id, **more})

    def books(self, user: str | int, **more: int) -> int:
        """Book for a user and return the status code."""
        return self.book(user, **more).status

    def confirm(self, user: str, booking_id: str, *, by_shop: bool = True, **more: str) -> Response:
        """Confirm a user's hold: a shop does, or the user."""
        body = {"userId": user, "eventId": self.event_id, "bookingId": booking_id, **more}
        return call(functions.confirm.app, body, claims=shop() if by_shop else None)

    def transfer(self, user: str, booking_id: str, to: str) -> Response:
        """Transfer a user's booking to another user."""
        body = {"userId": user, "eventId": self.event_id, "bookingId": booking_id, "toUserId": to}
        return call(functions.transfer.app, body)

    def check_in(self, user: str, booking_id: str) -> Response:
        """Check a user's booking in, at the door."""
        body = {"userId": user, "eventId": self.event_id, "bookingId": booking_id}
        return call(functions.check_in.app, body, claims=door())

    def cancel(self, user: str | int, booking_id: str | None = None, **more: int) -> Response:
        """Cancel a user's booking; `more` may have `keep`."""
        which = {} if booking_id is None else {"bookingId": booking_id}
        return call(functions.cancel.app, {"userId": user, "eventId": self.event_id, **which, **more})

    def cancels(self, user: str | int) -> None:
        """Cancel a user's booking, and assert that it succeeds."""
        assert self.cancel(user).status == 200

    def status(self, user: str | None = None) -> Response:
        """Request the status, of a function that has not counted anything yet."""
        runtime.current.memory.pop("counts", None)
        return self.status_again(user)

    def status_again(self, user: str | None = None, cache_control: str = "") -> Response:
        """Request the status, of the function that had the last request for it."""
        headers = {"cache-control": cache_control} if cache_control else {}
        query = {"userId": user} if user else None
        return call(functions.status.app, event_id=self.event_id, query=query, headers=headers)

    def bookings(self, **query: str) -> Response:
        """Request a page of its bookings."""
        return call(functions.event_bookings.app, event_id=self.event_id, query=query)

    def waiting_list(self, **query: str) -> Response:
        """Request a page of its waiting list."""
        return call(functions.waiting_list.app, event_id=self.event_id, query=query)

    def change(self, if_match: str | None = None, **wanted: Any) -> Response:
        """Change the event; `wanted` is the body of the request."""
        headers = {} if if_match is None else {"if-match": if_match}
        return call(functions.change.app, wanted, event_id=self.event_id, headers=headers)

    def changes(self, **wanted: Any) -> None:
        """Change the event, and assert that it succeeds."""
        assert self.change(**wanted).status == 200

    def cancel_event(self) -> Response:
        """Cancel the event."""
        return call(functions.cancel_event.app, event_id=self.event_id)

    def cancels_event(self) -> None:
        """Cancel the event, and assert that it succeeds."""
        assert self.cancel_event().status in {200, 202}

    def follows(self) -> None:
        """Call the follow function with a record of this event, then the promoter with that of its note, if any."""
        record = {"dynamodb": {"Keys": {"eventId": {"S": self.event_id}}, "SequenceNumber": "1"}}
        assert functions.follow.app.handler({"Records": [record]}, Context(900)) == {"batchItemFailures": []}
        self._settles_if_asked()

    def expires(self) -> set[str]:
        """Call the expire function, for all events; return the users of this event whose holds it has expired."""
        before = self.check().held
        functions.expire.app.handler({}, Context())
        return before - self.check().held

    def promotes(self) -> None:
        """Call the promoter with a record of this event's bookings, then with that of its note, if any."""
        self._promotes("0")
        self._settles_if_asked()

    @property
    def has_note(self) -> bool:
        """Tell whether a note asks for a settler."""
        key = items.note_key(self.event_id)
        found = self.database.get_item(TableName=items.BOOKINGS, Key=key, ConsistentRead=True)
        return "askedAt" in found.get("Item", {})

    def _settles_if_asked(self) -> None:
        if self.has_note:
            self._promotes("note")

    def _promotes(self, part: str) -> None:
        record = {"dynamodb": {"Keys": {"laneId": {"S": f"{self.event_id}#{part}"}}, "SequenceNumber": "1"}}
        assert functions.promote.app.handler({"Records": [record]}, Context()) == {"batchItemFailures": []}

    def check(self, *, drained: bool = False) -> promises.Snapshot:
        """Assert that every promise holds. Return what the tables contain."""
        return promises.check(self.database, self.event_id, drained=drained)


@dataclass
class Office:
    """The office. Each event that it opens is checked at the end of the test."""

    database: Any
    events: list[Event] = field(default_factory=list)

    def opens(self, tickets: int, **more: Any) -> Event:
        """Open an event."""
        response = call(functions.initialize.app, {"name": "The concert", "totalTickets": tickets, **more})
        assert response.status == 201
        self.events.append(Event(response.json["eventId"], self.database))
        return self.events[-1]

    def bookings_of(self, user: str, **query: str) -> Response:
        """Request a page of a user's bookings."""
        return call(functions.bookings.app, query={"userId": user, **query})

    def lists_events(self, **query: str) -> Response:
        """Request a page of the events."""
        return call(functions.events.app, query=query)


@contextmanager
def clock_ahead(seconds: float) -> Iterator[None]:
    """Run the block with the functions' wall clock ahead by that many seconds; behind if the number is negative."""
    now = runtime.current.now
    with patch.object(runtime.current, "now", lambda: later(now(), seconds)):
        yield


@contextmanager
def open_office(database: Any) -> Iterator[Office]:
    """Yield an office. At the end, assert that the promises hold for each of its events."""
    office = Office(database)
    yield office
    for event in office.events:
        event.check()
