"""How POST /cancel is described."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.params import Body

from shared.edge import contract, openapi
from shared.edge.caller import NotYourBooking
from shared.model import BookingChanged, BookingNotFound, EventNotFound

app = APIGatewayHttpResolver()

ANNA = {"userId": "anna", "eventId": openapi.EVENT_ID, "bookingId": openapi.BOOKING_ID}


@openapi.describes(
    app,
    "POST /cancel",
    tag="buyers",
    answers={
        200: openapi.Answer(
            "Cancelled, now or before; `was` says what it held.",
            contract.CancelledAnswer,
            {"cancelled": openapi.CANCELLED},
        ),
    },
    errors=[*openapi.BODY, NotYourBooking, EventNotFound, BookingNotFound, BookingChanged],
)
def cancel(body: Annotated[contract.CancelRequest, Body(openapi_examples={"anna": {"value": ANNA}})]) -> None:
    """Give a ticket back, or leave the waiting list.

    For the user themself. A ticket that is given back goes to the first in line by itself. Safe to repeat. With a
    `bookingId` only that booking is cancelled: a late repetition leaves a newer one alone.
    """
