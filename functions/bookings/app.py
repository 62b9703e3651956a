"""GET /bookings: a user's claims, over all events or on one."""

from aws_lambda_powertools.event_handler import Response

from shared import api, listing, pages
from shared.dynamodb import Deadline
from shared.model import REQUEST_BUDGET_S

app = api.resolver()


@app.get("/bookings")
def bookings() -> Response[str]:
    """Answer with a page of the user's claims, the newest first; with an event, with their claim on it, if any."""
    request = api.parameters_as(app, pages.BookingsRequest)
    api.caller(app).must_be_or_organise(request.user_id)
    deadline = Deadline.after(REQUEST_BUDGET_S)
    if request.event_id is not None:
        page = listing.claim_on(request.user_id, request.event_id, deadline)
    else:
        page = listing.claims_of(request.user_id, request.limit, request.cursor, deadline)
    return api.answer(200, pages.BookingsPage.of(request, *page))


handler = api.handler_of(app)
