"""POST /events/{eventId}/cancel: cancel an event, for good."""

from shared import abandonment, api, contract
from shared.api import Request, Response
from shared.dynamodb import Deadline
from shared.model import REQUEST_BUDGET_S


@api.handler
def handler(request: Request) -> Response:
    """Cancel the event and answer with it; repeating it gets the same `cancelledAt`.

    200 when every claim on it is cancelled, 202 while that is being done.
    """
    request.caller.must_organise()
    event_id = request.parameters_as(contract.EventPath).event_id
    availability = abandonment.cancel_event(event_id, Deadline.after(REQUEST_BUDGET_S))
    return api.answer(200 if availability.event.emptied_at else 202, contract.EventAnswer.of(availability))
