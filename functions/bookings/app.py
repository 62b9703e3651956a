"""GET /bookings: a user's claims, over all events or on one."""

from shared import api, listing, pages
from shared.api import Request, Response
from shared.dynamodb import Deadline
from shared.model import REQUEST_BUDGET_S


@api.handler
def handler(request: Request) -> Response:
    """Answer with a page of the user's claims, the newest first; with an event, with their claim on it, if any."""
    asked = request.parameters_as(pages.BookingsRequest)
    request.caller.must_be_or_organise(asked.user_id)
    deadline = Deadline.after(REQUEST_BUDGET_S)
    if asked.event_id is not None:
        page = listing.claim_on(asked.user_id, asked.event_id, deadline)
    else:
        page = listing.claims_of(asked.user_id, asked.limit, asked.cursor, deadline)
    return api.answer(200, pages.BookingsPage.of(asked, *page))
