"""GET /events: the events, for organisers."""

from aws_lambda_powertools.event_handler import Response

from shared import api, listing, pages
from shared.dynamodb import Deadline
from shared.model import REQUEST_BUDGET_S

app = api.resolver()


@app.get("/events")
def events() -> Response[str]:
    """Answer with a page of events, the newest first."""
    api.caller(app).must_organise()
    request = api.parameters_as(app, pages.EventsRequest)
    page = listing.events_opened(request.limit, request.cursor, Deadline.after(REQUEST_BUDGET_S))
    return api.answer(200, pages.EventsPage.of(request, *page))


handler = api.handler_of(app)
