"""POST /cancel: return all or some of the tickets, leave the waiting list, or ask for fewer."""

from shared.booking import office
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S
from shared.runtime import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Cancel the user's booking, or reduce it to the tickets that they keep. A repeated request gets the same."""
    asked = request.body_as(contract.CancelRequest)
    by = request.caller.cancelling_for(asked.user_id)
    deadline = Deadline.after(REQUEST_BUDGET_S)
    booking = office.cancel(asked.event_id, asked.user_id, asked.booking_id, deadline, by, asked.keep)
    return api.respond(200, contract.booking_response(office.with_position(booking, deadline)))
