"""POST /book: book or hold tickets, or join the waiting list."""

from shared.booking import office
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S, Standing, Status
from shared.runtime import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Book for the user. A user with an active booking gets that booking."""
    asked = request.body_as(contract.BookRequest)
    by = request.caller.booking_for(asked.user_id)
    deadline = Deadline.after(REQUEST_BUDGET_S)
    standing = office.book(asked.event_id, asked.user_id, deadline, by, asked.quantity, asked.at_least)
    headers = {"Location": contract.location_of(standing.booking)}
    return api.respond(_status(standing), contract.booking_response(standing), headers)


def _status(standing: Standing) -> int:
    """Return 201 or 202 if this request made the booking, and its user has not cancelled it or been promoted since."""
    booking = standing.booking
    if not standing.is_new or not booking.is_active or booking.promoted_at:
        return 200
    return 202 if booking.status is Status.WAITING else 201
