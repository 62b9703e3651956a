"""PATCH /events/{eventId}: change an event's name, tickets, moments of sale, or the limit of its waiting list."""

from aws_lambda_powertools.event_handler import Response

from shared import api, change, contract
from shared.dynamodb import Deadline
from shared.model import REQUEST_BUDGET_S

app = api.resolver()


@app.patch("/events/<event_id>")
def change_event(**_path: str) -> Response[str]:
    """Change what the body names; repeating it changes nothing more."""
    api.caller(app).must_organise()
    event_id = api.parameters_as(app, contract.EventPath).event_id
    wanted = api.body_as(app, contract.ChangeRequest).wanted
    availability = change.change(event_id, wanted, Deadline.after(REQUEST_BUDGET_S))
    return api.answer(200, contract.EventAnswer.of(availability))


handler = api.handler_of(app)
