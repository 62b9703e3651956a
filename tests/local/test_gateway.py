"""API Gateway's part: payload format 2.0 in, responses out."""

import base64
import json
import re
from typing import Any

import pytest

from local import cors, gateway
from local.http_api import Cors
from local.template import Route

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
    """Make the payload of one request."""
    found = ROUTER.find(method, path)
    assert found
    scope = {
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers or []],
        "client": ("127.0.0.9", 4711),
        "server": ("127.0.0.1", 3000),
        "http_version": "1.1",
        "scheme": "http",
    }
    return gateway.payload(scope, *found, body, "request-1")


def test_a_request_becomes_a_payload_of_format_2() -> None:
    """With everything that AWS documents for it."""
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
            "host": "office.example:3000",
            "user-agent": "curl/8",
            "content-type": "application/json",
            "x-forwarded-for": "127.0.0.9",
            "x-forwarded-port": "3000",
            "x-forwarded-proto": "http",
        },
        "body": '{"a": 1}',
        "isBase64Encoded": False,
    }
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


def test_repeated_headers_are_joined_and_cookies_stand_apart() -> None:
    """Commas between values; each cookie by itself."""
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
    """By its content type, and base64 wherever it is no text after all."""
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
    """The more a path is fixed, the sooner it is taken."""
    found = ROUTER.find(method, path)
    assert found is not None
    assert (found[0].function, found[1]) == (function, parameters)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/book"), ("POST", "/book/"), ("GET", "/status/"), ("GET", "/a/b/c"), ("GET", "*"), ("GET", "")],
)
def test_what_has_no_route_is_not_found(method: str, path: str) -> None:
    """A slash at the end makes another path, as on AWS."""
    assert ROUTER.find(method, path) is None


def test_an_answer_becomes_a_response() -> None:
    """Headers in lower case, cookies as headers of their own, the length counted anew."""
    answer = {
        "statusCode": 201,
        "headers": {"Content-Type": "application/json", "Content-Length": "999", "Retry-After": 3},
        "cookies": ["a=1", "b=2"],
        "body": '"é"',
    }
    assert gateway.response(answer, "r") == (
        201,
        [
            (b"content-type", b"application/json"),
            (b"retry-after", b"3"),
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
            (b"content-length", b"4"),
            (b"apigw-requestid", b"r"),
        ],
        '"é"'.encode(),
    )


@pytest.mark.parametrize(
    ("answer", "status", "kind", "body"),
    [
        ({"ok": True}, 200, b"application/json", b'{"ok": true}'),
        ("text", 200, b"application/json", b"text"),
        (None, 200, b"application/json", b"null"),
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
def test_what_an_answer_leaves_out_is_filled_in(answer: Any, status: int, kind: bytes, body: bytes) -> None:
    """By the rules of format 2.0."""
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
        {"statusCode": 99},
        {"statusCode": 600},
        {"statusCode": "x"},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "body": "%", "isBase64Encoded": True},
        {"statusCode": 200, "headers": {"x": "a\r\nset-cookie: b"}},
        {"a": object()},
    ],
)
def test_an_answer_that_is_none_is_an_error(answer: Any) -> None:
    """The worker makes API Gateway's 500 of it."""
    with pytest.raises((TypeError, ValueError)):
        gateway.response(answer, "r")


def test_the_gateways_own_answers_are_those_of_api_gateway() -> None:
    """Word by word."""
    for refusal, message in (
        (gateway.UNAUTHORIZED, "Unauthorized"),
        (gateway.NOT_FOUND, "Not Found"),
        (gateway.FAILED, "Internal Server Error"),
        (gateway.TOO_LARGE, "Request Entity Too Large"),
    ):
        status, headers, body = gateway.refusal(refusal, "r")
        assert status == refusal[0]
        assert json.loads(body) == {"message": message}
        assert dict(headers)[b"content-type"] == b"application/json"


def test_what_a_function_says_about_other_origins_is_ignored() -> None:
    """Where the API has a list of them."""
    allowed = Cors(("https://a.example",), ("GET",), ("authorization",), (), 0)
    response = (200, [(b"access-control-allow-origin", b"*"), (b"content-type", b"text/plain")], b"x")
    for origin, said in ((b"https://a.example", [b"https://a.example"]), (b"https://b.example", [])):
        _, headers, body = cors.answered(allowed, [(b"origin", origin)], response)
        assert [value for name, value in headers if name == b"access-control-allow-origin"] == said
        assert ((b"content-type", b"text/plain") in headers, body) == (True, b"x")


def test_an_options_request_that_is_no_preflight_is_told_nothing() -> None:
    """A preflight says which method it is about."""
    allowed = Cors(("https://a.example",), ("GET",), ("authorization",), (), 0)
    assert cors.preflight(allowed, [(b"origin", b"https://a.example")], "r") == (204, [(b"apigw-requestid", b"r")], b"")
