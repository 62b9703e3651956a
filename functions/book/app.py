"""POST /book: book or hold a ticket, or join the waiting list."""

from shared.booking import office
from shared.edge import api, contract
from shared.edge.api import Request, Response
from shared.model import REQUEST_BUDGET_S, Standing, Status
from shared.runtime import Deadline


@api.handler
def handler(request: Request) -> Response:
    """Book for the user. A user with an active booking gets that booking.

    A user who has cancelled in the meantime, with another request, gets the booking as it is now.
    """
    asked = request.body_as(contract.BookRequest)
    by = request.caller.booking_for(asked.user_id)
    standing = office.book(asked.event_id, asked.user_id, Deadline.after(REQUEST_BUDGET_S), by)
    headers = {"Location": contract.location_of(standing.booking)}
    return api.respond(_status(standing), contract.booking_response(standing), headers)


def _status(standing: Standing) -> int:
    """Return 201 for a new booking that got its ticket at once, 202 for one that waits, 200 for all others.

    A new booking may already have ended, by another request, or have a ticket from the waiting list, which was
    announced.
    """
    booking = standing.booking
    if not standing.is_new or not booking.is_active:
        return 200
    if booking.status is Status.WAITING:
        return 202
    return 201 if booking.joined_at is None else 200
