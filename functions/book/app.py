"""POST /book: a ticket, or a place in the waiting list."""

from shared.booking import office
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S, Standing, Status
from shared.store.dynamodb import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Book for the user; who has an active booking already is answered with it.

    So is who cancelled by another request before this one was answered: with the booking as it is now.
    """
    asked = request.body_as(contract.BookRequest)
    request.caller.must_be(asked.user_id)
    standing = office.book(asked.event_id, asked.user_id, Deadline.after(REQUEST_BUDGET_S))
    headers = {"Location": contract.location_of(standing.booking)}
    return api.answer(_status(standing), contract.booking_answer(standing.booking, standing.position), headers)


def _status(standing: Standing) -> int:
    if not (standing.is_new and standing.booking.is_active):
        return 200
    return 202 if standing.booking.status is Status.WAITING else 201
