"""Stands in for what functions call beside DynamoDB: CodeDeploy, Lambda's way to a function, a bus, an empty bucket."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

Invoke = Callable[[str, dict[str, Any]], dict[str, Any]]

GROUP = "office-BookFunctionDeploymentGroup-1A2B3C4D5E6F"
INVOCATION = re.compile(r"/2015-03-31/functions/(\w+):live/invocations")


@dataclass
class StandIn:
    """Where it answers, and what CodeDeploy has been told: the hook's execution and its status."""

    url: str = ""
    told: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def stand_in(invoke: Invoke | None = None, host: str = "127.0.0.1") -> Iterator[StandIn]:
    """Answer for CodeDeploy, S3 and EventBridge, and, where `invoke` is given, for Lambda with what that answers."""
    found = StandIn()

    def put_status(body: dict[str, Any]) -> dict[str, Any]:
        found.told.append((body["lifecycleEventHookExecutionId"], body["status"]))
        return {}

    operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "GetDeployment": lambda _: {"deploymentInfo": {"deploymentGroupName": GROUP}},
        "PutLifecycleEventHookExecutionStatus": put_status,
        "PutEvents": lambda body: {"FailedEntryCount": 0, "Entries": [{"EventId": "0"} for _ in body["Entries"]]},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            target = self.headers.get("x-amz-target", "")
            invocation = INVOCATION.fullmatch(unquote(self.path))
            if invocation and invoke:
                self._answer(invoke(invocation[1], body))
            elif operation := operations.get(target.rpartition(".")[2]):
                self._answer(operation(body))
            else:
                self.send_error(501)

        def do_GET(self) -> None:
            if "list-type=2" in self.path:
                self._send(b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>")
            else:
                self.send_error(501)

        def _answer(self, answer: dict[str, Any]) -> None:
            self._send(json.dumps(answer).encode())

        def _send(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((host, 0), Handler)
    found.url = f"http://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
