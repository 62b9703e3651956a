"""API Gateway's part: turns an HTTP request into a payload of format 2.0, and a handler's answer into a response.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
This runs for every request next to a handler that takes a millisecond, so everything constant is prepared at the start.
"""

import base64
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote

from local.system import Route

BODY_BYTES_MAX = 10 * 1024 * 1024  # a fixed limit of HTTP APIs
BAD_REQUEST = (400, b'{"message":"Bad Request"}')
UNAUTHORIZED = (401, b'{"message":"Unauthorized"}')
FORBIDDEN = (403, b'{"message":"Forbidden"}')
NOT_FOUND = (404, b'{"message":"Not Found"}')
TOO_SLOW = (408, b'{"message":"Request Timeout"}')
TOO_LARGE = (413, b'{"message":"Request Entity Too Large"}')
HEAD_TOO_LARGE = (431, b'{"message":"Request Header Fields Too Large"}')
FAILED = (500, b'{"message":"Internal Server Error"}')
UNAVAILABLE = (503, b'{"message":"Service Unavailable"}')

_API_ID = "local"
_ACCOUNT = "000000000000"
_NO_BODY = (204, 304)  # statuses
_STATUSES = range(200, 600)
_TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")
_TEXT_SUFFIXES = ("+json", "+xml")

Headers = list[tuple[bytes, bytes]]
Response = tuple[int, Headers, bytes]


@dataclass(frozen=True, slots=True)
class Target:
    """A route and everything that is the same for all of its requests."""

    key: str
    function: str
    takes_token: bool
    names: Sequence[str | None]  # for each segment of the path: the parameter's name, or None for fixed text
    segments: Sequence[str]


class Router:
    """Finds the route of a request; a fixed path takes precedence over one with parameters."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Prepare the routes of the template."""
        self._fixed: dict[tuple[str, str], Target] = {}
        self._open: dict[tuple[str, int], list[Target]] = {}
        for route in routes:
            segments = route.path.split("/")
            names = [part[1:-1] if part.startswith("{") else None for part in segments]
            target = Target(f"{route.method} {route.path}", route.function, route.takes_token, names, segments)
            if any(names):
                self._open.setdefault((route.method, len(segments)), []).append(target)
            else:
                self._fixed[route.method, route.path] = target
        for targets in self._open.values():
            targets.sort(key=lambda target: [name is not None for name in target.names])

    def find(self, method: str, raw_path: str) -> tuple[Target, dict[str, str] | None] | None:
        """Return the route of a raw path and the decoded values of its parameters, or None."""
        target = self._fixed.get((method, raw_path))
        if target is not None:
            return target, None
        segments = raw_path.split("/")
        for candidate in self._open.get((method, len(segments)), ()):
            if all(
                part != "" if name else part == fixed
                for name, part, fixed in zip(candidate.names, segments, candidate.segments, strict=True)
            ):
                values = {name: unquote(part) for name, part in zip(candidate.names, segments, strict=True) if name}
                return candidate, values
        return None


@lru_cache(maxsize=1)
def _written(second: int) -> str:
    return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(second))


def payload(
    scope: Mapping[str, Any], target: Target, parameters: dict[str, str] | None, body: bytes, request_id: str
) -> dict[str, Any]:
    """Return the handler's first argument for an ASGI request."""
    headers, cookies = _headers(scope["headers"])
    source_ip = scope["client"][0]
    forwarded = headers.get("x-forwarded-for")
    headers["x-forwarded-for"] = f"{forwarded}, {source_ip}" if forwarded else source_ip
    headers["x-forwarded-port"] = str(scope["server"][1])
    headers["x-forwarded-proto"] = scope["scheme"]
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": target.key,
        "rawPath": scope["path"],  # decoded despite its name, as HTTP APIs do it
        "rawQueryString": scope["query_string"].decode("latin-1"),
        "headers": headers,
        "requestContext": _context(scope, target, headers, request_id),
        "isBase64Encoded": False,
    }
    if cookies:
        made["cookies"] = cookies
    if scope["query_string"]:
        made["queryStringParameters"] = _query(made["rawQueryString"])
    if parameters:
        made["pathParameters"] = parameters
    if body:
        made["body"], made["isBase64Encoded"] = _body(body, headers.get("content-type", ""))
    return made


def response(answer: Any, request_id: str) -> Response:
    """Turn a handler's answer into status, headers and body.

    Raises: KeyError, TypeError or ValueError if it is none; API Gateway would answer 500.
    """
    status = int(answer["statusCode"])
    if status not in _STATUSES:
        raise ValueError(f"statusCode {status}")
    text = answer.get("body") or ""
    if not isinstance(text, str):
        raise TypeError(f"body is {type(text).__name__}, not text")
    body = base64.b64decode(text, validate=True) if answer.get("isBase64Encoded") else text.encode()
    headers = [
        (_header(name).lower(), _header(value))
        for name, value in (answer.get("headers") or {}).items()
        if name.lower() != "content-length"
    ]
    if not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", b"text/plain;charset=UTF-8"))
    if status in _NO_BODY:
        return status, [*headers, (b"apigw-requestid", request_id.encode())], b""
    return status, _own_headers(request_id, body, headers), body


def refusal(of: tuple[int, bytes], request_id: str) -> Response:
    """Return one of the gateway's own responses: UNAUTHORIZED, FORBIDDEN, NOT_FOUND, ..."""
    status, body = of
    headers = [(b"content-type", b"application/json")]
    if of is UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    return status, _own_headers(request_id, body, headers), body


def _context(scope: Mapping[str, Any], target: Target, headers: Mapping[str, str], request_id: str) -> dict[str, Any]:
    host = headers.get("host", "")
    now_s = time.time()
    return {
        "accountId": _ACCOUNT,
        "apiId": _API_ID,
        "domainName": host,
        "domainPrefix": host.partition(".")[0],
        "http": {
            "method": scope["method"],
            "path": scope["path"],
            "protocol": f"HTTP/{scope['http_version']}",
            "sourceIp": scope["client"][0],
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request_id,
        "routeKey": target.key,
        "stage": "$default",
        "time": _written(int(now_s)),
        "timeEpoch": int(now_s * 1000),
    }


def _own_headers(request_id: str, body: bytes, headers: Headers) -> Headers:
    return [*headers, (b"content-length", b"%d" % len(body)), (b"apigw-requestid", request_id.encode())]


def _header(value: Any) -> bytes:
    """Encode a header's name or value. Raises: ValueError for a line break, which would begin another header."""
    text = str(value)
    if "\n" in text or "\r" in text:
        raise ValueError("a header holds a line break")
    return text.encode("latin-1")


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, str], list[str]]:
    """Join repeated headers with commas; return cookies in a separate list."""
    headers: dict[str, list[str]] = {}
    cookies: list[str] = []
    for raw_name, raw_value in pairs:
        name = raw_name.decode("latin-1")  # ASGI has it in lower case
        value = raw_value.decode("latin-1")
        if name == "cookie":
            cookies += [part.strip() for part in value.split(";")]
        else:
            headers.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in headers.items()}, cookies


def _query(raw: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(raw, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in found.items()}


def _body(body: bytes, content_type: str) -> tuple[str, bool]:
    """Return the body, and whether it is base64: it is text if its type is missing or textual, and it is UTF-8."""
    kind = content_type.partition(";")[0].strip().lower()
    if not kind or kind.startswith(_TEXT_TYPES) or kind.endswith(_TEXT_SUFFIXES):
        try:
            return body.decode("utf-8"), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode("ascii"), True
