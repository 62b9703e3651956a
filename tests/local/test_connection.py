"""What comes over a client's connection: limits, deadlines, upgrades and trailers."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from uvicorn.server import ServerState

from local import connection
from local.connection import HEAD_BYTES_MAX, LINE_AND_VALUES_BYTES_MAX, Connection

DEADLINE_S = 0.4
POST = b"POST /echo HTTP/1.1\r\nhost: localhost\r\n"
H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer /early at once, and otherwise with what was received."""
    body, more = b"", scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
    seen = {"method": scope["method"], "path": scope["path"], "headers": headers, "body": body.decode("latin-1")}
    answer = json.dumps(seen).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]})
    await send({"type": "http.response.body", "body": answer})


@pytest.fixture
def port() -> Iterator[int]:
    """Serve in a thread; yield the port."""
    loop = asyncio.new_event_loop()
    config = uvicorn.Config(echo, lifespan="off", log_config=None, access_log=False, ws="none")
    state = ServerState()
    made = loop.create_server(lambda: Connection(config, state, {}, loop), "127.0.0.1", 0)
    server = loop.run_until_complete(made)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(server.close)  # a server belongs to the thread of its loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def told(port: int, *parts: bytes) -> bytes:
    """Send parts, and return everything that comes until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = b""
        try:
            for part in parts:
                client.sendall(part)
            while data := client.recv(65_536):
                received += data
        except (ConnectionResetError, BrokenPipeError):  # it closed with data unread
            pass
        return received


def answered(client: socket.socket) -> bytes:
    """Return one answer, which ends with JSON."""
    received = b""
    while not received.endswith(b"}"):
        data = client.recv(65_536)
        assert data, received
        received += data
    return received


def asked(port: int, *parts: bytes) -> dict[str, Any]:
    """Send the parts of one request with `connection: close`; return what the application saw."""
    head, _, body = told(port, *parts).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    seen: dict[str, Any] = json.loads(body)
    return seen


@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("/echo", lambda left: [("x", "v" * left)]),
        ("/echo", lambda left: [("x", "v" * (left - 200)), *[("x", "vv")] * 100]),
        ("/echo", lambda left: [(f"x-{number}", "v" * (left // 10)) for number in range(10)]),
        ("long", lambda _: []),
    ],
    ids=["one header", "repeated headers", "ten headers", "the URL"],
)
def test_the_request_line_and_the_values_of_headers_are_limited(port: int, fits: bool, line: str, fields: Any) -> None:
    """As by API Gateway, to 10,240 bytes together."""
    budget = LINE_AND_VALUES_BYTES_MAX - 40 if fits else LINE_AND_VALUES_BYTES_MAX + 40
    path = f"/echo?{'x' * budget}" if line == "long" else line
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields(budget))
    answer = told(port, f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{lines}\r\n".encode())
    assert answer.split(b" ")[1] == (b"200" if fits else b"431")
    if not fits:
        assert answer.endswith(b'{"message":"Request Header Fields Too Large"}')


@pytest.mark.parametrize(
    "head",
    [
        b"".join(b"x%d:\r\n" % number for number in range(20_000)),
        b"x" * 2 * HEAD_BYTES_MAX,
        b"x: " + b"y" * 1_000_000,
        b"x: " + b" " * 1_000_000,
        b"x:\r\n" * 50_000,
    ],
    ids=["names", "one name", "one value", "blanks", "repeated"],
)
def test_a_head_is_bounded_even_without_values_and_without_an_end(port: int, head: bytes) -> None:
    """The server keeps little of it; a client that goes on sending is cut off."""
    chunks = [head[start : start + 8192] for start in range(0, len(head), 8192)]
    answer = told(port, b"GET /echo HTTP/1.1\r\nhost: localhost\r\n", *chunks)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    assert httpx.get(f"http://127.0.0.1:{port}/echo").status_code == 200


@pytest.mark.parametrize(
    "parts",
    [
        [b"GET"], [b"GET /echo HTTP/1.1\r\nhost: loc"], [POST + b"content-length: 5\r\n\r\nhal"],
        [POST + b"transfer-encoding: chunked\r\n\r\n5\r\nhal"],
        [POST + b"transfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\nx-trailer: "],
        [POST + H2C + b"content-length: 5\r\n\r\nhal"], [b"\r\n"],
    ],
    ids=["method", "header", "body", "chunk", "trailer", "upgrade", "nothing but a line end"],
)  # fmt: skip
def test_an_incomplete_request_is_ended(port: int, monkeypatch: pytest.MonkeyPatch, parts: list[bytes]) -> None:
    """The client learns why."""
    monkeypatch.setattr(connection, "REQUEST_S_MAX", DEADLINE_S)
    answer = told(port, *parts)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(b'{"message":"Request Timeout"}')


def test_a_second_incomplete_request_on_a_connection_is_ended(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it comes with the first request or after the first answer."""
    monkeypatch.setattr(connection, "REQUEST_S_MAX", DEADLINE_S)
    whole = b"GET /echo HTTP/1.1\r\nhost: localhost\r\n\r\n"
    answer = told(port, whole + whole + b"GET /ec")
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert answer.count(b"HTTP/1.1 408 ") == 1
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(whole)
        assert answered(client).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"GET /ec")
        assert answered(client).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_trickles_is_ended_too(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is that of the whole request, not of each byte."""
    monkeypatch.setattr(connection, "REQUEST_S_MAX", DEADLINE_S)
    with socket.create_connection(("127.0.0.1", port), 0.05) as client:
        client.sendall(POST + b"content-length: 10000\r\n\r\n")
        answer = b""
        for _ in range(200):
            try:
                client.sendall(b"x")
                answer += client.recv(1000)
            except TimeoutError:
                continue
            except OSError:
                break
            if answer:
                break
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_slow_answer_and_an_idle_connection_are_not_incomplete(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline ends with the request."""
    monkeypatch.setattr(connection, "REQUEST_S_MAX", DEADLINE_S)
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
        socket.create_connection(("127.0.0.1", port)) as idle,
    ):
        assert client.get("/echo").status_code == 200
        threading.Event().wait(2 * DEADLINE_S)
        assert client.get("/echo").status_code == 200
        idle.settimeout(5)
        idle.sendall(b"GET /echo HTTP/1.0\r\n\r\n")
        assert answered(idle).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("body", [b"", b'{"name": "x"}', b"x" * 200_000], ids=["none", "short", "long"])
@pytest.mark.parametrize("size", [1_000_000, 50], ids=["together", "in pieces"])
@pytest.mark.parametrize(
    "upgrade",
    [
        H2C,
        b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n",
        b"Upgrade: TLS/1.0\r\nConnection: close, Upgrade\r\n",
        b"connection: Upgrade\r\nconnection: close\r\nupgrade: h2c\r\nupgrade: other\r\n",
    ],
    ids=["h2c", "websocket", "tls", "repeated"],
)
def test_a_request_for_an_upgrade_is_answered_without_one(port: int, body: bytes, size: int, upgrade: bytes) -> None:
    """`curl --http2` and Java's HttpClient ask for HTTP/2 in their first request."""
    request = POST + upgrade + b"content-length: %d\r\n\r\n" % len(body) + body
    head_end = request.index(b"\r\n\r\n") + 4
    head = [request[start : start + size] for start in range(0, head_end, size)] if size < head_end else [request]
    rest = request[sum(map(len, head)) :]
    last = b"GET /last HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    answers = told(port, *head, rest, *([] if b"close" in upgrade else [last]))
    assert answers.startswith(b"HTTP/1.1 200 ")
    seen = json.loads(answers.split(b"\r\n\r\n", 1)[1].split(b"HTTP/1.1 200 ")[0])
    assert (seen["method"], seen["path"], seen["body"].encode()) == ("POST", "/echo", body)
    assert "upgrade" not in seen["headers"]
    assert seen["headers"]["host"] == "localhost"
    assert answers.count(b"HTTP/1.1 200 ") == (1 if b"close" in upgrade else 2)


def test_an_upgrade_with_a_chunked_body_keeps_it(port: int) -> None:
    """Java sends streams in this way."""
    seen = asked(
        port, POST + H2C.replace(b"Upgrade,", b"Upgrade, close,") + b"transfer-encoding: chunked\r\n\r\n",
        b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n",
    )  # fmt: skip
    assert seen["body"] == "abcde"


def test_a_tunnel_is_refused(port: int) -> None:
    """The office is no proxy."""
    assert told(port, b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\nGET").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("name", [b"Authorization", b"host", b"x-new", b"origin"])
def test_trailers_are_no_headers(port: int, name: bytes) -> None:
    """Otherwise a proxy that checks headers could be bypassed."""
    seen = asked(
        port, POST + b"connection: close\r\ntransfer-encoding: chunked\r\ntrailer: %b\r\n\r\n" % name,
        b"3\r\nabc\r\n0\r\n%b: 7\r\n\r\n" % name,
    )  # fmt: skip
    assert seen["body"] == "abc"
    assert seen["headers"].get(name.decode().lower(), "") in ("", "localhost")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        POST + b"content-length: -1\r\n\r\n",
        POST + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        POST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabcd",
        POST + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
        POST + b"transfer-encoding: chunked\r\n\r\n0\r\ncontent-length: 7\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_bad_request(port: int, request_bytes: bytes) -> None:
    """The connection ends, and the answer is JSON like every other."""
    answer = told(port, request_bytes)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b'{"message":"Bad Request"}')


def test_a_body_that_no_one_reads_is_not_kept(port: int) -> None:
    """The answer comes before it, and the rest is dropped as it arrives."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(b"POST /early HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3000000\r\n\r\n")
        assert answered(client).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"x" * 3_000_000 + b"GET /echo HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert answered(client).startswith(b"HTTP/1.1 200 ")
