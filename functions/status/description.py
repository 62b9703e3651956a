"""How GET /status/{eventId} is described."""

from dataclasses import replace

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from shared.edge import contract, openapi
from shared.edge.api import InvalidRequest
from shared.edge.caller import NotSignedIn, NotYourBooking
from shared.model import EventNotFound

app = APIGatewayHttpResolver()

CANCELLED = replace(openapi.BOUNDED, cancelled_at=openapi.CLOSES_AT)
WITH_BOOKING = contract.StatusAnswer(**openapi.EVENT.model_dump(), booking=openapi.CONFIRMED)


@openapi.describes(
    app,
    "GET /status/{eventId}",
    tag="buyers",
    answers={
        200: openapi.Answer(
            "The event as it is now; with `userId` also `booking`, null for who never booked.",
            contract.StatusAnswer | contract.EventAnswer,
            {"event": openapi.EVENT, "with userId": WITH_BOOKING, "cancelled": contract.EventAnswer.of_new(CANCELLED)},
        ),
    },
    errors=[InvalidRequest, NotSignedIn, NotYourBooking, EventNotFound],
)
def status(eventId: openapi.EventId, userId: openapi.OptionalUserId = None) -> None:
    """Say what is left, how many wait, and where one user stands.

    Whoever has a token may ask about an event, the user themself and organisers about a booking. Where the office was
    deployed with `PublicStatus` it takes no token, and no `userId` (401 `not-signed-in`).
    """
