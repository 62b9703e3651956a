"""The nouns that the examples of the API description show."""

from dataclasses import replace
from typing import Final

from shared.edge.api import InvalidRequest
from shared.model import (
    Actor,
    Availability,
    Booking,
    BookingCancelled,
    BookingTransferred,
    CheckedIn,
    CheckIn,
    Entry,
    Event,
    EventCancelled,
    HoldExpired,
    NotOnSale,
    Position,
    Rules,
    Standing,
    Status,
    Terms,
    TicketOfficeError,
    TicketsBooked,
    TooFewTickets,
    WaitingListFull,
)

IDEMPOTENCY_KEY: Final = "opening-night"
# The id that an open office gives to the event of this key, so the examples of /docs work one after the other.
EVENT_ID: Final = "5751a70c-1218-5e16-829f-0b051b72445c"
PARAMETERS: Final = {"eventId": EVENT_ID, "userId": "anna"}
BOOKING_ID: Final = "f3d4f0a4-0c3e-4e0a-8b0c-5d2d2a1b7e01"
NOW: Final = "2030-05-01T18:00:00.000Z"
OPENS_AT, CLOSES_AT = "2030-05-02T08:00:00.000Z", "2030-06-01T18:00:00.000Z"
EXPIRES_AT, EXPIRED_AT = "2030-05-01T18:30:00.000Z", "2030-05-01T18:30:41.000Z"
PROMOTED_AT, OFFER_EXPIRES_AT = "2030-05-03T09:00:00.000Z", "2030-05-04T09:00:00.000Z"
REFERENCE: Final = "payment-4711"

_TERMS: Final = Terms("The concert", total_tickets=500)
_LIMITS: Final = replace(_TERMS, opens_at=OPENS_AT, closes_at=CLOSES_AT, waiting_list_limit=200, venue="Town hall")
EVENT: Final = Event(EVENT_ID, _TERMS, lanes=10, stripes=2, created_at=NOW, request_fingerprint="")
LIMITED: Final = replace(EVENT, terms=_LIMITS)
WITH_HOLDS: Final = replace(EVENT, rules=Rules(hold_seconds=1_800, offer_seconds=86_400, confirmed_by=Actor.SHOP))
FOR_GROUPS: Final = replace(EVENT, rules=Rules(tickets_per_booking=6))
CANCELLED_EVENT: Final = replace(EVENT, cancelled_at=CLOSES_AT)
EMPTIED: Final = replace(CANCELLED_EVENT, emptied_at="2030-06-01T18:00:09.000Z")
HALF_SOLD: Final = Availability(EVENT, 500, available_tickets=120, waiting_list_count=0)
_MORE: Final = replace(_LIMITS, total_tickets=600)
RAISED: Final = Availability(replace(LIMITED, terms=_MORE), 600, available_tickets=220, waiting_list_count=0)

_CONFIRMED: Final = Booking(EVENT_ID, "anna", BOOKING_ID, generation=1, status=Status.CONFIRMED, booked_at=NOW)
CONFIRMED: Final = Standing(_CONFIRMED)
WAITING: Final = Standing(replace(_CONFIRMED, status=Status.WAITING, booked_at=None, joined_at=NOW), Position(3))
CANCELLED: Final = Standing(
    replace(_CONFIRMED, status=Status.CANCELLED, cancelled_at=OPENS_AT, cancelled_by=Actor.BUYER)
)
_HELD: Final = replace(_CONFIRMED, status=Status.HELD, booked_at=None, held_at=NOW, expires_at=EXPIRES_AT)
HELD: Final = Standing(_HELD)
OFFERED: Final = Standing(
    replace(_HELD, joined_at=NOW, promoted_at=PROMOTED_AT, held_at=PROMOTED_AT, expires_at=OFFER_EXPIRES_AT)
)
EXPIRED: Final = Standing(replace(_HELD, status=Status.EXPIRED, expires_at=None, expired_at=EXPIRED_AT))
PAID: Final = Standing(replace(_CONFIRMED, held_at=NOW, booked_at="2030-05-01T18:04:05.000Z", reference=REFERENCE))
TRANSFERRED_AT: Final = "2030-05-20T09:30:00.000Z"
TRANSFERRED: Final = Standing(
    replace(
        PAID.booking,
        status=Status.TRANSFERRED,
        transferred_at=TRANSFERRED_AT,
        transferred_to="ben",
        transferred_by=Actor.BUYER,
    )
)
CHECKED_IN_AT: Final = "2030-06-02T17:41:09.500Z"
_CHECKED_IN: Final = replace(PAID.booking, checked_in_at=CHECKED_IN_AT, checked_in_by=Actor.DOOR)
CHECKED_IN: Final = CheckIn(_CHECKED_IN, again=False)
CHECKED_IN_AGAIN: Final = CheckIn(_CHECKED_IN, again=True)
GROUP: Final = Standing(replace(_CONFIRMED, quantity=4))
FEWER: Final = Standing(replace(_CONFIRMED, quantity=2, reduced_at=OPENS_AT))
WANTS_FEWER: Final = replace(WAITING, booking=replace(WAITING.booking, quantity=2, at_least=2, reduced_at=OPENS_AT))
PROMOTED: Final = replace(
    _CONFIRMED,
    joined_at=NOW,
    promoted_at=PROMOTED_AT,
    held_at=PROMOTED_AT,
    booked_at="2030-05-03T20:15:00.000Z",
    reference=REFERENCE,
    booked_by=Actor.BUYER,
    confirmed_by=Actor.SHOP,
)
HEAD: Final = Entry(EVENT_ID, 12, "anna", BOOKING_ID, NOW)

# For each error with more members than every problem has, an example with all of them.
ERRORS: Final[dict[type[Exception], TicketOfficeError]] = {
    InvalidRequest: InvalidRequest([{"field": "userId", "detail": "Field required"}]),
    NotOnSale: NotOnSale(EVENT_ID, OPENS_AT, CLOSES_AT),
    TooFewTickets: TooFewTickets(EVENT_ID, available=2),
    WaitingListFull: WaitingListFull(EVENT_ID, limit=200),
    EventCancelled: EventCancelled(EVENT_ID, NOW),
    BookingCancelled: BookingCancelled(EVENT_ID, BOOKING_ID, NOW),
    BookingTransferred: BookingTransferred(EVENT_ID, BOOKING_ID, TRANSFERRED_AT, REFERENCE),
    CheckedIn: CheckedIn(EVENT_ID, BOOKING_ID, CHECKED_IN_AT),
    HoldExpired: HoldExpired(EVENT_ID, BOOKING_ID, EXPIRED_AT),
    TicketsBooked: TicketsBooked(EVENT_ID, total=500, booked=380),
}
