"""A network between the office and the engine, which can fail requests as real networks and databases do.

The office's own client sends to it over a real socket. A test decides what happens to the next requests.
"""

import http.client
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared import runtime
from shared.store import aws_client
from shared.store.aws_client import Client

CALL_TIMEOUT_S = 0.1  # replaces the client's own; the engine takes some milliseconds
_STOP_S_MAX = 5.0


class ConnectionClosed(Exception):
    """The connection closes without a response."""


class Silence(Exception):
    """The connection stays open, and no response comes."""


@dataclass(frozen=True)
class Sent:
    """A signed request on its way."""

    operation: str
    headers: dict[str, str]
    body: bytes

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the request's body, parsed."""
        found: dict[str, Any] = json.loads(self.body)
        return found


Reply = tuple[int, bytes]
Intercept = Callable[[Sent], Reply | None]  # None lets the request pass; it may raise one of the two above


@dataclass
class Network:
    """The network: its engine, what happens to a request, and the names of the operations sent so far."""

    engine: str
    intercept: Intercept = lambda _: None
    sent: list[str] = field(default_factory=list)

    def deliver(self, request: Sent) -> Reply:
        """Send a request to the engine."""
        connection = http.client.HTTPConnection(urlsplit(self.engine).netloc, timeout=_STOP_S_MAX)
        try:
            connection.request("POST", "/", request.body, request.headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def reply(self, request: Sent) -> Reply:
        """Reply to a request, as the test decides."""
        self.sent.append(request.operation)
        return self.intercept(request) or self.deliver(request)


def error(status: int, code: str, **more: Any) -> Reply:
    """Return an error response of DynamoDB."""
    return status, json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "x", **more}).encode()


@contextmanager
def network() -> Iterator[Network]:
    """Send the office's requests through a network while the block runs."""
    between = Network(os.environ["AWS_ENDPOINT_URL_DYNAMODB"])
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("_Handler", (_Handler,), {"network": between}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aws_client, "CALL_TIMEOUT_S", CALL_TIMEOUT_S)
        patch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{server.server_port}")
        client = Client.of_environment()
        patch.setattr(runtime.current, "client", client)
        try:
            yield between
        finally:
            client.connection.close()
            server.shutdown()
            server.server_close()
            thread.join(_STOP_S_MAX)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body of a response are two writes
    network: Network

    def do_POST(self) -> None:
        headers = dict(self.headers.items())
        operation = headers["x-amz-target"].rpartition(".")[2]
        request = Sent(operation, headers, self.rfile.read(int(headers["content-length"])))
        try:
            status, body = self.network.reply(request)
        except Silence:
            self.rfile.read(1)  # until the client closes
            self.close_connection = True
            return
        except ConnectionClosed:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""
