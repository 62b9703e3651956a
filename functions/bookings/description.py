"""How GET /bookings is described."""

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from shared.edge import openapi, pages
from shared.edge.api import InvalidRequest
from shared.edge.caller import NotYourBooking
from shared.model import EventNotFound, Position, Standing

app = APIGatewayHttpResolver()

REQUEST = pages.BookingsRequest.model_validate({"userId": "anna"})
BOOKINGS = [(openapi.CONCERT, Standing(openapi.ANNA_WAITS, Position(3))), (openapi.BOUNDED, Standing(openapi.ANNAS))]
PAGE = pages.BookingsPage.of(REQUEST, BOOKINGS, (openapi.MOMENT, f"{openapi.EVENT_ID}#7"))


@openapi.describes(
    app,
    "GET /bookings",
    tag="buyers",
    answers={
        200: openapi.Answer(
            "A page of bookings; the last one has no `nextCursor`.",
            pages.BookingsPage,
            {"page": PAGE, "none": pages.BookingsPage.of(REQUEST, [], None)},
        ),
    },
    errors=[InvalidRequest, NotYourBooking, EventNotFound],
)
def bookings(
    userId: openapi.UserId,
    eventId: openapi.OptionalEventId = None,
    limit: openapi.Limit = pages.LIMIT,
    cursor: openapi.Cursor = None,
) -> None:
    """List a user's bookings, the newest first.

    For the user themself and organisers. Over all events, or on one: that is where the `Location` of a booking leads.
    Who waits has their position here. A page may have fewer rows than `limit` and not be the last.
    """
