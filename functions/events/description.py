"""How GET /events is described."""

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from shared.edge import openapi, pages
from shared.edge.api import InvalidRequest
from shared.edge.caller import OrganisersOnly

app = APIGatewayHttpResolver()

EVENTS = [openapi.CONCERT, openapi.BOUNDED]
PAGE = pages.EventsPage.of(pages.EventsRequest(), EVENTS, (openapi.MOMENT, openapi.EVENT_ID))


@openapi.describes(
    app,
    "GET /events",
    tag="organisers",
    answers={
        200: openapi.Answer("A page of events; the last one has no `nextCursor`.", pages.EventsPage, {"page": PAGE}),
    },
    errors=[InvalidRequest, OrganisersOnly],
)
def events(limit: openapi.Limit = pages.LIMIT, cursor: openapi.Cursor = None) -> None:
    """List the events, the newest first.

    For organisers. As they were last set, without counts: those are in the status of each.
    """
