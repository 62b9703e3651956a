"""Stands in for the services that functions call besides DynamoDB: CodeDeploy, Lambda, EventBridge, and S3."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from harness.serving import Fields, serving

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

    def serve(method: str, target: str, headers: Fields, body: bytes) -> tuple[int, bytes]:
        if method == "GET" and "list-type=2" in target:
            return 200, b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>"
        invocation = INVOCATION.fullmatch(unquote(target))
        operation = operations.get(headers.get("x-amz-target", "").rpartition(".")[2])
        if invocation and invoke:
            return 200, json.dumps(invoke(invocation[1], json.loads(body))).encode()
        return (200, json.dumps(operation(json.loads(body))).encode()) if operation else (501, b"")

    with serving(serve, host) as found.url:
        yield found
