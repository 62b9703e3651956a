"""Calls a function as API Gateway does, with payload format 2.0."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, urlencode

from local.template import load
from shared.runtime import Runtime


@dataclass(frozen=True)
class Response:
    """A function's response."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        """Return the body, parsed."""
        return json.loads(self.text)


class Context:
    """A Lambda context that has time left."""

    function_name = "test"
    function_version = "$LATEST"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:test"

    def __init__(self, time_left_s: float = 30) -> None:
        self.aws_request_id = str(uuid.uuid4())
        self._time_left_ms = int(time_left_s * 1000)

    def get_remaining_time_in_millis(self) -> int:
        """Return the time left, which stays the same."""
        return self._time_left_ms


def call(
    function: ModuleType,
    body: Any = None,
    *,
    raw: str | None = None,
    base64: bool = False,
    event_id: str | None = None,
    path: str | None = None,
    query: Mapping[str, str] | Sequence[tuple[str, str]] | str | None = None,
    headers: dict[str, str] | None = None,
    claims: dict[str, str] | None = None,
    verified: bool = True,
) -> Response:
    """Call functions.<name>.app by its route, with a body (as JSON, or `raw`), an event's id and a query.

    If a function has several routes, `path` selects one. The call happens at a later moment than any call before.

    The path is decoded, although API Gateway names it rawPath. A `query` that is text is sent as it is. `claims` are
    those that the JWT authorizer verified; without them, the caller is the user that the request names, and also an
    organiser. If not `verified`, the route has no authorizer.
    """
    a_moment_passes()
    method, template = _route(function, path)
    path = template.replace("{eventId}", event_id or "")
    raw_query = query if isinstance(query, str) else urlencode(query or {})
    payload: dict[str, Any] = {
        "version": "2.0",
        "routeKey": f"{method} {template}",
        "rawPath": path,
        "rawQueryString": raw_query,
        "headers": {"host": "localhost", "content-type": "application/json", **(headers or {})},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "local",
            "domainName": "localhost",
            "domainPrefix": "localhost",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "test",
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": "01/May/2026:18:00:00 +0000",
            "timeEpoch": 1777658400000,
        },
        "isBase64Encoded": base64,
    }
    if verified:
        fields = dict(parse_qsl(raw_query)) if method == "GET" else body
        claims = claims if claims is not None else organiser(_user(fields))
        payload["requestContext"]["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
    if event_id is not None:
        payload["pathParameters"] = {"eventId": event_id}
    if raw_query:
        payload["queryStringParameters"] = _joined(raw_query)
    if raw is not None or body is not None:
        payload["body"] = raw if raw is not None else json.dumps(body)
    response = function.handler(payload, Context())
    headers = {key.lower(): value for key, value in response["headers"].items()}
    return Response(response["statusCode"], headers, response["body"])


def a_moment_passes() -> None:
    """Wait for the next millisecond, the resolution of stored moments."""
    before = _now()
    while _now() == before:
        pass


def organiser(user_id: str) -> dict[str, str]:
    """Return the claims of an organiser."""
    return {"sub": user_id, "cognito:groups": "[organiser]"}


def shop() -> dict[str, str]:
    """Return the claims of a shop: a program, whose token has a scope and no user."""
    return {"sub": "till-1", "client_id": "till-1", "scope": "ticket-office/shop"}


def door() -> dict[str, str]:
    """Return the claims of the door's program."""
    return {**shop(), "scope": "ticket-office/door"}


@cache
def _route(function: ModuleType, path: str | None) -> tuple[str, str]:
    """Return method and path of a function's route in template.yaml; if it has several, of the one with this path."""
    system = load()
    handler = f"{function.__name__}.handler"
    routes = [route for route in system.routes if system.functions[route.function].handler == handler]
    (found,) = [route for route in routes if path in {None, route.path} and route.method != "HEAD"]
    return found.method, found.path


def _joined(raw_query: str) -> dict[str, str]:
    """Decode a query as API Gateway does: repeated parameters are joined, and what is not UTF-8 is replaced."""
    joined: dict[str, str] = {}
    for name, value in parse_qsl(raw_query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _user(fields: Any) -> str:
    return str(fields.get("userId", "a-user")) if isinstance(fields, dict) else "a-user"


def _now() -> str:
    """Return the real time, even if a test has replaced the functions' clock."""
    return Runtime().now()
