"""GET /events/{eventId}/bookings: the bookings of an event, for organisers."""

from shared.booking import listing
from shared.booking.catalog import read_event
from shared.edge import api, pages
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S
from shared.runtime import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Return a page of the event's bookings, or of those with the status that the request names."""
    request.caller.must_organise()
    asked = request.parameters_as(pages.EventBookingsRequest)
    deadline = Deadline.after(REQUEST_BUDGET_S)
    event = read_event(asked.event_id, deadline)
    page = listing.bookings_of_event(event, asked.status, asked.limit, asked.cursor, deadline)
    return api.respond(200, pages.EventBookingsPage.of(asked, *page))
