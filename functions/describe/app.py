"""GET /openapi.json and GET /docs: the API description, for programs and as a page."""

from functions.describe.page import DOCUMENTS
from shared.edge import api
from shared.edge.api import Request, Response


@api.handler
def handler(request: Request) -> Response:
    """Return the description (OpenAPI 3.1) or the page that shows it, compressed for clients that accept it."""
    document = DOCUMENTS[request.route]()
    return document.packed if "gzip" in (request.header("accept-encoding") or "") else document.plain
