"""The event bus of one machine: accepts PutEvents like EventBridge and keeps the events as JSON lines.

python -m local.bus ARGUMENTS (JSON, from the supervisor)

It has no rules and no targets: clients read GET /local/events of the office. It accepts only requests that are signed
with the secret access key of this run, and none that a web page sends.
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

import hmac
import json
import os
import re
import socket
import socketserver
import threading
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httptools

from local import runtime
from local.announcements import Writer
from local.child import LOW_PRIORITY, child
from local.listening import in_background, listen
from shared.store.signing import Signer, credentials

BUS_VARIABLE = "AWS_ENDPOINT_URL_EVENTBRIDGE"  # tells the SDK the address of the bus
ENTRIES_MAX = 10
BYTES_MAX = 256 * 1024
_REQUEST_BYTES_MAX = 2 * BYTES_MAX  # with its headers: JSON escapes some characters
_HEADERS_MAX = 50
_RECEIVE_BYTES = 65_536
_TARGET = "AWSEvents.PutEvents"
_json = json.JSONEncoder(ensure_ascii=False).encode
_HEADERS = "content-type: application/x-amz-json-1.1\r\n"
_ACCOUNT = "000000000000"
_IDLE_S_MAX = 120.0  # then an idle connection is closed
_REQUEST_S_MAX = 10.0  # then a connection with an incomplete request is closed
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/,]+/\d{8}/([^/,]+)/([^/,]+)/aws4_request,"
    r" *SignedHeaders=([^,]+), *Signature=([0-9a-f]+)"
)
_MOMENT = "%Y%m%dT%H%M%SZ"
_NEEDED = ("Source", "DetailType", "Detail")


class RefusedError(Exception):
    """EventBridge would refuse the entry or the request; the arguments are its code and message."""


def is_signed(headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether a request is signed with this process's secret access key."""
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if not found:
        return False
    region, service, names, signature = found.groups()
    own = {name: headers.get(name, "") for name in names.split(";") if name not in ("host", "x-amz-date")}
    try:
        moment = datetime.strptime(headers.get("x-amz-date", ""), _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        return False
    expected = Signer(service, headers.get("host", ""), region, credentials()).headers(body, own, moment)
    return hmac.compare_digest(expected["authorization"].rpartition("=")[2], signature)


def put_events(request: Any, writer: Writer) -> dict[str, Any]:
    """Keep the valid entries of a PutEvents request; return the result of each entry. Raises: RefusedError; OSError."""
    entries = request.get("Entries") if isinstance(request, dict) else None
    if not (isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries)):
        raise RefusedError("ValidationException", "Entries is a list of at least one object")
    if len(entries) > ENTRIES_MAX:
        raise RefusedError("ValidationException", f"Entries has at most {ENTRIES_MAX} members")
    if sum(_size(entry) for entry in entries) > BYTES_MAX:
        raise RefusedError("ValidationException", f"Entries have at most {BYTES_MAX} bytes")
    answers, lines = [], []
    for entry in entries:
        event_id = str(uuid.uuid4())
        try:
            lines.append(_json(_as_targets_see(entry, event_id)).encode())
            answers.append({"EventId": event_id})
        except RefusedError as error:
            answers.append(dict(zip(("ErrorCode", "ErrorMessage"), error.args, strict=True)))
    if lines:
        writer.append(lines)
    return {"FailedEntryCount": len(entries) - len(lines), "Entries": answers}


def _size(entry: Mapping[str, Any]) -> int:
    """Return an entry's size: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html."""
    return 14 + sum(len(str(entry.get(name, "")).encode()) for name in _NEEDED)


def _detail(entry: Mapping[str, Any]) -> dict[str, Any]:
    if missing := [name for name in _NEEDED if not entry.get(name)]:
        raise RefusedError("InvalidArgument", f"{missing[0]} is missing")
    try:
        detail = json.loads(entry["Detail"])
    except (TypeError, ValueError):
        detail = None
    if not isinstance(detail, dict):
        raise RefusedError("MalformedDetail", "Detail is malformed.")
    return detail


def _as_targets_see(entry: Mapping[str, Any], event_id: str) -> dict[str, Any]:
    """Return the event as targets get it: https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html.

    Raises: RefusedError.
    """
    detail = _detail(entry)
    moment = time.gmtime(entry.get("Time"))
    return {
        "version": "0",
        "id": event_id,
        "detail-type": entry["DetailType"],
        "source": entry["Source"],
        "account": _ACCOUNT,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", moment),
        "region": os.environ.get("AWS_REGION", "us-east-1"),
        "resources": entry.get("Resources", []),
        "detail": detail,
    }


class Server(socketserver.ThreadingTCPServer):
    """The bus on its socket; only a function or two on this machine call it."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, folder: Path) -> None:
        """Take a listening socket, and a folder that no other process writes to."""
        super().__init__(listening.getsockname()[:2], _Connection, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self._writer, self._lock = Writer(folder), threading.Lock()

    def answer(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, Any]]:
        """Return the status of a request and the answer, which becomes JSON."""
        if "origin" in headers or not is_signed(headers, body):
            return 403, {
                "__type": "AccessDeniedException",
                "message": "the secret of this run did not sign the request",
            }
        target = headers.get("x-amz-target")
        if target != _TARGET:
            return 400, {"__type": "ValidationException", "message": f"only {_TARGET} is supported here"}
        try:
            with self._lock:
                return 200, put_events(json.loads(body), self._writer)
        except (ValueError, OverflowError, TypeError):
            return 400, {"__type": "SerializationException"}
        except RefusedError as error:
            code, message = error.args
            return 400, {"__type": code, "message": message}
        except Exception as error:  # noqa: BLE001  # for example a full disk: the client tries again
            runtime.log("the event bus failed", exception=traceback.format_exc())
            return 500, {"__type": "InternalException", "message": type(error).__name__}


class _Connection(socketserver.BaseRequestHandler):
    """Reads requests and answers them; http.server and web frameworks take four times as long."""

    server: Server

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._is_open = True
        self._received = 0  # bytes of the present request
        self._until_s = 0.0
        self.on_message_begin()
        self._parser = httptools.HttpRequestParser(self)
        with suppress(OSError, httptools.HttpParserError):
            while self._is_open and self._received <= _REQUEST_BYTES_MAX and (data := self._receive()):
                self._parser.feed_data(data)

    def _receive(self) -> bytes:
        """Return more of a request; nothing at its end. Raises: OSError, for example when it takes too long."""
        left_s = self._until_s - time.monotonic() if self._received else _IDLE_S_MAX
        self.request.settimeout(max(0.001, left_s))
        data: bytes = self.request.recv(_RECEIVE_BYTES)
        if not self._received:
            self._until_s = time.monotonic() + _REQUEST_S_MAX
        self._received += len(data)
        return data

    def on_message_begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._takes_headers = True
        self._body: bytes = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._takes_headers and len(self._headers) < _HEADERS_MAX:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._takes_headers = False  # what follows the body are trailers

    def on_body(self, part: bytes) -> None:
        self._body += part

    def on_message_complete(self) -> None:
        self._received = 0
        status, answer = self.server.answer(self._headers, self._body)
        self._is_open = self._parser.should_keep_alive()
        body = json.dumps(answer).encode()
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-length: {len(body)}\r\n{_HEADERS}\r\n"
        self.request.sendall(head.encode() + body)  # in one piece: a second one would wait for an acknowledgement


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a bus in this process, as the only writer to the folder; yield its URL."""
    server = Server(listen("127.0.0.1", 0), folder)
    with in_background(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"


def main() -> None:
    """Serve on the supervisor's listening socket until it says stop."""
    with child() as (arguments, lifeline, _):
        os.nice(LOW_PRIORITY)
        server = Server(socket.socket(fileno=arguments["socket"]), Path(arguments["announcements"]))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": None}, daemon=True).start()
        runtime.log("the event bus is open")
        lifeline.ready()
        lifeline.stop.wait()


if __name__ == "__main__":
    main()
