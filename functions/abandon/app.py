"""POST /events/{eventId}/cancel: cancel an event, for good."""

from aws_lambda_powertools.event_handler import Response

from shared import abandonment, api, contract
from shared.dynamodb import Deadline
from shared.model import REQUEST_BUDGET_S

app = api.resolver()


@app.post("/events/<event_id>/cancel")
def cancel(**_path: str) -> Response[str]:
    """Cancel the event and answer with it; repeating it gets the same `cancelledAt`.

    200 when every claim on it is cancelled, 202 while that is being done.
    """
    api.caller(app).must_organise()
    path = api.parameters_as(app, contract.EventPath)
    availability = abandonment.cancel_event(path.event_id, Deadline.after(REQUEST_BUDGET_S))
    return api.answer(200 if availability.event.emptied_at else 202, contract.EventAnswer.of(availability))


handler = api.handler_of(app)
