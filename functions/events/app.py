"""GET /events: the events, for organisers."""

from shared.booking import listing
from shared.edge import api, pages
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S
from shared.runtime import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Return a page of events, newest first."""
    request.caller.must_organise()
    asked = request.parameters_as(pages.EventsRequest)
    page = listing.events_opened(asked.limit, asked.cursor, Deadline.after(REQUEST_BUDGET_S))
    return api.respond(200, pages.EventsPage.of(asked, *page))
