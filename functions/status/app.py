"""GET /status/{eventId}: what is left, how many wait, and where one user stands."""

from aws_lambda_powertools.event_handler import Response

from shared import api, contract, office
from shared.dynamodb import Deadline
from shared.model import REQUEST_BUDGET_S

app = api.resolver()


@app.get("/status/<event_id>")
def status(**_path: str) -> Response[str]:
    """Answer with the event and, where ?userId= names one, with that user's claim, null if there is none.

    What is left is nobody's secret: whether that takes a token, API Gateway alone decides.
    """
    request = api.parameters_as(app, contract.StatusRequest)
    if request.user_id is not None:
        api.caller(app).must_be_or_organise(request.user_id)
    availability, claim = office.status(request.event_id, request.user_id, Deadline.after(REQUEST_BUDGET_S))
    if request.user_id is None:
        return api.answer(200, contract.EventAnswer.of(availability))
    return api.answer(200, contract.StatusAnswer.with_booking(availability, claim))


handler = api.handler_of(app)
