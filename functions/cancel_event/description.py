"""How POST /events/{eventId}/cancel is described."""

from dataclasses import replace

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from shared.edge import contract, openapi
from shared.edge.api import InvalidRequest
from shared.edge.caller import OrganisersOnly
from shared.model import Availability, EventNotFound

app = APIGatewayHttpResolver()

CANCELLED = replace(openapi.CONCERT, cancelled_at=openapi.CLOSES_AT)
EMPTIED = replace(CANCELLED, emptied_at="2026-06-01T18:00:09.000Z")


@openapi.describes(
    app,
    "POST /events/{eventId}/cancel",
    tag="organisers",
    answers={
        200: openapi.Answer(
            "It was cancelled before, and every booking on it is, too.",
            contract.EventAnswer,
            {"emptied": contract.EventAnswer.of_new(EMPTIED)},
        ),
        202: openapi.Answer(
            "It is cancelled, and the bookings on it are being cancelled.",
            contract.EventAnswer,
            {"cancelled": contract.EventAnswer.of(Availability(CANCELLED, 500, 120, 0))},
        ),
    },
    errors=[InvalidRequest, OrganisersOnly, EventNotFound],
)
def cancel_event(eventId: openapi.EventId) -> None:
    """Cancel an event, for good.

    For organisers. From the answer on nobody gets a ticket or a place; every booking is cancelled in the background.
    `emptiedAt` says when the last was. Safe to repeat.
    """
