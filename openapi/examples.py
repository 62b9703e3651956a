"""The nouns that the examples of the API description show."""

from dataclasses import replace
from typing import Final

from shared.edge.api import InvalidRequest
from shared.model import (
    Availability,
    Booking,
    Entry,
    Event,
    EventCancelled,
    NotOnSale,
    Position,
    Standing,
    Status,
    Terms,
    TicketOfficeError,
    TicketsBooked,
    WaitingListFull,
)

IDEMPOTENCY_KEY: Final = "opening-night"
# The id that an open office gives to the event of this key, so the examples of /docs work one after the other.
EVENT_ID: Final = "5751a70c-1218-5e16-829f-0b051b72445c"
PARAMETERS: Final = {"eventId": EVENT_ID, "userId": "anna"}
BOOKING_ID: Final = "f3d4f0a4-0c3e-4e0a-8b0c-5d2d2a1b7e01"
NOW: Final = "2030-05-01T18:00:00.000Z"
OPENS_AT, CLOSES_AT = "2030-05-02T08:00:00.000Z", "2030-06-01T18:00:00.000Z"

_TERMS: Final = Terms("The concert", total_tickets=500)
_LIMITS: Final = replace(_TERMS, opens_at=OPENS_AT, closes_at=CLOSES_AT, waiting_list_limit=200, venue="Town hall")
EVENT: Final = Event(EVENT_ID, _TERMS, lanes=10, stripes=2, created_at=NOW, request_fingerprint="")
LIMITED: Final = replace(EVENT, terms=_LIMITS)
CANCELLED_EVENT: Final = replace(EVENT, cancelled_at=CLOSES_AT)
EMPTIED: Final = replace(CANCELLED_EVENT, emptied_at="2030-06-01T18:00:09.000Z")
HALF_SOLD: Final = Availability(EVENT, 500, available_tickets=120, waiting_list_count=0)
_MORE: Final = replace(_LIMITS, total_tickets=600)
RAISED: Final = Availability(replace(LIMITED, terms=_MORE), 600, available_tickets=220, waiting_list_count=0)

_CONFIRMED: Final = Booking(EVENT_ID, "anna", BOOKING_ID, generation=1, status=Status.CONFIRMED, booked_at=NOW)
CONFIRMED: Final = Standing(_CONFIRMED)
WAITING: Final = Standing(replace(_CONFIRMED, status=Status.WAITING, booked_at=None, joined_at=NOW), Position(3))
CANCELLED: Final = Standing(replace(_CONFIRMED, status=Status.CANCELLED, cancelled_at=NOW))
PROMOTED: Final = replace(_CONFIRMED, joined_at=NOW, booked_at=CLOSES_AT, promoted_at=CLOSES_AT)
HEAD: Final = Entry(EVENT_ID, 12, "anna", BOOKING_ID, NOW)

# For each error with more members than every problem has, an example with all of them.
ERRORS: Final[dict[type[Exception], TicketOfficeError]] = {
    InvalidRequest: InvalidRequest([{"field": "userId", "detail": "Field required"}]),
    NotOnSale: NotOnSale(EVENT_ID, OPENS_AT, CLOSES_AT),
    WaitingListFull: WaitingListFull(EVENT_ID, limit=200),
    EventCancelled: EventCancelled(EVENT_ID, NOW),
    TicketsBooked: TicketsBooked(EVENT_ID, total=500, booked=380),
}
