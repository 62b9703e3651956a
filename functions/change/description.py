"""How PATCH /events/{eventId} is described."""

from dataclasses import replace
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.params import Body

from shared.edge import contract, openapi
from shared.edge.caller import OrganisersOnly
from shared.model import Availability, EventCancelled, EventNotFound, TicketsBooked

app = APIGatewayHttpResolver()

MORE = {"totalTickets": 600}
BOUNDS = {"closesAt": "2026-06-01T20:00:00+02:00", "waitingListLimit": None}
CHANGED = replace(openapi.BOUNDED, total_tickets=600)


@openapi.describes(
    app,
    "PATCH /events/{eventId}",
    tag="organisers",
    answers={
        200: openapi.Answer(
            "The event as it is now.",
            contract.EventAnswer,
            {"changed": contract.EventAnswer.of(Availability(CHANGED, 600, 220, 0))},
        ),
    },
    errors=[*openapi.BODY, OrganisersOnly, EventNotFound, EventCancelled, TicketsBooked],
)
def change(
    eventId: openapi.EventId,
    body: Annotated[
        contract.ChangeRequest,
        Body(openapi_examples={"more tickets": {"value": MORE}, "bounds": {"value": BOUNDS}}),
    ],
) -> None:
    """Change an event.

    For organisers. What the body names is set, and `null` takes a moment or the limit away; the rest stays. New tickets
    go to those who wait first; taken away are free ones only. Safe to repeat: nothing is added, each field has a value.
    """
