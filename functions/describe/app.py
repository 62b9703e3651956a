"""GET /openapi.json, GET /docs and GET /health: the API description, for programs and as a page, and a sign of life.

HEAD of the same paths has the same response; API Gateway leaves out the body.
"""

import json
from collections.abc import Callable
from typing import Final

from functions.describe.encoding import accepts_gzip
from functions.describe.page import Document, description, page
from shared.edge import api
from shared.edge.api import Request, Response
from shared.version import VERSION


def _healthy() -> Response:
    """Tell that requests arrive, and the version that they arrive at."""
    return {
        "statusCode": 200,
        "headers": {"Cache-Control": "no-store", "Content-Type": "application/json"},
        "body": json.dumps({"status": "ok", "version": VERSION}),
        "isBase64Encoded": False,
    }


def _to_docs() -> Response:
    """Redirect to the page, by a relative path because the API may have a prefix."""
    return {
        "statusCode": 308,
        "headers": {"Cache-Control": "no-store", "Location": "../docs"},
        "body": "",
        "isBase64Encoded": False,
    }


SERVED: Final[dict[str, Callable[[], Document | Response]]] = {
    "/openapi.json": description,
    "/docs": page,
    "/docs/": _to_docs,
    "/health": _healthy,
}


@api.handler
def handler(request: Request) -> Response:
    """Return what the path names, without reading the database; compress documents for clients that accept it."""
    found = SERVED[request.route.partition(" ")[2]]()
    if not isinstance(found, Document):
        return found
    return found.packed if accepts_gzip(request.header("accept-encoding") or "") else found.plain
