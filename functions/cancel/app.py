"""POST /cancel: return a ticket, or leave the waiting list."""

from shared.booking import office
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S, Standing
from shared.runtime import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Cancel the user's booking. A repeated request gets the same response."""
    asked = request.body_as(contract.CancelRequest)
    by = request.caller.cancelling_for(asked.user_id)
    booking = office.cancel(asked.event_id, asked.user_id, asked.booking_id, Deadline.after(REQUEST_BUDGET_S), by)
    return api.respond(200, contract.booking_response(Standing(booking)))
