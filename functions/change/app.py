"""PATCH /events/{eventId}: change the terms of an event, such as its name, venue, tickets or sale window."""

from shared.booking import event_change
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S
from shared.runtime import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Change the fields that the body names. A repeated request changes nothing more."""
    request.caller.must_organise()
    event_id = request.parameters_as(contract.EventPath, with_body=True).event_id
    wanted = request.body_as(contract.ChangeRequest).wanted
    availability = event_change.change(event_id, wanted, Deadline.after(REQUEST_BUDGET_S), request.revisions)
    return api.respond(200, contract.EventResponse.of(availability), api.etag_of_event(availability.event))
