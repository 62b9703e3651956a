"""GET /status/{eventId}: what is left, how many wait, and where one user stands."""

from shared.booking import office
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S
from shared.store.dynamodb import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Answer with the event and, where ?userId= names one, with that user's booking, null if there is none.

    What is left is nobody's secret: whether that takes a token, API Gateway alone decides.
    """
    asked = request.parameters_as(contract.StatusRequest)
    if asked.user_id is not None:
        request.caller.must_be_or_organise(asked.user_id)
    availability, standing = office.status(asked.event_id, asked.user_id, Deadline.after(REQUEST_BUDGET_S))
    if asked.user_id is None:
        return api.answer(200, contract.EventAnswer.of(availability))
    return api.answer(200, contract.StatusAnswer.with_booking(availability, standing))
