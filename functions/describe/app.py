"""GET /openapi.json and GET /docs: what the office can be asked, for programs and for people."""

from aws_lambda_powertools.event_handler import Response

from functions.describe import page
from shared import api

app = api.resolver()


@app.get("/openapi.json", compress=True)
def description() -> Response[str]:
    """Answer with the description, OpenAPI 3.1."""
    return Response(200, "application/json", page.description(), page.HEADERS)


@app.get("/docs")
def docs() -> Response[str | bytes]:
    """Answer with a page that shows the description, and sends requests; packed for who understands that."""
    html, policy = page.html()
    headers = {**page.HEADERS, "Content-Security-Policy": policy}
    if "gzip" not in app.current_event.headers.get("accept-encoding", ""):
        return Response(200, page.CONTENT_TYPE, html, headers)
    return Response(200, page.CONTENT_TYPE, page.packed(), {**headers, "Content-Encoding": "gzip"})


handler = api.handler_of(app)
