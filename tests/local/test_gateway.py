"""Requests become payloads of format 2.0, and answers become responses, as in API Gateway."""

import base64
import re
from typing import Any

import pytest

from local import cors, gateway
from local.system import Cors, Route

ROUTER = gateway.Router(
    [
        Route("POST", "/book", "Book"),
        Route("GET", "/status/{eventId}", "Status"),
        Route("GET", "/status/all", "All"),
        Route("GET", "/{kind}/{id}", "Any"),
    ]
)


def payload(
    path: str = "/book",
    query: str = "",
    headers: list[tuple[str, str]] | None = None,
    body: bytes = b"",
    method: str = "POST",
) -> dict[str, Any]:
    """Return the payload of one request."""
    found = ROUTER.find(method, path)
    assert found
    scope = {
        "method": method, "path": path, "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers or []],
        "client": ("127.0.0.9", 4711), "server": ("127.0.0.1", 3000), "http_version": "1.1", "scheme": "http",
    }  # fmt: skip
    return gateway.payload(scope, *found, body, "request-1")


def test_a_request_becomes_a_payload_of_format_2() -> None:
    """It has every field that AWS documents."""
    made = payload(
        headers=[("host", "office.example:3000"), ("user-agent", "curl/8"), ("content-type", "application/json")],
        body=b'{"a": 1}',
    )
    context = made.pop("requestContext")

    assert made == {
        "version": "2.0",
        "routeKey": "POST /book",
        "rawPath": "/book",
        "rawQueryString": "",
        "headers": {
            "host": "office.example:3000", "user-agent": "curl/8", "content-type": "application/json",
            "x-forwarded-for": "127.0.0.9", "x-forwarded-port": "3000", "x-forwarded-proto": "http",
        },
        "body": '{"a": 1}',
        "isBase64Encoded": False,
    }  # fmt: skip
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", context.pop("time"))
    assert isinstance(context.pop("timeEpoch"), int)
    assert context == {
        "accountId": "000000000000",
        "apiId": "local",
        "domainName": "office.example:3000",
        "domainPrefix": "office",
        "http": {
            "method": "POST",
            "path": "/book",
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.9",
            "userAgent": "curl/8",
        },
        "requestId": "request-1",
        "routeKey": "POST /book",
        "stage": "$default",
    }


def test_repeated_headers_are_joined_and_cookies_are_listed() -> None:
    """Values are joined by commas."""
    made = payload(
        headers=[("x-a", "1"), ("x-a", "2"), ("cookie", "a=1; b=2"), ("cookie", "c=3"), ("x-forwarded-for", "10.0.0.1")]
    )

    assert made["headers"]["x-a"] == "1,2"
    assert made["headers"]["x-forwarded-for"] == "10.0.0.1, 127.0.0.9"
    assert "cookie" not in made["headers"]
    assert made["cookies"] == ["a=1", "b=2", "c=3"]


def test_the_query_is_given_raw_and_decoded() -> None:
    """Repeated parameters are joined with commas; one without value is empty."""
    made = payload(query="a=1&a=2&b=%C3%A9+x&c=&d")

    assert made["rawQueryString"] == "a=1&a=2&b=%C3%A9+x&c=&d"
    assert made["queryStringParameters"] == {"a": "1,2", "b": "é x", "c": "", "d": ""}
    assert "queryStringParameters" not in payload()


@pytest.mark.parametrize(
    ("kind", "body", "expected", "encoded"),
    [
        ("application/json; charset=utf-8", "é".encode(), "é", False),
        ("text/plain", b"x", "x", False),
        ("application/problem+json", b"x", "x", False),
        ("", b"x", "x", False),
        ("application/x-www-form-urlencoded", b"x", "eA==", True),  # what curl -d says
        ("image/png", b"x", "eA==", True),
        ("application/json", b"\xff", "/w==", True),
    ],
)
def test_a_body_is_text_or_base64(kind: str, body: bytes, expected: str, encoded: bool) -> None:
    """Its content type decides, and whether it is valid UTF-8."""
    made = payload(headers=[("content-type", kind)] if kind else [], body=body)
    assert (made["body"], made["isBase64Encoded"]) == (expected, encoded)


@pytest.mark.parametrize(
    ("method", "path", "function", "parameters"),
    [
        ("POST", "/book", "Book", None),
        ("GET", "/status/a%20b%2Fc", "Status", {"eventId": "a b/c"}),
        ("GET", "/status/all", "All", None),
        ("GET", "/other/7", "Any", {"kind": "other", "id": "7"}),
    ],
)
def test_a_route_is_found_with_its_decoded_parameters(method: str, path: str, function: str, parameters: Any) -> None:
    """The route with the most fixed segments wins."""
    found = ROUTER.find(method, path)
    assert found is not None
    assert (found[0].function, found[1]) == (function, parameters)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/book"), ("POST", "/book/"), ("GET", "/status/"), ("GET", "/a/b/c"), ("GET", "*"), ("GET", "")],
)
def test_an_unknown_path_has_no_route(method: str, path: str) -> None:
    """A trailing slash makes another path, as on AWS."""
    assert ROUTER.find(method, path) is None


def test_an_answer_becomes_a_response() -> None:
    """Header names are in lower case, and the length is computed."""
    answer = {
        "statusCode": 201,
        "headers": {"Content-Type": "application/json", "Content-Length": "999", "Retry-After": 3},
        "body": '"é"',
    }
    assert gateway.response(answer, "r") == (
        201,
        [
            (b"content-type", b"application/json"),
            (b"retry-after", b"3"),
            (b"content-length", b"4"),
            (b"apigw-requestid", b"r"),
        ],
        '"é"'.encode(),
    )


@pytest.mark.parametrize(
    ("answer", "status", "kind", "body"),
    [
        ({"statusCode": 200, "body": "x"}, 200, b"text/plain;charset=UTF-8", b"x"),
        ({"statusCode": "404"}, 404, b"text/plain;charset=UTF-8", b""),
        (
            {"statusCode": 200, "body": base64.b64encode(b"\xff").decode(), "isBase64Encoded": True},
            200,
            b"text/plain;charset=UTF-8",
            b"\xff",
        ),
    ],
)
def test_an_answer_has_defaults(answer: Any, status: int, kind: bytes, body: bytes) -> None:
    """Those of format 2.0."""
    made = gateway.response(answer, "r")
    assert (made[0], dict(made[1])[b"content-type"], made[2]) == (status, kind, body)


def test_an_answer_without_content_has_no_length() -> None:
    """HTTP forbids one for 204."""
    _, headers, body = gateway.response({"statusCode": 204, "headers": {}}, "r")
    assert b"content-length" not in dict(headers)
    assert body == b""


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": 99}, {"statusCode": 600}, {"statusCode": "x"}, {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "body": "%", "isBase64Encoded": True},
        {"statusCode": 200, "headers": {"x": "a\r\nset-cookie: b"}}, {"a": 1}, "text", None,
    ],
)  # fmt: skip
def test_a_malformed_answer_is_an_error(answer: Any) -> None:
    """The worker answers 500, as API Gateway does."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        gateway.response(answer, "r")


def test_cors_headers_of_a_function_are_replaced() -> None:
    """The API's list of origins decides."""
    allowed = Cors(("https://a.example",), ("GET",), ("authorization",), (), 0)
    response = (200, [(b"access-control-allow-origin", b"*"), (b"content-type", b"text/plain")], b"x")
    for origin, said in ((b"https://a.example", [b"https://a.example"]), (b"https://b.example", [])):
        _, headers, body = cors.answered(allowed, [(b"origin", origin)], response)
        assert [value for name, value in headers if name == b"access-control-allow-origin"] == said
        assert ((b"content-type", b"text/plain") in headers, body) == (True, b"x")


def test_an_options_request_without_a_method_is_no_preflight() -> None:
    """It gets no CORS headers."""
    allowed = Cors(("https://a.example",), ("GET",), ("authorization",), (), 0)
    assert cors.preflight(allowed, [(b"origin", b"https://a.example")], "r") == (204, [(b"apigw-requestid", b"r")], b"")
