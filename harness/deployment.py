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
NO_OBJECTS = b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>"


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

    def serve(method: str, path: str, headers: Fields, body: bytes) -> tuple[int, bytes]:
        if method == "GET":
            return (200, NO_OBJECTS) if "list-type=2" in path else (501, b"")
        content, target = json.loads(body), headers.get("x-amz-target", "")
        invocation = INVOCATION.fullmatch(unquote(path))
        if invocation and invoke:
            return 200, json.dumps(invoke(invocation[1], content)).encode()
        if operation := operations.get(target.rpartition(".")[2]):
            return 200, json.dumps(operation(content)).encode()
        return 501, b""

    with serving(serve, host) as url:
        found.url = url
        yield found
