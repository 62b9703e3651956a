"""PATCH /events/{eventId}: change an event's name, tickets, moments of sale, or the limit of its waiting list."""

from shared.booking import event_change
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S
from shared.store.dynamodb import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Change what the body names; repeating it changes nothing more."""
    request.caller.must_organise()
    event_id = request.parameters_as(contract.EventPath).event_id
    wanted = request.body_as(contract.ChangeRequest).wanted
    availability = event_change.change(event_id, wanted, Deadline.after(REQUEST_BUDGET_S))
    return api.answer(200, contract.EventAnswer.of(availability))
