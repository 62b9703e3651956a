"""GET /status/{eventId}: an event's counts and, if asked for, a user's booking."""

from shared.booking import office
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S
from shared.runtime import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Return the event and, with ?userId=, that user's booking: null if there is none.

    The counts are not secret, apart from that of the door: whether they take a token, API Gateway alone decides.
    """
    asked = request.parameters_as(contract.StatusRequest)
    if asked.user_id is not None:
        request.caller.must_be_allowed_to_read(asked.user_id)
    availability, standing = office.status(asked.event_id, asked.user_id, Deadline.after(REQUEST_BUDGET_S))
    etag = api.etag(availability.event)
    counted = availability.checked_in_tickets or None  # left out until a ticket is checked in
    more = {"checked_in_tickets": counted} if request.caller.may_count_check_ins else {}
    if asked.user_id is None:
        return api.respond(200, contract.EventResponse.of(availability, **more), etag)
    return api.respond(200, contract.StatusResponse.with_booking(availability, standing, **more), etag)
