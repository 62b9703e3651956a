"""Stands in for the services that functions call besides DynamoDB: CodeDeploy, Lambda, EventBridge, and S3."""

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
    """The URL of the services, and what CodeDeploy was told: executions of the hook, with their status."""

    url: str = ""
    told: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def stand_in(invoke: Invoke | None = None, host: str = "127.0.0.1") -> Iterator[StandIn]:
    """Stand in for CodeDeploy, EventBridge and an empty S3 bucket; with `invoke`, also for Lambda."""
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
                self._respond(invoke(invocation[1], body))
            elif operation := operations.get(target.rpartition(".")[2]):
                self._respond(operation(body))
            else:
                self.send_error(501)

        def do_GET(self) -> None:
            if "list-type=2" in self.path:
                self._send(b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>")
            else:
                self.send_error(501)

        def _respond(self, content: dict[str, Any]) -> None:
            self._send(json.dumps(content).encode())

        def _send(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

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
