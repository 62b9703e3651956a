"""GET /, /docs, /openapi.json and /health: the page, the API description as a page and for programs, a sign of life.

HEAD of the same paths has the same response; API Gateway leaves out the body.
"""

import json
from collections.abc import Callable
from typing import Final

from functions.describe import web_page
from functions.describe.document import Document
from functions.describe.encoding import accepts_gzip
from functions.describe.page import description, page
from shared.edge import api
from shared.edge.api import Request, Response
from shared.version import VERSION


def _healthy() -> Response:
    """Tell that requests arrive, and the version that they arrive at."""
    return _small(200, json.dumps({"status": "ok", "version": VERSION}), {"Content-Type": "application/json"})


def _to_docs() -> Response:
    """Redirect to the page, by a relative path because the API may have a prefix."""
    return _small(308, "", {"Location": "../docs"})


def _no_file() -> Response:
    """Say that there is no such file, as API Gateway says it of a route."""
    return _small(404, '{"message":"Not Found"}', {"Content-Type": "application/json"})


def _small(status: int, body: str, headers: dict[str, str]) -> Response:
    return {
        "statusCode": status,
        "headers": {"Cache-Control": "no-store", **headers},
        "body": body,
        "isBase64Encoded": False,
    }


SERVED: Final[dict[str, Callable[[], Document | Response]]] = {
    "/": web_page.page,
    "/openapi.json": description,
    "/docs": page,  # always compressed: it has 1.7 MB, and only browsers show it. RFC 9110 (12.5.3) allows that
    "/docs/": _to_docs,
    "/health": _healthy,
}


@api.handler
def handler(request: Request) -> Response:
    """Return what the path names, without reading the database; compress documents for clients that accept it."""
    path = request.route.partition(" ")[2]
    found = SERVED[path]() if path in SERVED else web_page.file(path, *request.path_values) or _no_file()
    if not isinstance(found, Document):
        return found
    is_packed = path == "/docs" or accepts_gzip(request.header("accept-encoding") or "")
    return found.packed if is_packed else found.plain
