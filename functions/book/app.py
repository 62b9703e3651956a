"""POST /book: a ticket, or a place in the waiting list."""

from aws_lambda_powertools.event_handler import Response

from shared import api, contract, office
from shared.dynamodb import Deadline
from shared.model import REQUEST_BUDGET_S, Claim, Status

app = api.resolver()


@app.post("/book")
def book() -> Response[str]:
    """Book for the user; who has an active claim already is answered with it.

    So is who cancelled by another request before this one was answered: with the claim as it is now.
    """
    request = api.body_as(app, contract.BookRequest)
    api.caller(app).must_be(request.user_id)
    claim = office.book(request.event_id, request.user_id, Deadline.after(REQUEST_BUDGET_S))
    headers = {"Location": contract.location_of(claim.booking)}
    return api.answer(_status_code(claim), contract.booking_answer(claim.booking, claim.position), headers)


def _status_code(claim: Claim) -> int:
    if not (claim.is_new and claim.booking.is_active):
        return 200
    return 202 if claim.booking.status is Status.WAITING else 201


handler = api.handler_of(app)
