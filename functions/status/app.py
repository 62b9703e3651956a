"""GET /status/{eventId}: an event's counts and, if asked for, a user's booking."""

from shared.booking import office
from shared.booking.cache import Cache
from shared.booking.counts import COUNTS_MAX
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import STATUS_BUDGET_S, Counts
from shared.runtime import Deadline

_PUBLIC = {"Cache-Control": "public, max-age=1"}  # seconds
_PRIVATE = {"Cache-Control": "private, no-store"}
_responses: Cache[tuple[Counts, Response]] = Cache("responses", COUNTS_MAX)


@api.handler
def handler(request: Request) -> Response:
    """Return the event and, with ?userId=, that user's booking: null if there is none.

    The counts are not secret, apart from that of the door: whether they take a token, API Gateway alone decides. So any
    cache may keep them, unless the caller sees that of the door.
    """
    asked = request.parameters_as(contract.StatusRequest)
    if asked.user_id is not None:
        request.caller.must_be_allowed_to_read(asked.user_id)
    counts, standing = office.status(
        asked.event_id, asked.user_id, Deadline.after(STATUS_BUDGET_S), anew=request.wants_no_cache
    )
    counted = counts.availability.checked_in_tickets  # left out until a ticket is checked in
    more = {"checked_in_tickets": counted} if counted and request.caller.may_count_check_ins else {}
    etag = api.etag_of_event(counts.availability.event)
    if asked.user_id is not None:
        return api.respond(200, contract.StatusResponse.with_booking(counts, standing, **more), _PRIVATE | etag)
    if more:
        return api.respond(200, contract.CountsResponse.of_counts(counts, **more), _PRIVATE | etag)
    return _response_to_all(counts)


def _response_to_all(counts: Counts) -> Response:
    """Return the response to requests without a userId. It is the same for all of them while the counts are."""
    event_id = counts.availability.event.event_id
    kept = _responses.get(event_id)
    if kept is None or kept[0] is not counts:
        response = api.respond(200, contract.CountsResponse.of_counts(counts), _PUBLIC | api.etag_of_counts(counts))
        kept = _responses.keep(event_id, (counts, response))
    return kept[1]
