"""Lists: requests for a page, and pages, each with the cursor of the next.

Apart from shared/edge/contract.py, because the functions that book and cancel start without it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from shared.edge import cursor
from shared.edge.contract import (
    ApiModel,
    CancelledResponse,
    ConfirmedResponse,
    EventFields,
    EventPath,
    ExpiredResponse,
    HeldResponse,
    Id,
    LeftOutIfNone,
    ResponseModel,
    Time,
    TransferredResponse,
    WaitingResponse,
    booking_response,
)
from shared.model import Actor, Booking, Entry, Event, Position, Standing, Status

LIMIT_MAX = 100  # rows of a page
LIMIT = 25

_ABOUT_THE_PAGE: Final = {"limit", "cursor"}  # all other parameters say what is listed


def _to_limit(value: object) -> object:
    """Read digits, and nothing else that might pass for a number; pydantic checks the range."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,9}", value):
        raise PydanticCustomError("limit", "must be an integer")
    return value


def _listed(fields: Mapping[str, Any]) -> str:
    """Return what a list is of, for its cursors."""
    return json.dumps({name: value for name, value in sorted(fields.items()) if name not in _ABOUT_THE_PAGE})


_CursorText = Annotated[str, Field(min_length=1, max_length=cursor.LENGTH_MAX)]
_CURSOR: Final = "Where the page begins: `nextCursor` of the page before it."


def _cursor_of(*kinds: type) -> BeforeValidator:
    """Read the cursor of a list whose places have parts of these types; it must be the last field."""

    def read(value: object, info: ValidationInfo) -> cursor.Place | None:
        if value is None:
            return None
        try:
            return cursor.read(str(value), _listed(info.data), kinds)
        except ValueError:
            raise PydanticCustomError("cursor", "is not a cursor of this list") from None

    return BeforeValidator(read, json_schema_input_type=_CursorText)


def _next_cursor(request: BaseModel, place: cursor.Place | None) -> str | None:
    return None if place is None else cursor.write(_listed(dict(request)), place)


Limit = Annotated[int, Field(ge=1, le=LIMIT_MAX, description="Maximum rows of the page."), BeforeValidator(_to_limit)]
NextCursor = Annotated[str | None, Field(description="The `cursor` of the next page; null on the last.")]


class BookingsRequest(ApiModel):
    """The parameters of GET /bookings."""

    user_id: Annotated[Id, Field(description="The user whose bookings are listed.")]
    event_id: Annotated[LeftOutIfNone[Id], Field(description="Only the booking of this event.")] = None
    limit: Limit = LIMIT
    cursor: Annotated[tuple[str, str] | None, _cursor_of(str, str), Field(description=_CURSOR)] = None


class EventsRequest(ApiModel):
    """The parameters of GET /events."""

    limit: Limit = LIMIT
    cursor: Annotated[tuple[str, str] | None, _cursor_of(str, str), Field(description=_CURSOR)] = None


class EventBookingsRequest(EventPath):
    """The parameters of GET /events/{eventId}/bookings."""

    status: Annotated[LeftOutIfNone[Status], Field(description="Only bookings with this status.")] = None
    limit: Limit = LIMIT
    cursor: Annotated[tuple[int, str] | None, _cursor_of(int, str), Field(description=_CURSOR)] = None


class WaitingListRequest(EventPath):
    """The parameters of GET /events/{eventId}/waiting-list."""

    limit: Limit = LIMIT
    cursor: Annotated[tuple[int, int] | None, _cursor_of(int, int), Field(description=_CURSOR)] = None


class _OfEvent(ResponseModel):
    """The event of a booking in a list. A cancelled event may still have active bookings for a while."""

    event_name: str
    event_venue: LeftOutIfNone[str] = None
    event_cancelled_at: LeftOutIfNone[Time] = None


class HeldBooking(HeldResponse, _OfEvent):
    """A booking whose tickets are reserved for a while, with its event."""


class ConfirmedBooking(ConfirmedResponse, _OfEvent):
    """A booking that has its tickets, with its event."""


class WaitingBooking(WaitingResponse, _OfEvent):
    """A booking in the waiting list, with its event."""


class CancelledBooking(CancelledResponse, _OfEvent):
    """A booking that was cancelled, with its event."""


class ExpiredBooking(ExpiredResponse, _OfEvent):
    """A booking whose hold or offer was not confirmed in time, with its event."""


class TransferredBooking(TransferredResponse, _OfEvent):
    """A booking whose tickets are another user's now, with its event."""


UserBooking = TypeAliasType(
    "UserBooking",
    Annotated[
        HeldBooking | ConfirmedBooking | WaitingBooking | CancelledBooking | ExpiredBooking | TransferredBooking,
        Field(discriminator="status"),
    ],
)

_BOOKINGS: Final[Mapping[Status, Any]] = {
    Status.HELD: HeldBooking,
    Status.EXPIRED: ExpiredBooking,
    Status.CONFIRMED: ConfirmedBooking,
    Status.WAITING: WaitingBooking,
    Status.CANCELLED: CancelledBooking,
    Status.TRANSFERRED: TransferredBooking,
}


class BookingsPage(ResponseModel):
    """A user's bookings, newest first."""

    bookings: list[UserBooking]
    next_cursor: NextCursor

    @classmethod
    def of(
        cls, request: BookingsRequest, bookings: Sequence[tuple[Event, Standing]], place: cursor.Place | None
    ) -> Self:
        """Show bookings, each with the name of its event."""
        rows = [_user_booking(event, standing) for event, standing in bookings]
        return cls(bookings=rows, next_cursor=_next_cursor(request, place))


class EventLinks(ResponseModel):
    """The URLs of an event's status and lists."""

    status: str
    bookings: str
    waiting_list: str


class ListedEvent(EventFields):
    """An event in a list, without counts: its status has them."""

    links: EventLinks


class EventsPage(ResponseModel):
    """The events, newest first."""

    events: list[ListedEvent]
    next_cursor: NextCursor

    @classmethod
    def of(cls, request: EventsRequest, events: list[Event], place: cursor.Place | None) -> Self:
        """Show events."""
        return cls(events=list(map(_listed_event, events)), next_cursor=_next_cursor(request, place))


class EventBooking(ResponseModel):
    """A booking as an organiser sees it, with the times of what has happened to it."""

    status: Status
    booking_id: str
    user_id: str
    quantity: int
    at_least: Annotated[int | None, Field(description="While it is waiting: the fewest tickets that the user takes.")]
    joined_at: Time | None
    promoted_at: Time | None
    held_at: Time | None
    expires_at: Time | None
    booked_at: Time | None
    cancelled_at: Time | None
    expired_at: Time | None
    reduced_at: Annotated[
        Time | None, Field(description="When the user last returned some tickets or asked for fewer.")
    ]
    checked_in_at: Time | None
    transferred_at: Time | None
    transferred_to: str | None
    transferred_from: str | None
    reference: str | None
    booked_by: Actor | None
    confirmed_by: Actor | None
    cancelled_by: Actor | None
    reduced_by: Actor | None
    checked_in_by: Actor | None
    transferred_by: Actor | None

    @classmethod
    def of(cls, booking: Booking) -> Self:
        """Show a booking."""
        at_least = (booking.at_least or 1) if booking.status is Status.WAITING else None
        return cls.model_validate(replace(booking, at_least=at_least))


class EventBookingsPage(ResponseModel):
    """An event's bookings."""

    bookings: list[EventBooking]
    next_cursor: NextCursor

    @classmethod
    def of(cls, request: EventBookingsRequest, bookings: list[Booking], place: cursor.Place | None) -> Self:
        """Show bookings."""
        rows = list(map(EventBooking.of, bookings))
        return cls(bookings=rows, next_cursor=_next_cursor(request, place))


class WaitingListPage(ResponseModel):
    """The waiting users of an event, in the order of the list."""

    entries: list[WaitingResponse]
    next_cursor: NextCursor

    @classmethod
    def of(cls, request: WaitingListRequest, entries: list[tuple[Entry, Position]], place: cursor.Place | None) -> Self:
        """Show entries."""
        rows = [WaitingResponse.of(*one) for one in entries]
        return cls(entries=rows, next_cursor=_next_cursor(request, place))


def _user_booking(event: Event, standing: Standing) -> UserBooking:
    row: UserBooking = _BOOKINGS[standing.booking.status](
        **dict(booking_response(standing)),
        event_name=event.terms.name,
        event_venue=event.terms.venue,
        event_cancelled_at=event.cancelled_at,
    )
    return row


def _listed_event(event: Event) -> ListedEvent:
    below = f"/events/{event.event_id}"
    links = EventLinks(
        status=f"/status/{event.event_id}", bookings=f"{below}/bookings", waiting_list=f"{below}/waiting-list"
    )
    return ListedEvent(**dict(EventFields.of_event(event)), links=links)
