"""GET /openapi.json and GET /docs: what the office can be asked, for programs and for people."""

from functions.describe.page import DOCUMENTS
from shared.edge import api
from shared.edge.api import Request, Response


@api.handler
def handler(request: Request) -> Response:
    """Answer with the description, OpenAPI 3.1, or with a page that shows it; packed for who understands that."""
    document = DOCUMENTS[request.route]()
    return document.packed if "gzip" in (request.header("accept-encoding") or "") else document.plain
