"""Tracing: each request to the database becomes a subsegment of the invocation's trace in X-Ray.

Loaded only if the stack's parameter Tracing is on. Lambda itself sends the segment of the invocation. We send the
subsegments to the X-Ray daemon, which runs beside every function, in datagrams: without a response or a library.
https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html
"""

import json
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from shared import runtime
from shared.store.aws_client import Client, NoResponse, RequestFailed

HEADER = b'{"format": "json", "version": 1}\n'


class Traced(Client):
    """A client that reports each of its requests."""

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request as Client does, and report it to X-Ray. Raises RequestFailed; NoResponse."""
        begun_at_s = runtime.current.time_s()
        try:
            response = super().call(operation, request)
        except RequestFailed as error:
            kind = "fault" if error.status >= 500 else "error"  # noqa: PLR2004  # HTTP's status classes
            # A refused condition counts as an error, too.
            _send(operation, begun_at_s, {"http": {"response": {"status": error.status}}, kind: True})
            raise
        except NoResponse as error:
            _send(operation, begun_at_s, {"fault": True, "annotations": {"cause": error.cause}})
            raise
        _send(operation, begun_at_s, {"http": {"response": {"status": 200}}})
        return response


def _send(operation: str, begun_at_s: float, outcome: Mapping[str, Any]) -> None:
    """Send the subsegment if this invocation is sampled. A lost subsegment is no failure."""
    header = runtime.current.environment.get("_X_AMZN_TRACE_ID", "")  # Root=1-...;Parent=...;Sampled=1
    ids = dict(part.partition("=")[::2] for part in header.split(";"))
    host, _, port = runtime.current.environment.get("AWS_XRAY_DAEMON_ADDRESS", "").rpartition(":")
    if ids.get("Sampled") != "1" or not host:
        return
    subsegment = {
        "type": "subsegment",
        "name": "DynamoDB",
        "namespace": "aws",
        "id": secrets.token_hex(8),
        "trace_id": ids.get("Root"),
        "parent_id": ids.get("Parent"),
        "start_time": begun_at_s,
        "end_time": runtime.current.time_s(),
        "aws": {"operation": operation},
        **outcome,
    }
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(HEADER + json.dumps(subsegment).encode(), (host, int(port)))
