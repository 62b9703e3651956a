"""POST /cancel: return all or some of the tickets, leave the waiting list, or ask for fewer."""

from shared.booking import cancellation, office
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
    which = (asked.event_id, asked.user_id, asked.booking_id)
    if asked.keep is None:
        booking = cancellation.cancel(*which, deadline, by)
    else:
        booking = cancellation.reduce(*which, asked.keep, deadline, by)
    return api.respond(200, contract.booking_response(office.with_position(booking, deadline)))
