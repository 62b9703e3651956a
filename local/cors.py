"""The CORS headers of an HTTP API with a CorsConfiguration.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
"""

from collections.abc import Iterable

from local.gateway import Headers, Response
from local.system import Cors

_OURS = b"access-control-"


def preflight(cors: Cors, headers: Iterable[tuple[bytes, bytes]], request_id: str) -> Response:
    """Answer an OPTIONS request for any path, without a token; other origins get no headers."""
    given = dict(headers)
    answer = [(b"apigw-requestid", request_id.encode())]
    if b"access-control-request-method" in given:
        answer += _allowed(cors, given.get(b"origin"))
    if len(answer) > 1:
        answer += [
            (b"access-control-allow-methods", ",".join(cors.methods).encode()),
            (b"access-control-allow-headers", ",".join(cors.headers).encode()),
            (b"access-control-max-age", b"%d" % cors.max_age_s),
        ]
    return 204, answer, b""


def answered(cors: Cors, headers: Iterable[tuple[bytes, bytes]], response: Response) -> Response:
    """Replace the CORS headers of a response."""
    status, own, body = response
    allowed: Headers = _allowed(cors, dict(headers).get(b"origin"))
    if allowed and cors.exposed:
        allowed.append((b"access-control-expose-headers", ",".join(cors.exposed).encode()))
    return status, [header for header in own if not header[0].startswith(_OURS)] + allowed, body


def _allowed(cors: Cors, origin: bytes | None) -> Headers:
    if origin is None or origin.decode("latin-1") not in cors.origins:
        return []
    return [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
