"""POST /check-in: let a confirmed booking in, once."""

from shared.booking import check_ins
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S
from shared.runtime import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Check the booking in. A repeated request gets the first moment, and `again`."""
    by = request.caller.checking_in()
    asked = request.body_as(contract.CheckInRequest)
    found = check_ins.check_in(asked.event_id, asked.user_id, asked.booking_id, by, Deadline.after(REQUEST_BUDGET_S))
    return api.respond(200, contract.CheckInResponse.of(found))
