"""GET /events/{eventId}/bookings: who has booked, for organisers."""

from aws_lambda_powertools.event_handler import Response

from shared import api, listing, pages
from shared.dynamodb import Deadline
from shared.events import read_event
from shared.model import REQUEST_BUDGET_S

app = api.resolver()


@app.get("/events/<event_id>/bookings")
def event_bookings(**_path: str) -> Response[str]:
    """Answer with a page of the event's bookings, of one status if the request names it."""
    api.caller(app).must_organise()
    request = api.parameters_as(app, pages.EventBookingsRequest)
    deadline = Deadline.after(REQUEST_BUDGET_S)
    event = read_event(request.event_id, deadline)
    page = listing.bookings_of(event, request.status, request.limit, request.cursor, deadline)
    return api.answer(200, pages.EventBookingsPage.of(request, *page))


handler = api.handler_of(app)
