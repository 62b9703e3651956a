"""What goes over the wire: requests and answers, in camelCase, as pydantic models.

Nothing below the functions knows them; the promoter and the sweep never import them.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from shared.model import (
    ID_LENGTH_MAX,
    NAME_LENGTH_MAX,
    TICKETS_MAX,
    WAITING_LIST_LIMIT_MAX,
    Availability,
    Booking,
    Event,
    Position,
    Standing,
    Status,
    as_moment,
)

# RFC 3339, of the years that are written everywhere alike, and without its leap seconds, which no clock of ours has.
_DAY, _TIME = "[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}", r"[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,9})?"
_MOMENT: Final = f"^{_DAY}T{_TIME}(Z|[+-][0-9]{{2}}:[0-9]{{2}})$"

_CONTROLS: Final = r"\u0000-\u001f\u007f-\u009f"  # control characters: Unicode's category Cc
_CONTROL: Final = re.compile(f"[{_CONTROLS}]")


def _printable(value: str) -> str:
    if _CONTROL.search(value):
        raise PydanticCustomError("control_character", "must not contain control characters")
    return value


def _to_id(value: object) -> str:
    """Read an id: a string, or an integer as the original contract had it, which becomes a string."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise PydanticCustomError("id_type", "must be a string or an integer")
    if not 1 <= len(value) <= ID_LENGTH_MAX:
        raise PydanticCustomError("id_length", "must have 1 to {max} characters", {"max": ID_LENGTH_MAX})
    return _printable(value)


def _to_name(value: object) -> object:
    if not isinstance(value, str):
        return value  # for pydantic to refuse
    if not value.strip():
        raise PydanticCustomError("name_blank", "must not be empty")
    return _printable(value)


def _to_moment(value: object) -> object:
    """Read a moment as RFC 3339 has it, with its offset; it becomes UTC, in milliseconds."""
    if not isinstance(value, str):
        return value  # for pydantic to refuse
    try:
        if re.fullmatch(_MOMENT, value):
            return as_moment(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        pass  # no such day, or one after the last year
    raise PydanticCustomError("moment", "must be a moment with its offset, such as 2026-05-01T20:00:00+02:00")


# As the description has them; what holds them is above, for a pattern tells nobody what is wrong.
PRINTABLE = f"^[^{_CONTROLS}]+$"
_NOT_BLANK = rf"^[^{_CONTROLS}]*[^\s{_CONTROLS}][^{_CONTROLS}]*$"
_Text = Annotated[str, Field(min_length=1, max_length=ID_LENGTH_MAX, pattern=PRINTABLE)]

Id = Annotated[str, BeforeValidator(_to_id, json_schema_input_type=_Text | int)]
Name = Annotated[
    str,
    BeforeValidator(_to_name),
    StringConstraints(min_length=1, max_length=NAME_LENGTH_MAX),
    Field(json_schema_extra={"pattern": _NOT_BLANK}),
]
Tickets = Annotated[int, Field(strict=True, ge=1, le=TICKETS_MAX, description="Without a fraction: 5, not 5.0.")]
Moment = Annotated[
    str,
    BeforeValidator(
        _to_moment,
        json_schema_input_type=Annotated[str, Field(pattern=_MOMENT, json_schema_extra={"format": "date-time"})],
    ),
]
Limit = Annotated[int, Field(strict=True, ge=0, le=WAITING_LIST_LIMIT_MAX)]


class Wire(BaseModel):
    """What goes over the wire: camelCase, no unknown fields."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class Answer(Wire):
    """What is answered."""

    model_config = ConfigDict(validate_by_name=True)  # built here, by Python's names


Value = TypeVar("Value")
Optional = Annotated[
    Value | None, Field(exclude_if=lambda value: value is None)
]  # left out of an answer where it is None


class InitializeRequest(Wire):
    """POST /initialize."""

    name: Name
    total_tickets: Tickets
    opens_at: Moment | None = None
    closes_at: Moment | None = None
    waiting_list_limit: Limit | None = None


class BookRequest(Wire):
    """POST /book."""

    user_id: Id
    event_id: Id


class CancelRequest(Wire):
    """POST /cancel. With a `bookingId`, only that booking is cancelled."""

    user_id: Id
    event_id: Id
    booking_id: Id | None = None


class EventPath(Wire):
    """The parameters of a path that names an event."""

    event_id: Id


def _describe_change(schema: dict[str, Any]) -> None:
    """Say that something must be named, and nothing of values for what is not: that stays as it is."""
    schema["minProperties"] = 1
    for its in schema["properties"].values():
        del its["default"]


class ChangeRequest(Wire):
    """PATCH /events/{eventId}: what is not named stays, and null takes a bound away."""

    model_config = ConfigDict(json_schema_extra=_describe_change)

    name: Name = ""
    total_tickets: Tickets = 1
    opens_at: Moment | None = None
    closes_at: Moment | None = None
    waiting_list_limit: Limit | None = None

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing", "must name something to change")
        return self

    @property
    def wanted(self) -> dict[str, Any]:
        """Return what is named, by the names of the model."""
        return self.model_dump(include=self.model_fields_set)


class StatusRequest(EventPath):
    """GET /status/{eventId}?userId=."""

    user_id: Id | None = None


class EventAnswer(Answer):
    """An event, with what is left and how many wait."""

    event_id: str
    name: str
    total_tickets: int
    available_tickets: int
    booked_tickets: int
    waiting_list_count: int
    created_at: str
    opens_at: Optional[str] = None
    closes_at: Optional[str] = None
    waiting_list_limit: Optional[int] = None
    sold_out_at: Optional[str] = None
    cancelled_at: Optional[str] = None
    emptied_at: Optional[str] = None

    @classmethod
    def of(cls, availability: Availability, **more: Any) -> Self:
        """Show an event as it is now."""
        event = availability.event
        return cls(
            event_id=event.event_id,
            name=event.name,
            total_tickets=availability.total_tickets,
            available_tickets=availability.available_tickets,
            booked_tickets=availability.booked_tickets,
            waiting_list_count=availability.waiting_list_count,
            created_at=event.created_at,
            **life_of(event),
            **more,
        )

    @classmethod
    def of_new(cls, event: Event) -> Self:
        """Show an event as it was opened; a repeated request gets the same (P7)."""
        return cls.of(Availability(event, event.total_tickets, event.total_tickets, waiting_list_count=0))


class ConfirmedAnswer(Answer):
    """A booking that holds a ticket."""

    status: Literal[Status.CONFIRMED] = Status.CONFIRMED
    booking_id: str
    event_id: str
    user_id: str
    booked_at: str


class WaitingAnswer(Answer):
    """A booking that holds a place in the waiting list; `position` 1 is the head."""

    status: Literal[Status.WAITING] = Status.WAITING
    booking_id: str
    event_id: str
    user_id: str
    position: int
    position_is_estimate: Optional[Literal[True]] = None
    joined_at: str


class CancelledAnswer(Answer):
    """A booking that was given up; `was` says what it held."""

    status: Literal[Status.CANCELLED] = Status.CANCELLED
    booking_id: str
    event_id: str
    user_id: str
    cancelled_at: str
    was: Literal[Status.CONFIRMED, Status.WAITING]


BookingAnswer = ConfirmedAnswer | WaitingAnswer | CancelledAnswer


class StatusAnswer(EventAnswer):
    """An event with one user's booking: null for a user who never booked."""

    booking: BookingAnswer | None

    @classmethod
    def with_booking(cls, availability: Availability, standing: Standing | None) -> Self:
        """Show an event as it is now, and the booking."""
        return cls.of(availability, booking=booking_answer(standing.booking, standing.position) if standing else None)


def life_of(event: Event) -> dict[str, Any]:
    """Return the bounds of an event's sale, and what has become of the event; None for what is not."""
    return {
        "opens_at": event.opens_at,
        "closes_at": event.closes_at,
        "waiting_list_limit": event.waiting_list_limit,
        "sold_out_at": event.sold_out_at,
        "cancelled_at": event.cancelled_at,
        "emptied_at": event.emptied_at,
    }


def location_of(booking: Booking) -> str:
    """Return where a user's booking on an event is."""
    return f"/bookings?userId={quote(booking.user_id, safe='')}&eventId={quote(booking.event_id, safe='')}"


def booking_answer(booking: Booking, position: Position | None = None) -> BookingAnswer:
    """Show a booking; one that waits is shown with its position."""
    booking_id, event_id, user_id = booking.booking_id, booking.event_id, booking.user_id
    match booking.status:
        case Status.CONFIRMED:
            return ConfirmedAnswer(
                booking_id=booking_id, event_id=event_id, user_id=user_id, booked_at=booking.booked_at or ""
            )
        case Status.CANCELLED:
            return CancelledAnswer(
                booking_id=booking_id,
                event_id=event_id,
                user_id=user_id,
                cancelled_at=booking.cancelled_at or "",
                was=Status.CONFIRMED if booking.held_ticket else Status.WAITING,
            )
        case Status.WAITING:
            assert position is not None, "who waits has a position"
            return WaitingAnswer(
                booking_id=booking_id,
                event_id=event_id,
                user_id=user_id,
                position=position.value,
                position_is_estimate=position.is_estimate or None,
                joined_at=booking.joined_at or "",
            )
