"""POST /cancel: give a ticket back, or leave the waiting list."""

from aws_lambda_powertools.event_handler import Response

from shared import api, contract, office
from shared.dynamodb import Deadline
from shared.model import REQUEST_BUDGET_S

app = api.resolver()


@app.post("/cancel")
def cancel() -> Response[str]:
    """Cancel the user's booking; repeating it gets the same answer."""
    request = api.body_as(app, contract.CancelRequest)
    api.caller(app).must_be(request.user_id)
    booking = office.cancel(request.event_id, request.user_id, request.booking_id, Deadline.after(REQUEST_BUDGET_S))
    return api.answer(200, contract.booking_answer(booking))


handler = api.handler_of(app)
