"""POST /initialize: open an event with its tickets."""

from shared.booking import catalog
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S
from shared.runtime import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Open the event. With an Idempotency-Key that was used before, return the event that it opened."""
    caller = request.caller
    caller.must_organise()
    asked = request.body_as(contract.InitializeRequest)
    event = catalog.open_event(
        asked.terms,
        Deadline.after(REQUEST_BUDGET_S),
        rules=asked.rules,
        caller=caller.name or "",
        idempotency_key=request.idempotency_key,
    )
    headers = {"Location": f"/status/{event.event_id}", **api.etag_of_event(event)}
    return api.respond(201, contract.EventResponse.of_new(event), headers)
