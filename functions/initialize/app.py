"""POST /initialize: open an event with its tickets."""

from aws_lambda_powertools.event_handler import Response

from shared import api, contract, events
from shared.dynamodb import Deadline
from shared.model import REQUEST_BUDGET_S, Terms

app = api.resolver()


@app.post("/initialize")
def initialize() -> Response[str]:
    """Open the event; with an Idempotency-Key that was used before, answer with the event it opened."""
    caller = api.caller(app)
    caller.must_organise()
    request = api.body_as(app, contract.InitializeRequest)
    event = events.open_event(
        Terms(**request.model_dump()),
        Deadline.after(REQUEST_BUDGET_S),
        caller=caller.subject or "",
        idempotency_key=api.idempotency_key(app),
    )
    headers = {"Location": f"/status/{event.event_id}"}
    return api.answer(201, contract.EventAnswer.of_new(event), headers)


handler = api.handler_of(app)
