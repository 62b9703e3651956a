"""How POST /book is described."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.params import Body

from shared.edge import contract, openapi
from shared.edge.caller import NotYourBooking
from shared.model import EventCancelled, EventNotFound, NotOnSale, WaitingListFull

app = APIGatewayHttpResolver()

ANNA = {"userId": "anna", "eventId": openapi.EVENT_ID}


@openapi.describes(
    app,
    "POST /book",
    tag="buyers",
    answers={
        200: openapi.Answer(
            "The user has an active booking already: that one, as it is now.",
            contract.BookingAnswer,
            {"confirmed": openapi.CONFIRMED, "waiting": openapi.WAITING},
            headers=openapi.BOOKING,
        ),
        201: openapi.Answer(
            "A ticket.", contract.ConfirmedAnswer, {"confirmed": openapi.CONFIRMED}, headers=openapi.BOOKING
        ),
        202: openapi.Answer(
            "Sold out: a place in the waiting list.",
            contract.WaitingAnswer,
            {"waiting": openapi.WAITING},
            headers=openapi.BOOKING,
        ),
    },
    errors=[*openapi.BODY, NotYourBooking, EventNotFound, EventCancelled, NotOnSale, WaitingListFull],
)
def book(body: Annotated[contract.BookRequest, Body(openapi_examples={"anna": {"value": ANNA}})]) -> None:
    """Book a ticket, or a place in the waiting list.

    For the user themself. Safe to repeat: whoever has an active booking is answered with it, also when the event is no
    more on sale, or cancelled.
    """
