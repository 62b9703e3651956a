"""How GET /events/{eventId}/bookings is described."""

from dataclasses import replace
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from shared.edge import openapi, pages
from shared.edge.api import InvalidRequest
from shared.edge.caller import OrganisersOnly
from shared.model import EventNotFound, Status

app = APIGatewayHttpResolver()

REQUEST = pages.EventBookingsRequest.model_validate({"eventId": openapi.EVENT_ID})
PROMOTED = replace(openapi.ANNAS, joined_at=openapi.MOMENT, booked_at=openapi.CLOSES_AT, promoted_at=openapi.CLOSES_AT)
PAGE = pages.EventBookingsPage.of(REQUEST, [PROMOTED], (7, "anna"))


@openapi.describes(
    app,
    "GET /events/{eventId}/bookings",
    tag="organisers",
    answers={
        200: openapi.Answer(
            "A page of bookings; the last one has no `nextCursor`.", pages.EventBookingsPage, {"page": PAGE}
        ),
    },
    errors=[InvalidRequest, OrganisersOnly, EventNotFound],
)
def event_bookings(
    eventId: openapi.EventId,
    status: Annotated[Status | None, Query(description="Only bookings that have it.")] = None,
    limit: openapi.Limit = pages.LIMIT,
    cursor: openapi.Cursor = None,
) -> None:
    """List an event's bookings.

    For organisers. Lane by lane, cancelled ones too. A page may have fewer rows than `limit`, or none, and not be the
    last.
    """
