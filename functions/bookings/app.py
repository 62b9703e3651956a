"""GET /bookings: a user's bookings, of all events or of one."""

from shared.booking import listing
from shared.edge import api, pages
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S
from shared.runtime import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Return a page of the user's bookings, newest first; if an event is named, only their booking of it."""
    asked = request.parameters_as(pages.BookingsRequest)
    request.caller.must_be_allowed_to_read(asked.user_id)
    deadline = Deadline.after(REQUEST_BUDGET_S)
    if asked.event_id is not None:
        page = listing.booking_of_user(asked.user_id, asked.event_id, deadline)
    else:
        page = listing.bookings_of_user(asked.user_id, asked.limit, asked.cursor, deadline)
    return api.respond(200, pages.BookingsPage.of(asked, *page))
