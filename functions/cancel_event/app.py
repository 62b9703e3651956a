"""POST /events/{eventId}/cancel: cancel an event, for good."""

from shared.booking import event_cancellation
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S
from shared.store.dynamodb import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Cancel the event and answer with it; repeating it gets the same `cancelledAt`.

    200 when every booking on it is cancelled, 202 while that is being done.
    """
    request.caller.must_organise()
    event_id = request.parameters_as(contract.EventPath).event_id
    availability = event_cancellation.cancel_event(event_id, Deadline.after(REQUEST_BUDGET_S))
    return api.answer(200 if availability.event.emptied_at else 202, contract.EventAnswer.of(availability))
