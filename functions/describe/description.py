"""How GET /openapi.json and GET /docs are described."""

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from shared.edge import openapi

app = APIGatewayHttpResolver()


@openapi.describes(
    app,
    "GET /openapi.json",
    tag="description",
    answers={200: openapi.Answer("This description.", dict, headers=openapi.KEPT)},
    public=True,
)
def description() -> None:
    """Describe the API, as OpenAPI 3.1.

    Nobody's secret: it takes no token.
    """


@openapi.describes(
    app,
    "GET /docs",
    tag="description",
    answers={200: openapi.Answer("The page.", str, headers=openapi.KEPT, content_type="text/html")},
    public=True,
)
def docs() -> None:
    """Show this description as a page that sends requests, too.

    Nobody's secret: it takes no token. What is sent from the page takes one: give it under "Authorize".
    """
