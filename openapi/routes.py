"""The routes of the API as its description shows them, in this order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from openapi import examples
from openapi.errors import JSON
from shared.edge import contract, pages
from shared.edge.api import IDEMPOTENCY_KEY, BodyTooLarge, InvalidRequest, MalformedJson, UnsupportedEncoding
from shared.edge.caller import DoorOnly, NotSignedIn, NotYourBooking, OrganisersOnly
from shared.edge.contract import EventResponse, ResponseModel, booking_response
from shared.model import (
    IDEMPOTENCY_KEY_LENGTH_MAX,
    Availability,
    BookingCancelled,
    BookingChanged,
    BookingNotFound,
    BookingTransferred,
    CheckedIn,
    Counts,
    EventCancelled,
    EventChanged,
    EventNotFound,
    HoldExpired,
    IdempotencyKeyReused,
    NotConfirmed,
    NotHeld,
    NotOnSale,
    Position,
    RecipientHasBooking,
    ShopOnly,
    TicketsBooked,
    TooFewTickets,
    WaitingListFull,
)
from shared.version import VERSION

TAGS: Final = {
    "organisers": "Open events, change them, and see who booked.",
    "buyers": "Book, confirm, cancel, transfer, and see bookings.",
    "door": "Let bookings in.",
    "description": "The API itself.",
}


class Health(ResponseModel):
    """A sign of life, for uptime monitors."""

    status: Literal["ok"]
    version: Annotated[str, Field(description="The version of the office.")]


TicketResponse = TypeAliasType(
    "TicketResponse",
    Annotated[contract.HeldResponse | contract.ConfirmedResponse, Field(discriminator="status")],
)


@dataclass(frozen=True)
class Success:
    """A response that is not an error: when it is returned, its model, examples by name, headers by name."""

    when: str
    model: Any
    examples: Mapping[str, BaseModel] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = JSON


@dataclass(frozen=True)
class Route:
    """A route, `route` as in the template, with the models that its handler reads and its possible responses.

    `errors` are those of the route only: document.py adds those that every route has. A `public` route takes no token
    and reads no database.
    """

    route: str
    name: str
    tag: str
    summary: str
    description: str
    responses: Mapping[int, Success]
    errors: tuple[type[Exception], ...] = ()
    parameters: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    bodies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # examples by name
    headers: tuple[Mapping[str, Any], ...] = ()
    public: bool = False


_BODY: Final = (MalformedJson, BodyTooLarge, UnsupportedEncoding, InvalidRequest)  # of every route that reads a body
_NAMED_BOOKING: Final = (  # of every route whose body names a booking that must still be there
    *(EventNotFound, BookingNotFound, BookingChanged),
    *(BookingCancelled, HoldExpired, BookingTransferred),
)
_LOCATION: Final = {"Location": "The user's booking of the event: `/bookings?userId={userId}&eventId={eventId}`."}
_ETAG: Final = {"ETag": "The event's revision, for `If-Match`. Every change increases it; bookings do not."}
_CACHED: Final = {"Cache-Control": "How long it may be cached."}
_CONCERT: Final = {"name": "The concert", "totalTickets": 500}
_LIMITS: Final = {
    "opensAt": "2030-05-02T10:00:00+02:00",
    "closesAt": "2030-06-01T20:00:00+02:00",
    "waitingListLimit": 200,
}
_HOLDS: Final = {"holdSeconds": 1800, "offerSeconds": 86400, "confirmedBy": "shop"}
_GROUPS: Final = {"ticketsPerBooking": 6}
_ANNA: Final = {"userId": "anna", "eventId": examples.EVENT_ID}
_THIS_BOOKING: Final = {**_ANNA, "bookingId": examples.BOOKING_ID}


def _header(name: str, description: str, example: str, **schema: Any) -> dict[str, Any]:
    about = {"description": description, "example": example}
    return {"name": name, "in": "header", "required": False, **about, "schema": {"type": "string", **schema}}


_IDEMPOTENCY_KEY: Final = _header(
    "Idempotency-Key",
    "Chosen by the caller, and sent once. The same key with the same body returns the same response.",
    examples.IDEMPOTENCY_KEY,
    minLength=1,
    maxLength=IDEMPOTENCY_KEY_LENGTH_MAX,
    pattern=IDEMPOTENCY_KEY,
)
_IF_MATCH: Final = _header(
    "If-Match", "The `ETag` of the event as you have read it. If it was changed since, the response is 412.", "*"
)
_CACHE_CONTROL: Final = _header(
    "Cache-Control",
    "`no-cache` asks for a new count. A function makes one at most once a second for an event.",
    "no-cache",
)
_LEFT: Final = Availability(examples.CANCELLED_EVENT, 500, 120, 0)
_CONFIRMED, _PAID, _WAITING = map(booking_response, (examples.CONFIRMED, examples.PAID, examples.WAITING))
_HELD, _OFFERED = map(booking_response, (examples.HELD, examples.OFFERED))
_CANCELLED = booking_response(examples.CANCELLED)
_TRANSFERRED = booking_response(examples.TRANSFERRED)
_GROUP, _FEWER, _WANTS_FEWER = map(booking_response, (examples.GROUP, examples.FEWER, examples.WANTS_FEWER))
_OF_ANNA: Final = pages.BookingsRequest.model_validate({"userId": "anna"})
_BOOKINGS: Final = pages.BookingsPage.of(
    _OF_ANNA,
    [
        (examples.EVENT, examples.WAITING),
        (examples.LIMITED, examples.CONFIRMED),
        (examples.WITH_HOLDS, examples.OFFERED),
        (examples.WITH_HOLDS, examples.EXPIRED),
    ],
    (examples.NOW, f"{examples.EVENT_ID}#7"),
)
_COUNTED: Final = Counts(examples.HALF_SOLD, examples.NOW)
_WITH_BOOKINGS: Final = {
    f"with {name}": contract.StatusResponse.with_booking(_COUNTED, standing)
    for name, standing in (
        ("userId", examples.CONFIRMED),
        ("a hold", examples.HELD),
        ("an offer", examples.OFFERED),
        ("an expired hold", examples.EXPIRED),
    )
}
_OF_EVENT: Final = {"eventId": examples.EVENT_ID}

ROUTES: Final = (
    Route(
        "POST /initialize",
        "initialize",
        "organisers",
        "Open an event",
        "For organisers. The event is on sale at once, or from `opensAt` until `closesAt`. With `holdSeconds`, buyers"
        " hold tickets for that long, and each hold is confirmed or expires; with `offerSeconds`, so do users who get a"
        " ticket from the waiting list. A booking has up to `ticketsPerBooking` tickets, by default one. With an"
        " `Idempotency-Key`, a repeated request does not open a second event.",
        {
            201: Success(
                "The event is open. A repeated request with the same `Idempotency-Key` returns the same.",
                EventResponse,
                {
                    "opened": EventResponse.of_new(examples.EVENT),
                    "limited": EventResponse.of_new(examples.LIMITED),
                    "with holds": EventResponse.of_new(examples.WITH_HOLDS),
                    "for groups": EventResponse.of_new(examples.FOR_GROUPS),
                },
                {"Location": "The status of the event: `/status/{eventId}`.", **_ETAG},
            )
        },
        (*_BODY, OrganisersOnly, IdempotencyKeyReused),
        body=contract.InitializeRequest,
        bodies={
            "concert": _CONCERT,
            "limited": {**_CONCERT, **_LIMITS},
            "with holds": {**_CONCERT, **_HOLDS},
            "for groups": {**_CONCERT, **_GROUPS},
        },
        headers=(_IDEMPOTENCY_KEY,),
    ),
    Route(
        "GET /events",
        "events",
        "organisers",
        "List the events",
        "For organisers. Newest first. The counts of an event are in its status.",
        {
            200: Success(
                "A page of events; the last page has no `nextCursor`.",
                pages.EventsPage,
                {
                    "page": pages.EventsPage.of(
                        pages.EventsRequest(), [examples.EVENT, examples.LIMITED], (examples.NOW, examples.EVENT_ID)
                    )
                },
            )
        },
        (InvalidRequest, OrganisersOnly),
        parameters=pages.EventsRequest,
    ),
    Route(
        "GET /events/{eventId}/bookings",
        "eventBookings",
        "organisers",
        "List an event's bookings",
        "For organisers. Includes bookings that have ended. A page may have fewer rows than `limit`, or none, without"
        " being the last.",
        {
            200: Success(
                "A page of bookings; the last page has no `nextCursor`.",
                pages.EventBookingsPage,
                {
                    "page": pages.EventBookingsPage.of(
                        pages.EventBookingsRequest.model_validate(_OF_EVENT), [examples.PROMOTED], (7, "anna")
                    )
                },
            )
        },
        (InvalidRequest, OrganisersOnly, EventNotFound),
        parameters=pages.EventBookingsRequest,
    ),
    Route(
        "GET /events/{eventId}/waiting-list",
        "waitingList",
        "organisers",
        "List an event's waiting users",
        "For organisers. In the order of the list. Positions are exact on the first page and estimates on the others.",
        {
            200: Success(
                "A page of the waiting list; the last page has no `nextCursor`.",
                pages.WaitingListPage,
                {
                    "page": pages.WaitingListPage.of(
                        pages.WaitingListRequest.model_validate(_OF_EVENT), [(examples.HEAD, Position(1))], (12, 1)
                    )
                },
            )
        },
        (InvalidRequest, OrganisersOnly, EventNotFound),
        parameters=pages.WaitingListRequest,
    ),
    Route(
        "PATCH /events/{eventId}",
        "change",
        "organisers",
        "Change an event",
        "For organisers. Sets the fields that the body names; `null` removes a time or the limit. New tickets go to the"
        " waiting list first, and on sale if nobody waits any more; only free tickets are taken away. Safe to repeat.",
        {200: Success("The event as it is now.", EventResponse, {"changed": EventResponse.of(examples.RAISED)}, _ETAG)},
        (*_BODY, OrganisersOnly, EventNotFound, EventCancelled, EventChanged, TicketsBooked),
        parameters=contract.EventPath,
        body=contract.ChangeRequest,
        bodies={
            "more tickets": {"totalTickets": 600},
            "limits": {"closesAt": "2030-06-01T20:00:00+02:00", "waitingListLimit": None},
        },
        headers=(_IF_MATCH,),
    ),
    Route(
        "POST /events/{eventId}/cancel",
        "cancelEvent",
        "organisers",
        "Cancel an event",
        "For organisers. This cannot be undone. After the response, no tickets and no places in the waiting list are"
        " given out, and all bookings are cancelled in the background. `emptiedAt` is set when that is done. Safe to"
        " repeat.",
        {
            200: Success(
                "The event and all its bookings were already cancelled.",
                EventResponse,
                {"emptied": EventResponse.of_new(examples.EMPTIED)},
            ),
            202: Success(
                "The event is cancelled, and its bookings are being cancelled.",
                EventResponse,
                {"cancelled": EventResponse.of(_LEFT)},
            ),
        },
        (InvalidRequest, OrganisersOnly, EventNotFound),
        parameters=contract.EventPath,
    ),
    Route(
        "POST /book",
        "book",
        "buyers",
        "Book or hold tickets, or join the waiting list",
        "For the user and shops. A booking has all of its `quantity`, or fewer but not fewer than `atLeast`, or is"
        " refused; on a sold-out event it waits, strictly in order, until there are `atLeast`. If the event has"
        " `holdSeconds`, the tickets are held until `expiresAt`: `POST /confirm` makes them final. Safe to repeat: a"
        " user with an active booking gets that booking, with its own `quantity`, even if the event is no longer on"
        " sale.",
        {
            200: Success(
                "The user already has an active booking: that booking as it is now.",
                contract.BookingResponse,
                {"confirmed": _CONFIRMED, "waiting": _WAITING, "held": _HELD, "offered": _OFFERED},
                _LOCATION,
            ),
            201: Success(
                "The user has the tickets, or holds them until `expiresAt`.",
                TicketResponse,
                {"confirmed": _CONFIRMED, "held": _HELD, "several": _GROUP},
                _LOCATION,
            ),
            202: Success(
                "Sold out: the user is in the waiting list.",
                contract.WaitingResponse,
                {"waiting": _WAITING},
                _LOCATION,
            ),
        },
        (*_BODY, NotYourBooking, EventNotFound, EventCancelled, NotOnSale, TooFewTickets, WaitingListFull),
        body=contract.BookRequest,
        bodies={"anna": _ANNA, "several": {**_ANNA, "quantity": 4, "atLeast": 2}},
    ),
    Route(
        "POST /confirm",
        "confirm",
        "buyers",
        "Confirm a hold or an offer",
        "For shops; for the user only if the event has `confirmedBy: buyer`. The tickets are then the user's until they"
        " are cancelled. A hold can be confirmed until it has expired, which happens up to two minutes after"
        " `expiresAt`. Safe to repeat: a booking that is confirmed already stays as it is, with its `reference`.",
        {
            200: Success(
                "The booking is confirmed, now or before.",
                contract.ConfirmedResponse,
                {"confirmed": _PAID, "without reference": _CONFIRMED},
            )
        },
        (*_BODY, NotYourBooking, ShopOnly, *_NAMED_BOOKING, NotHeld),
        body=contract.ConfirmRequest,
        bodies={"paid": {**_THIS_BOOKING, "reference": examples.REFERENCE}, "without reference": _THIS_BOOKING},
    ),
    Route(
        "GET /status/{eventId}",
        "status",
        "buyers",
        "Get an event's counts and a user's booking",
        "For every signed-in caller; with `userId`, for that user, shops and organisers. If the office is deployed with"
        " `PublicStatus`, this route takes no token and refuses `userId` (403 `not-signed-in`).",
        {
            200: Success(
                "The event as of `asOf`; with `userId` also `booking` as it is now, null if the user never booked.",
                contract.StatusResponse,
                {
                    "event": contract.CountsResponse.of_counts(_COUNTED),
                    "at the door": contract.CountsResponse.of_counts(_COUNTED, checked_in_tickets=42),
                    **_WITH_BOOKINGS,
                    "cancelled": contract.CountsResponse.of_counts(Counts(_LEFT, examples.CLOSES_AT)),
                },
                {**_ETAG, "Cache-Control": "`public, max-age=1`; with `userId`, `private, no-store`."},
            )
        },
        (InvalidRequest, NotSignedIn, NotYourBooking, EventNotFound),
        parameters=contract.StatusRequest,
        headers=(_CACHE_CONTROL,),
    ),
    Route(
        "GET /bookings",
        "bookings",
        "buyers",
        "List a user's bookings",
        "For the user, shops and organisers. Newest first, of all events or of one. A waiting booking has its position."
        " A page may have fewer rows than `limit` without being the last.",
        {
            200: Success(
                "A page of bookings; the last page has no `nextCursor`.",
                pages.BookingsPage,
                {"page": _BOOKINGS, "none": pages.BookingsPage.of(_OF_ANNA, [], None)},
            )
        },
        (InvalidRequest, NotYourBooking, EventNotFound),
        parameters=pages.BookingsRequest,
    ),
    Route(
        "POST /cancel",
        "cancel",
        "buyers",
        "Cancel a booking, or reduce it",
        "For the user, shops and organisers. Returns the tickets, held or confirmed, which go to the next users in"
        " line; or leaves the waiting list. With `keep`, the booking keeps that many tickets and returns the others; a"
        " waiting one keeps its place and asks for that many. A booking that was checked in stays. Safe to repeat: a"
        " booking that has ended, or has no more than `keep` tickets, stays as it is. With a `bookingId`, only that"
        " booking is cancelled, so a late repetition leaves a newer one alone.",
        {
            200: Success(
                "The booking as it is now: cancelled, now or before; ended in another way; or, with `keep`, with at"
                " most that many tickets.",
                contract.BookingResponse,
                {
                    "cancelled": _CANCELLED,
                    "expired": booking_response(examples.EXPIRED),
                    "transferred": _TRANSFERRED,
                    "fewer": _FEWER,
                    "fewer wanted": _WANTS_FEWER,
                },
            )
        },
        (*_BODY, NotYourBooking, EventNotFound, BookingNotFound, BookingChanged, CheckedIn),
        body=contract.CancelRequest,
        bodies={"current": _ANNA, "by id": _THIS_BOOKING, "keep some": {**_THIS_BOOKING, "keep": 2}},
    ),
    Route(
        "POST /transfer",
        "transfer",
        "buyers",
        "Transfer a booking to another user",
        "For the user, shops and organisers. The confirmed tickets become those of `toUserId`, who gets a booking of"
        " their own with the same `reference`; no user in line is passed. `toUserId` must have no active booking of the"
        " event: a user who waits would lose the place. Safe to repeat: a booking is transferred once.",
        {
            200: Success(
                "The booking is transferred to this user, now or before.",
                contract.TransferredResponse,
                {"transferred": _TRANSFERRED},
            )
        },
        (*_BODY, NotYourBooking, *_NAMED_BOOKING, EventCancelled, NotConfirmed, CheckedIn, RecipientHasBooking),
        body=contract.TransferRequest,
        bodies={"to ben": {**_THIS_BOOKING, "toUserId": "ben"}},
    ),
    Route(
        "POST /check-in",
        "checkIn",
        "door",
        "Check a booking in",
        "For the door, shops and organisers. Marks a confirmed booking as used, with all its tickets, once: of all"
        " requests, one is told `again: false`. From then on, only the cancellation of the event ends the booking. Safe"
        " to repeat: the response has the first `checkedInAt`.",
        {
            200: Success(
                "The booking is checked in: now, or `again` if it was before.",
                contract.CheckInResponse,
                {
                    "first": contract.CheckInResponse.of(examples.CHECKED_IN),
                    "again": contract.CheckInResponse.of(examples.CHECKED_IN_AGAIN),
                },
            )
        },
        (*_BODY, DoorOnly, *_NAMED_BOOKING, EventCancelled, NotConfirmed),
        body=contract.CheckInRequest,
        bodies={"anna": _THIS_BOOKING},
    ),
    Route(
        "GET /openapi.json",
        "description",
        "description",
        "Get this description",
        "Public; no token needed.",
        {200: Success("The description, as OpenAPI 3.1.", dict[str, Any], headers=_CACHED)},
        public=True,
    ),
    Route(
        "GET /docs",
        "docs",
        "description",
        "Show this description as a page",
        'Public; no token needed. The page sends requests, too: give it a token under "Authorize".',
        {200: Success("The page.", str, headers=_CACHED, media_type="text/html")},
        public=True,
    ),
    Route(
        "GET /health",
        "health",
        "description",
        "Check that the office responds",
        "Public; no token needed. For uptime monitors: reads no database. `HEAD` works, too, as on the other public"
        " routes.",
        {200: Success("Requests arrive.", Health, {"healthy": Health(status="ok", version=VERSION)})},
        public=True,
    ),
)
