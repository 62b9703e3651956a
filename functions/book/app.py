"""POST /book: a ticket, or a place in the waiting list."""

from shared import api, contract, office
from shared.api import Request, Response
from shared.dynamodb import Deadline
from shared.model import REQUEST_BUDGET_S, Claim, Status


@api.handler
def handler(request: Request) -> Response:
    """Book for the user; who has an active claim already is answered with it.

    So is who cancelled by another request before this one was answered: with the claim as it is now.
    """
    asked = request.body_as(contract.BookRequest)
    request.caller.must_be(asked.user_id)
    claim = office.book(asked.event_id, asked.user_id, Deadline.after(REQUEST_BUDGET_S))
    headers = {"Location": contract.location_of(claim.booking)}
    return api.answer(_status(claim), contract.booking_answer(claim.booking, claim.position), headers)


def _status(claim: Claim) -> int:
    if not (claim.is_new and claim.booking.is_active):
        return 200
    return 202 if claim.booking.status is Status.WAITING else 201
