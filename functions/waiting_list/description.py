"""How GET /events/{eventId}/waiting-list is described."""

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from shared.edge import openapi, pages
from shared.edge.api import InvalidRequest
from shared.edge.caller import OrganisersOnly
from shared.model import Entry, EventNotFound, Position

app = APIGatewayHttpResolver()

REQUEST = pages.WaitingListRequest.model_validate({"eventId": openapi.EVENT_ID})
HEAD = Entry(openapi.EVENT_ID, 12, "anna", openapi.BOOKING_ID, openapi.MOMENT)
PAGE = pages.WaitingListPage.of(REQUEST, [(HEAD, Position(1))], (12, 1))


@openapi.describes(
    app,
    "GET /events/{eventId}/waiting-list",
    tag="organisers",
    answers={
        200: openapi.Answer(
            "A page of those who wait; the last one has no `nextCursor`.", pages.WaitingListPage, {"page": PAGE}
        ),
    },
    errors=[InvalidRequest, OrganisersOnly, EventNotFound],
)
def waiting_list(eventId: openapi.EventId, limit: openapi.Limit = pages.LIMIT, cursor: openapi.Cursor = None) -> None:
    """List who waits for an event, in the order of the list.

    For organisers. Positions are counted on the first page, and estimates behind it.
    """
