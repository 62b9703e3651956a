"""What goes over the wire in lists: requests for a page, and pages, each with the cursor of the next.

Apart from shared/edge/contract.py, for what books and cancels starts without it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from shared.edge import cursor
from shared.edge.contract import (
    Answer,
    CancelledAnswer,
    ConfirmedAnswer,
    EventPath,
    Id,
    Optional,
    WaitingAnswer,
    Wire,
    booking_answer,
    life_of,
)
from shared.model import Booking, Entry, Event, Position, Standing, Status

LIMIT_MAX = 100  # rows of a page
LIMIT = 25

_ABOUT_THE_PAGE: Final = {"limit", "cursor"}  # all else says what is listed


def _to_limit(value: object) -> object:
    """Read digits, and nothing else that could pass for a number; pydantic says which numbers are too large."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,9}", value):
        raise PydanticCustomError("limit", "must be an integer")
    return value


def _listed(fields: Mapping[str, Any]) -> str:
    """Return what a list is of, for its cursors."""
    return json.dumps({name: value for name, value in sorted(fields.items()) if name not in _ABOUT_THE_PAGE})


def _cursor_of(*kinds: type) -> BeforeValidator:
    """Read the cursor of a list whose places have such parts; it must be the last field."""

    def read(value: object, info: ValidationInfo) -> cursor.Place | None:
        if value is None:
            return None
        try:
            return cursor.read(str(value), _listed(info.data), kinds)
        except ValueError:
            raise PydanticCustomError("cursor", "is not one that this list has given") from None

    return BeforeValidator(read, json_schema_input_type=str | None)


def _next_cursor(request: BaseModel, place: cursor.Place | None) -> str | None:
    return None if place is None else cursor.write(_listed(dict(request)), place)


Limit = Annotated[int, BeforeValidator(_to_limit), Field(ge=1, le=LIMIT_MAX)]


class BookingsRequest(Wire):
    """GET /bookings?userId=&eventId=&limit=&cursor=."""

    user_id: Id
    event_id: Id | None = None
    limit: Limit = LIMIT
    cursor: Annotated[tuple[str, str] | None, _cursor_of(str, str)] = None


class EventsRequest(Wire):
    """GET /events?limit=&cursor=."""

    limit: Limit = LIMIT
    cursor: Annotated[tuple[str, str] | None, _cursor_of(str, str)] = None


class EventBookingsRequest(EventPath):
    """GET /events/{eventId}/bookings?status=&limit=&cursor=."""

    status: Status | None = None
    limit: Limit = LIMIT
    cursor: Annotated[tuple[int, str] | None, _cursor_of(int, str)] = None


class WaitingListRequest(EventPath):
    """GET /events/{eventId}/waiting-list?limit=&cursor=."""

    limit: Limit = LIMIT
    cursor: Annotated[tuple[int, int] | None, _cursor_of(int, int)] = None


class OfEvent(Answer):
    """The event of a booking in a list. While a cancelled event is being emptied, its bookings may still be active."""

    event_name: str
    event_cancelled_at: Optional[str] = None


class ConfirmedBooking(ConfirmedAnswer, OfEvent):
    """A booking that holds a ticket, and for what."""


class WaitingBooking(WaitingAnswer, OfEvent):
    """A booking that holds a place in the waiting list, and for what."""


class CancelledBooking(CancelledAnswer, OfEvent):
    """A booking that was given up, by its user or with the event, and for what."""


UserBooking = ConfirmedBooking | WaitingBooking | CancelledBooking

_BOOKINGS: Final[Mapping[Status, type[UserBooking]]] = {
    Status.CONFIRMED: ConfirmedBooking,
    Status.WAITING: WaitingBooking,
    Status.CANCELLED: CancelledBooking,
}


class BookingsPage(Answer):
    """A user's bookings, the newest first."""

    bookings: list[UserBooking]
    next_cursor: str | None

    @classmethod
    def of(
        cls, request: BookingsRequest, bookings: Sequence[tuple[Event, Standing]], place: cursor.Place | None
    ) -> Self:
        """Show bookings, each with the name of its event."""
        return cls(
            bookings=[_user_booking(event, standing) for event, standing in bookings],
            next_cursor=_next_cursor(request, place),
        )


class EventLinks(Answer):
    """Where there is more about an event."""

    status: str
    bookings: str
    waiting_list: str


class EventFacts(Answer):
    """An event without its counts: those are in its status."""

    event_id: str
    name: str
    total_tickets: int
    created_at: str
    opens_at: str | None
    closes_at: str | None
    waiting_list_limit: int | None
    sold_out_at: str | None
    cancelled_at: str | None
    emptied_at: str | None
    links: EventLinks


class EventsPage(Answer):
    """The events, the newest first."""

    events: list[EventFacts]
    next_cursor: str | None

    @classmethod
    def of(cls, request: EventsRequest, events: list[Event], place: cursor.Place | None) -> Self:
        """Show events."""
        return cls(events=list(map(_event_facts, events)), next_cursor=_next_cursor(request, place))


class EventBooking(Answer):
    """A booking as an organiser sees it: with each of the times that it has come to."""

    status: Status
    booking_id: str
    user_id: str
    joined_at: str | None
    booked_at: str | None
    promoted_at: str | None
    cancelled_at: str | None


class EventBookingsPage(Answer):
    """An event's bookings."""

    bookings: list[EventBooking]
    next_cursor: str | None

    @classmethod
    def of(cls, request: EventBookingsRequest, bookings: list[Booking], place: cursor.Place | None) -> Self:
        """Show bookings."""
        return cls(bookings=list(map(_event_booking, bookings)), next_cursor=_next_cursor(request, place))


class WaitingListPage(Answer):
    """Who waits for an event, in the order of the list."""

    entries: list[WaitingAnswer]
    next_cursor: str | None

    @classmethod
    def of(cls, request: WaitingListRequest, entries: list[tuple[Entry, Position]], place: cursor.Place | None) -> Self:
        """Show entries."""
        return cls(entries=[_entry(*one) for one in entries], next_cursor=_next_cursor(request, place))


def _user_booking(event: Event, standing: Standing) -> UserBooking:
    answer = booking_answer(standing.booking, standing.position)
    return _BOOKINGS[standing.booking.status](
        **dict(answer), event_name=event.name, event_cancelled_at=event.cancelled_at
    )


def _event_facts(event: Event) -> EventFacts:
    below = f"/events/{event.event_id}"
    return EventFacts(
        event_id=event.event_id,
        name=event.name,
        total_tickets=event.total_tickets,
        created_at=event.created_at,
        **life_of(event),
        links=EventLinks(
            status=f"/status/{event.event_id}", bookings=f"{below}/bookings", waiting_list=f"{below}/waiting-list"
        ),
    )


def _event_booking(booking: Booking) -> EventBooking:
    return EventBooking(
        status=booking.status,
        booking_id=booking.booking_id,
        user_id=booking.user_id,
        joined_at=booking.joined_at,
        booked_at=booking.booked_at,
        promoted_at=booking.promoted_at,
        cancelled_at=booking.cancelled_at,
    )


def _entry(entry: Entry, position: Position) -> WaitingAnswer:
    return WaitingAnswer(
        booking_id=entry.booking_id,
        event_id=entry.event_id,
        user_id=entry.user_id,
        position=position.value,
        position_is_estimate=position.is_estimate or None,
        joined_at=entry.joined_at,
    )
