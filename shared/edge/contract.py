"""The requests and responses of the HTTP API, as pydantic models with camelCase names.

openapi/ derives the API's description from them. Functions that serve no HTTP never import them.
"""

import re
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self, TypeVar
from urllib.parse import quote

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from shared.edge import text
from shared.model import (
    HOLD_S_MAX,
    ID_LENGTH_MAX,
    NAME_LENGTH_MAX,
    OFFER_S_MAX,
    TICKETS_MAX,
    TICKETS_PER_BOOKING_MAX,
    WAITING_LIST_LIMIT_MAX,
    Actor,
    Availability,
    Booking,
    CheckIn,
    Counts,
    Entry,
    Event,
    Position,
    Rules,
    Standing,
    Status,
    Terms,
    as_moment,
)

# RFC 3339 for the years 1000 to 9999, without leap seconds.
_DAY, _TIME = "[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}", r"[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,9})?"
_MOMENT: Final = f"^{_DAY}T{_TIME}(Z|[+-][0-9]{{2}}:[0-9]{{2}})$"


def _to_id(value: object) -> str:
    """Read an id: a string, or an integer, which becomes a string."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise PydanticCustomError("id_type", "must be a string or an integer")
    if not 1 <= len(value) <= ID_LENGTH_MAX:
        raise PydanticCustomError("id_length", "must have 1 to {max} characters", {"max": ID_LENGTH_MAX})
    if not text.is_id(value):
        raise PydanticCustomError("id_text", "must have visible characters only, and no space at either end")
    return value


def _to_name(value: object) -> object:
    if not isinstance(value, str):
        return value  # pydantic refuses it
    if not text.is_visible(value):
        raise PydanticCustomError("name_blank", "must have a visible character")
    return _to_venue(value)


def _to_venue(value: object) -> object:
    if isinstance(value, str) and not text.may_be_in_name(value):
        raise PydanticCustomError("name_text", "must not contain control, format or replacement characters")
    return value  # pydantic refuses what is no string


def _to_moment(value: object) -> object:
    """Read an RFC 3339 time with its offset; it becomes UTC in milliseconds; the result is itself valid input."""
    if not isinstance(value, str):
        return value  # pydantic refuses it
    try:
        if re.fullmatch(_MOMENT, value):
            moment = as_moment(datetime.fromisoformat(value))
            if re.fullmatch(_MOMENT, moment):  # in UTC the year may be 999
                return moment
    except (ValueError, OverflowError):
        pass  # there is no such day, or in UTC the year is 10000
    raise PydanticCustomError("moment", "must be a time with an offset, such as 2026-05-01T20:00:00+02:00")


# The patterns of the description. The validators above enforce them, because a pattern cannot explain what is wrong.
_IdText = Annotated[str, Field(min_length=1, max_length=ID_LENGTH_MAX, json_schema_extra={"pattern": text.ID})]

# Described as a string: the office also accepts integers, as the original contract did.
Id = Annotated[str, BeforeValidator(_to_id, json_schema_input_type=_IdText)]
Name = Annotated[
    str,
    BeforeValidator(_to_name),
    StringConstraints(min_length=1, max_length=NAME_LENGTH_MAX),
    Field(json_schema_extra={"pattern": text.NAME}),
]
Venue = Annotated[
    str,
    BeforeValidator(_to_venue),
    StringConstraints(max_length=NAME_LENGTH_MAX),
    Field(json_schema_extra={"pattern": text.LINE}),
]
Tickets = Annotated[int, Field(strict=True, ge=1, le=TICKETS_MAX, description="Without a fraction: 5, not 5.0.")]
Moment = Annotated[
    str,
    BeforeValidator(
        _to_moment,
        json_schema_input_type=Annotated[str, Field(pattern=_MOMENT, json_schema_extra={"format": "date-time"})],
    ),
]
ListLimit = Annotated[int, Field(strict=True, ge=0, le=WAITING_LIST_LIMIT_MAX)]
HoldSeconds = Annotated[int, Field(strict=True, ge=1, le=HOLD_S_MAX)]
OfferSeconds = Annotated[int, Field(strict=True, ge=1, le=OFFER_S_MAX)]
Quantity = Annotated[int, Field(strict=True, ge=1, le=TICKETS_PER_BOOKING_MAX)]
Kept = Annotated[int, Field(strict=True, ge=1, lt=TICKETS_PER_BOOKING_MAX)]
Confirmer = Literal[Actor.SHOP, Actor.BUYER]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]  # in a response


Value = TypeVar("Value")
# A field that is left out where it is None; openapi/ describes it as optional and never null.
LeftOutIfNone = Annotated[Value | None, Field(exclude_if=lambda value: value is None)]


class ApiModel(BaseModel):
    """Base of all requests and responses: camelCase, no unknown fields.

    Each is built on first use, since a function uses few.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, defer_build=True)


class ResponseModel(ApiModel):
    """Base of all responses, which take the fields of the nouns in shared/model.py that have the same names."""

    model_config = ConfigDict(validate_by_name=True, from_attributes=True)


# ---------------------------------------------------------------- requests


class _EventSettings(ApiModel):
    """The settings of an event; null means that an event does without one."""

    name: Name
    total_tickets: Tickets
    opens_at: Moment | None = None
    closes_at: Moment | None = None
    waiting_list_limit: ListLimit | None = None
    venue: Venue | None = None


class InitializeRequest(_EventSettings):
    """An event to open. What a change cannot set is fixed from then on."""

    hold_seconds: Annotated[
        HoldSeconds | None, Field(description="How long a buyer holds a ticket before it must be confirmed.")
    ] = None
    offer_seconds: Annotated[
        OfferSeconds | None,
        Field(description="How long a ticket from the waiting list is offered; as long as holds by default."),
    ] = None
    tickets_per_booking: Annotated[Quantity, Field(description="Maximum `quantity` of a booking, 1 by default.")] = 1
    confirmed_by: Annotated[
        Confirmer | None, Field(description='Who may confirm holds and offers: "shop" by default.')
    ] = None

    @field_validator("confirmed_by")
    @classmethod
    def _has_something_to_confirm(cls, value: Confirmer | None, info: ValidationInfo) -> Confirmer | None:
        seconds = [info.data[name] for name in ("hold_seconds", "offer_seconds") if name in info.data]  # the valid ones
        if value and seconds == [None, None]:
            raise PydanticCustomError("nothing_to_confirm", "needs holdSeconds or offerSeconds")
        return value

    @property
    def terms(self) -> Terms:
        """Return what a change can set later."""
        return _of_fields(Terms, self)

    @property
    def rules(self) -> Rules:
        """Return what is fixed from now on."""
        return _of_fields(Rules, self)


_Noun = TypeVar("_Noun", Terms, Rules)


def _of_fields(noun: type[_Noun], model: BaseModel) -> _Noun:
    return noun(**{field.name: getattr(model, field.name) for field in fields(noun)})


_UNSET: Any = None  # never read: a change uses the fields that it names


class ChangeRequest(_EventSettings):
    """A change of an event: fields that are not named stay, and null removes a setting."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    name: Name = _UNSET
    total_tickets: Tickets = _UNSET

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing", "must name at least one field to change")
        return self

    @property
    def wanted(self) -> dict[str, Any]:
        """Return the fields that are named, by the names of the model."""
        return self.model_dump(include=self.model_fields_set)


class BookRequest(ApiModel):
    """A booking to make."""

    user_id: Id
    event_id: Id
    quantity: Annotated[
        Quantity, Field(description="Number of tickets, 1 by default, at most the event's `ticketsPerBooking`.")
    ] = 1
    at_least: Annotated[
        Quantity | None,
        Field(description="The fewest tickets that the user takes, if there are not enough; by default `quantity`."),
    ] = None

    @field_validator("at_least")
    @classmethod
    def _is_at_most_the_quantity(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value and value > info.data.get("quantity", value):  # without a valid quantity, that is the error
            raise PydanticCustomError("at_least", "must be at most quantity")
        return value


class ConfirmRequest(ApiModel):
    """A hold or an offer to confirm."""

    user_id: Id
    event_id: Id
    booking_id: Id
    reference: Annotated[Id | None, Field(description="The shop's own, such as the id of a payment.")] = None


class CancelRequest(ApiModel):
    """A booking to cancel, or to reduce to the tickets that its user keeps. With a `bookingId`, only that booking."""

    user_id: Id
    event_id: Id
    booking_id: Id | None = None
    keep: Annotated[
        Kept | None, Field(description="How many tickets stay; the others are returned. Without it, none stays.")
    ] = None


class TransferRequest(ApiModel):
    """A booking to give to another user."""

    user_id: Id
    event_id: Id
    booking_id: Id
    to_user_id: Id

    @field_validator("to_user_id")
    @classmethod
    def _is_another(cls, value: str, info: ValidationInfo) -> str:
        if value == info.data.get("user_id"):
            raise PydanticCustomError("same_user", "must be another user than userId")
        return value


class CheckInRequest(ApiModel):
    """A booking to check in."""

    user_id: Id
    event_id: Id
    booking_id: Id


class EventPath(ApiModel):
    """The parameters of a path that names an event."""

    event_id: Annotated[Id, Field(description="The event's id.")]


class StatusRequest(EventPath):
    """The parameters of GET /status/{eventId}."""

    user_id: Annotated[LeftOutIfNone[Id], Field(description="Also return this user's booking.")] = None


# ---------------------------------------------------------------- responses


class _EventHeading(ResponseModel):
    event_id: str
    name: str
    total_tickets: int


class _EventCounts(_EventHeading):
    available_tickets: int
    booked_tickets: int
    waiting_list_count: int


_COUNTS: Final = ("total_tickets", "available_tickets", "booked_tickets", "waiting_list_count")


class EventFields(_EventHeading):
    """An event without counts. Fields that are not set are left out."""

    created_at: Time
    tickets_per_booking: Annotated[int, Field(description="Maximum `quantity` of a booking.")]
    opens_at: LeftOutIfNone[Time] = None
    closes_at: LeftOutIfNone[Time] = None
    waiting_list_limit: LeftOutIfNone[int] = None
    venue: LeftOutIfNone[str] = None
    sold_out_at: LeftOutIfNone[Time] = None
    hold_seconds: LeftOutIfNone[int] = None
    offer_seconds: LeftOutIfNone[int] = None
    confirmed_by: LeftOutIfNone[Confirmer] = None
    cancelled_at: LeftOutIfNone[Time] = None
    emptied_at: Annotated[
        LeftOutIfNone[Time], Field(description="When the last booking of a cancelled event ended.")
    ] = None

    @classmethod
    def of_event(cls, event: Event) -> "EventFields":
        """Show the terms in force, the rules, and what has happened to the event."""
        facts = {one.name: getattr(of, one.name) for of in (event.terms, event.rules, event) for one in fields(of)}
        return EventFields.model_validate({name: facts[name] for name in EventFields.model_fields})


class EventResponse(EventFields, _EventCounts):
    """An event with its counts: tickets and waiting users."""

    checked_in_tickets: Annotated[
        LeftOutIfNone[int], Field(description="In the status, for the door, shops and organisers; left out if it is 0.")
    ] = None

    @classmethod
    def of(cls, availability: Availability, **more: Any) -> Self:
        """Show an event as it is now."""
        counts = {name: getattr(availability, name) for name in _COUNTS}
        return cls(**dict(EventFields.of_event(availability.event)) | counts | more)

    @classmethod
    def of_new(cls, event: Event) -> Self:
        """Show an event as it was opened; a repeated request gets the same response (P7)."""
        return cls.of(Availability(event, tickets := event.terms.total_tickets, tickets, waiting_list_count=0))


class _BookingFields(ResponseModel):
    status: Status
    booking_id: str
    event_id: str
    user_id: str
    quantity: Annotated[int, Field(description="Number of tickets; of a waiting booking, as many as the user wants.")]


class HeldResponse(_BookingFields):
    """A booking whose tickets are reserved until `expiresAt`: a hold, or an offer of the waiting list."""

    status: Literal[Status.HELD]
    held_at: Time
    expires_at: Annotated[
        Time,
        Field(description="Until then, only its user, a shop, an organiser or the event's cancellation can end it."),
    ]
    promoted_at: Annotated[
        LeftOutIfNone[Time], Field(description="Present if the waiting list offers the tickets.")
    ] = None


class ConfirmedResponse(_BookingFields):
    """A booking that has its tickets."""

    status: Literal[Status.CONFIRMED]
    booked_at: Time
    reference: Annotated[LeftOutIfNone[str], Field(description="As it was confirmed with.")] = None
    transferred_from: Annotated[
        LeftOutIfNone[str], Field(description="The user who transferred the tickets to this one.")
    ] = None
    checked_in_at: Annotated[LeftOutIfNone[Time], Field(description="When its tickets were used.")] = None


class CheckInResponse(ConfirmedResponse):
    """A booking that was checked in, by this request or before."""

    checked_in_at: Time
    again: Annotated[bool, Field(description="Whether it had been checked in before.")]

    @classmethod
    def of(cls, check_in: CheckIn) -> Self:
        """Show the booking."""
        return cls(**dict(ConfirmedResponse.model_validate(check_in.booking)), again=check_in.again)


class WaitingResponse(_BookingFields):
    """A booking in the waiting list."""

    status: Literal[Status.WAITING]
    at_least: Annotated[int, Field(description="The fewest tickets that the user takes.")]
    position: Annotated[int, Field(description="1 is the head of the list.")]
    position_is_estimate: Annotated[
        LeftOutIfNone[Literal[True]], Field(description="Present if fewer users may be ahead.")
    ] = None
    joined_at: Time

    @classmethod
    def of(cls, place: Booking | Entry, position: Position) -> Self:
        """Show a place in the waiting list."""
        return cls(
            status=Status.WAITING,
            booking_id=place.booking_id,
            event_id=place.event_id,
            user_id=place.user_id,
            quantity=place.quantity,
            at_least=place.at_least or 1,
            position=position.value,
            position_is_estimate=position.is_estimate or None,
            joined_at=place.joined_at or "",
        )


class CancelledResponse(_BookingFields):
    """A booking that was cancelled, by or for its user or with the event."""

    status: Literal[Status.CANCELLED]
    cancelled_at: Time
    cancelled_by: Annotated[Actor, Field(description="`event`: with the event, like all its bookings.")]
    was: Annotated[Literal[Status.HELD, Status.CONFIRMED, Status.WAITING], Field(description="The status before.")]


class ExpiredResponse(_BookingFields):
    """A booking whose hold or offer was not confirmed in time."""

    status: Literal[Status.EXPIRED]
    expired_at: Time


class TransferredResponse(_BookingFields):
    """A booking whose tickets are another user's now: theirs is a booking of its own."""

    status: Literal[Status.TRANSFERRED]
    transferred_at: Time
    transferred_to: Annotated[str, Field(description="The user who has the tickets now.")]
    transferred_by: Actor


BookingResponse = TypeAliasType(
    "BookingResponse",
    Annotated[
        HeldResponse | ConfirmedResponse | WaitingResponse | CancelledResponse | ExpiredResponse | TransferredResponse,
        Field(discriminator="status"),
    ],
)


class CountsResponse(EventResponse):
    """An event with its counts as they were at `asOf`."""

    as_of: Annotated[Time, Field(description="When the count began: at most a second before the request came.")]

    @classmethod
    def of_counts(cls, counts: Counts, **more: Any) -> Self:
        """Show an event as it was counted."""
        return cls.of(counts.availability, as_of=counts.as_of, **more)


class StatusResponse(CountsResponse):
    """An event with its counts and, if a user was named, their booking now: null if they never booked."""

    booking: BookingResponse | None = None

    @classmethod
    def with_booking(cls, counts: Counts, standing: Standing | None, **more: Any) -> Self:
        """Show an event as it was counted, and the booking as it is now."""
        return cls.of_counts(counts, booking=booking_response(standing) if standing else None, **more)


def booking_response(standing: Standing) -> BookingResponse:
    """Show a booking; one that waits is shown with its position."""
    match standing.booking.status:
        case Status.HELD:
            return HeldResponse.model_validate(standing.booking)
        case Status.EXPIRED:
            return ExpiredResponse.model_validate(standing.booking)
        case Status.CONFIRMED:
            return ConfirmedResponse.model_validate(standing.booking)
        case Status.TRANSFERRED:
            return TransferredResponse.model_validate(standing.booking)
        case Status.CANCELLED:
            return CancelledResponse.model_validate(standing.booking)
        case Status.WAITING:
            assert standing.position is not None, "a waiting booking has a position"
            return WaitingResponse.of(standing.booking, standing.position)


def location_of(booking: Booking) -> str:
    """Return the URL of a user's booking of an event."""
    return f"/bookings?userId={quote(booking.user_id, safe='')}&eventId={quote(booking.event_id, safe='')}"
