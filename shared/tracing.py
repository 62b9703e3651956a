"""Tracing: each request to the database becomes a subsegment of the invocation's trace in X-Ray.

Loaded only where the stack's parameter Tracing is on. The segment of the invocation itself is Lambda's own; what we
add goes to the daemon that runs beside every function, in a datagram, without an answer and without a library.
https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html
"""

import json
import os
import secrets
import socket
import time
from contextlib import suppress
from typing import Any

HEADER = b'{"format": "json", "version": 1}\n'

_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
_socket.setblocking(False)


def trace(client: Any) -> None:
    """Have a client of botocore's report each of its requests."""
    client.meta.events.register("before-call.dynamodb", _begin)
    client.meta.events.register("after-call.dynamodb", _end)
    client.meta.events.register("after-call-error.dynamodb", _fail)


def _begin(context: dict[str, Any], model: Any, **_: Any) -> None:
    context["traced"] = (model.name, time.time())


def _end(context: dict[str, Any], http_response: Any, **_: Any) -> None:
    status = http_response.status_code
    outcome: dict[str, Any] = {"http": {"response": {"status": status}}}
    if status >= 500:  # noqa: PLR2004  # HTTP's classes
        outcome["fault"] = True
    elif status >= 400:  # noqa: PLR2004
        outcome["error"] = True  # a condition that did not hold is one, too
    _send(context, outcome)


def _fail(context: dict[str, Any], exception: Exception, **_: Any) -> None:
    _send(context, {"fault": True, "annotations": {"cause": type(exception).__name__}})  # there was no answer


def _send(context: dict[str, Any], outcome: dict[str, Any]) -> None:
    """Send the subsegment if this invocation is sampled. Nothing fails because a trace is lost."""
    header = os.environ.get("_X_AMZN_TRACE_ID", "")  # Root=1-...;Parent=...;Sampled=1, anew for each invocation
    ids = dict(part.partition("=")[::2] for part in header.split(";"))
    host, _, port = os.environ.get("AWS_XRAY_DAEMON_ADDRESS", "").rpartition(":")
    if ids.get("Sampled") != "1" or not host:
        return
    operation, begun_at_s = context["traced"]
    subsegment = {
        "type": "subsegment",
        "name": "DynamoDB",
        "namespace": "aws",
        "id": secrets.token_hex(8),
        "trace_id": ids.get("Root"),
        "parent_id": ids.get("Parent"),
        "start_time": begun_at_s,
        "end_time": time.time(),
        "aws": {"operation": operation},
        **outcome,
    }
    with suppress(OSError):
        _socket.sendto(HEADER + json.dumps(subsegment).encode(), (host, int(port)))
