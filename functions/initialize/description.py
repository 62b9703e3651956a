"""How POST /initialize is described."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.params import Body

from shared.edge import contract, openapi
from shared.edge.caller import OrganisersOnly
from shared.model import IdempotencyKeyReused

app = APIGatewayHttpResolver()

CONCERT = {"name": "The concert", "totalTickets": 500}
BOUNDED = {
    **CONCERT,
    "opensAt": "2026-05-02T10:00:00+02:00",
    "closesAt": "2026-06-01T20:00:00+02:00",
    "waitingListLimit": 200,
}


@openapi.describes(
    app,
    "POST /initialize",
    tag="organisers",
    answers={
        201: openapi.Answer(
            "The event is open. Again for the same `Idempotency-Key` and body.",
            contract.EventAnswer,
            {"opened": openapi.OPENED, "with bounds": contract.EventAnswer.of_new(openapi.BOUNDED)},
            headers={"Location": "Where its status is: `/status/{eventId}`."},
        ),
    },
    errors=[*openapi.BODY, OrganisersOnly, IdempotencyKeyReused],
)
def initialize(
    body: Annotated[
        contract.InitializeRequest,
        Body(openapi_examples={"concert": {"value": CONCERT}, "with bounds": {"value": BOUNDED}}),
    ],
    key: openapi.IdempotencyKey = None,
) -> None:
    """Open an event with its tickets.

    For organisers. All tickets are on sale at once, or between `opensAt` and `closesAt`, of which the second is later.
    With an `Idempotency-Key` a repetition opens nothing more.
    """
