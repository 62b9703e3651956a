"""The event bus of one machine: takes PutEvents as EventBridge does, and keeps what it took as JSON lines.

python -m local.bus ARGUMENTS (JSON, from the supervisor)

It has no rules and no targets: who wants to hear reads the lines, or GET /local/events of the office.
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local import runtime
from local.announcements import Writer
from local.child import child
from local.listening import listen

BUS_VARIABLE = "AWS_ENDPOINT_URL_EVENTBRIDGE"  # where the SDK looks for the address of a bus
ENTRIES_MAX = 10
BYTES_MAX = 256 * 1024
_TARGET = "AWSEvents.PutEvents"
_ACCOUNT = "000000000000"
_IDLE_S_MAX = 120  # a connection that says nothing for so long is closed
_NEEDED = ("Source", "DetailType", "Detail")


class RefusedError(Exception):
    """The request as a whole is none that EventBridge takes; the arguments are its code and message."""


def put_events(request: Any, writer: Writer) -> dict[str, Any]:
    """Take the entries of a PutEvents that are good; say of each what became of it.

    Raises: RefusedError.
    """
    entries = request.get("Entries") if isinstance(request, dict) else None
    if not (isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries)):
        raise RefusedError("ValidationException", "Entries is a list of at least one object")
    if len(entries) > ENTRIES_MAX:
        raise RefusedError("ValidationException", f"Entries has {ENTRIES_MAX} members at the most")
    if sum(_size(entry) for entry in entries) > BYTES_MAX:
        raise RefusedError("ValidationException", f"Entries have {BYTES_MAX} bytes at the most")
    answers, lines = [], []
    for entry in entries:
        event_id = str(uuid.uuid4())
        trouble = _trouble(entry)
        answers.append({"ErrorCode": trouble[0], "ErrorMessage": trouble[1]} if trouble else {"EventId": event_id})
        if not trouble:
            lines.append(json.dumps(_as_targets_see(entry, event_id), ensure_ascii=False).encode())
    if lines:
        writer.append(lines)
    return {"FailedEntryCount": len(entries) - len(lines), "Entries": answers}


def _size(entry: Mapping[str, Any]) -> int:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html, the time with 14 bytes."""
    return 14 + sum(len(str(entry.get(name, "")).encode()) for name in _NEEDED)


def _trouble(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    if missing := [name for name in _NEEDED if not entry.get(name)]:
        return "InvalidArgument", f"{missing[0]} is missing"
    try:
        detail = json.loads(entry["Detail"])
    except (TypeError, ValueError):
        detail = None
    return None if isinstance(detail, dict) else ("MalformedDetail", "Detail is malformed.")


def _as_targets_see(entry: Mapping[str, Any], event_id: str) -> dict[str, Any]:
    """https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html."""
    moment = datetime.fromtimestamp(entry["Time"], UTC) if "Time" in entry else datetime.now(UTC)
    return {
        "version": "0",
        "id": event_id,
        "detail-type": entry["DetailType"],
        "source": entry["Source"],
        "account": _ACCOUNT,
        "time": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "region": os.environ.get("AWS_REGION", "us-east-1"),
        "resources": entry.get("Resources", []),
        "detail": json.loads(entry["Detail"]),
    }


def server(listening: socket.socket, folder: Path) -> HTTPServer:
    """Make the server on a socket that listens already; its clients are a function or two on this machine."""
    writer, lock = Writer(folder), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _IDLE_S_MAX

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            if self.headers.get("x-amz-target") != _TARGET or length > 2 * BYTES_MAX:
                self.close_connection = True
                self._answer(400, {"__type": "ValidationException", "message": f"{_TARGET} is answered here"})
                return
            try:
                request = json.loads(self.rfile.read(length))
                with lock:
                    answer = put_events(request, writer)
            except (ValueError, OverflowError, TypeError):
                self._answer(400, {"__type": "SerializationException"})
            except RefusedError as error:
                code, message = error.args
                self._answer(400, {"__type": code, "message": message})
            else:
                self._answer(200, answer)

        def _answer(self, status: int, body: Mapping[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response_only(status)
            self.send_header("content-type", "application/x-amz-json-1.1")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its own name for it
            """Write no line for each request."""

    made = ThreadingHTTPServer(listening.getsockname()[:2], Handler, bind_and_activate=False)
    made.socket.close()
    made.socket = listening
    made.daemon_threads = True
    return made


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Give the URL of a bus in this process, which keeps its lines in that folder; the folder must be ours alone."""
    made = server(listen("127.0.0.1", 0, 1)[0], folder)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_address[1]}"
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


def main() -> None:
    """Serve on the listening socket that the supervisor made, until it says stop."""
    with child() as (arguments, lifeline, _):
        made = server(socket.socket(fileno=arguments["socket"]), Path(arguments["announcements"]))
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        runtime.log("the event bus is open")
        lifeline.ready()
        lifeline.stop.wait()


if __name__ == "__main__":
    main()
