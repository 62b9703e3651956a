"""GET /status/{eventId}: an event's counts and, if asked for, a user's booking."""

from shared.booking import office
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import STATUS_BUDGET_S
from shared.runtime import Deadline

_PUBLIC = {"Cache-Control": "public, max-age=1"}  # seconds
_PRIVATE = {"Cache-Control": "private, no-store"}


@api.handler
def handler(request: Request) -> Response:
    """Return the event and, with ?userId=, that user's booking: null if there is none.

    The counts are not secret: whether they take a token, API Gateway alone decides. So any cache may keep them.
    """
    asked = request.parameters_as(contract.StatusRequest)
    if asked.user_id is not None:
        request.caller.must_be_allowed_to_read(asked.user_id)
    deadline = Deadline.after(STATUS_BUDGET_S)
    counts, standing = office.status(asked.event_id, asked.user_id, deadline, anew=request.wants_no_cache)
    if asked.user_id is None:
        return api.respond(200, contract.CountsResponse.of_counts(counts), _PUBLIC | api.etag_of(counts))
    etag = api.etag(counts.availability.event)
    return api.respond(200, contract.StatusResponse.with_booking(counts, standing), _PRIVATE | etag)
