"""POST /transfer: give the tickets of a booking to another user."""

from shared.booking import transfers
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S, Standing, Transfer
from shared.runtime import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Transfer the user's booking. A repeated request gets the same response."""
    asked = request.body_as(contract.TransferRequest)
    by = request.caller.transferring_for(asked.user_id)
    wanted = Transfer(asked.booking_id, asked.to_user_id, by)
    booking = transfers.transfer(asked.event_id, asked.user_id, wanted, Deadline.after(REQUEST_BUDGET_S))
    return api.respond(200, contract.booking_response(Standing(booking)))
