"""POST /confirm: make a hold or an offer final."""

from shared.booking import confirmation
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S, Confirmation, Standing
from shared.runtime import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Confirm the user's booking. A repeated request gets the same response."""
    asked = request.body_as(contract.ConfirmRequest)
    by = request.caller.confirming_for(asked.user_id)
    wanted = Confirmation(asked.booking_id, by, asked.reference)
    booking = confirmation.confirm(asked.event_id, asked.user_id, wanted, Deadline.after(REQUEST_BUDGET_S))
    return api.respond(200, contract.booking_response(Standing(booking)))
