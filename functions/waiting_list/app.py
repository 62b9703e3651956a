"""GET /events/{eventId}/waiting-list: the waiting users of an event, for organisers."""

from shared.booking import listing
from shared.booking.catalog import read_event
from shared.edge import api, pages
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S
from shared.runtime import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Return a page of the waiting list, in order."""
    request.caller.must_organise()
    asked = request.parameters_as(pages.WaitingListRequest)
    deadline = Deadline.after(REQUEST_BUDGET_S)
    event = read_event(asked.event_id, deadline)
    page = listing.waiting_for(event, asked.limit, asked.cursor, deadline)
    return api.respond(200, pages.WaitingListPage.of(asked, *page))
