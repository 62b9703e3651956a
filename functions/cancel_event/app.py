"""POST /events/{eventId}/cancel: cancel an event permanently."""

from shared.booking import event_cancellation
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S
from shared.runtime import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Cancel the event and return it. A repeated request gets the same `cancelledAt`.

    The status is 200 when all its bookings are cancelled, and 202 until then.
    """
    request.caller.must_organise()
    event_id = request.parameters_as(contract.EventPath).event_id
    availability = event_cancellation.cancel_event(event_id, Deadline.after(REQUEST_BUDGET_S))
    return api.respond(200 if availability.event.emptied_at else 202, contract.EventResponse.of(availability))
