"""GET /events/{eventId}/waiting-list: who waits, for organisers."""

from aws_lambda_powertools.event_handler import Response

from shared import api, listing, pages
from shared.dynamodb import Deadline
from shared.events import read_event
from shared.model import REQUEST_BUDGET_S

app = api.resolver()


@app.get("/events/<event_id>/waiting-list")
def waiting_list(**_path: str) -> Response[str]:
    """Answer with a page of the waiting list, in its order."""
    api.caller(app).must_organise()
    request = api.parameters_as(app, pages.WaitingListRequest)
    deadline = Deadline.after(REQUEST_BUDGET_S)
    event = read_event(request.event_id, deadline)
    page = listing.waiting_for(event, request.limit, request.cursor, deadline)
    return api.answer(200, pages.WaitingListPage.of(request, *page))


handler = api.handler_of(app)
