"""Runs one function in a process of its own, as Lambda does: a payload per line in, what came of it per line out.

    python -m tests.artifact.invoke functions.book.app.handler

Each line that comes out is {"answer": ..., "requests": [[action, resource], ...]}: what the function answered, and what
it asked of AWS, in the terms of an IAM policy. Logs go to the error output.
"""

import importlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import boto3

from shared import wire
from tests.gateway import Context

requests: list[tuple[str, str]] = []


def main(handler_name: str) -> None:
    """Answer payloads until there are no more."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    session = boto3.session.Session()
    for service in ("lambda", "codedeploy", "s3"):
        session.events.register(f"before-parameter-build.{service}", record)
    boto3.DEFAULT_SESSION = session
    sent = wire.Client.call

    def call(client: wire.Client, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        requests.extend(privileges(operation, request))
        return sent(client, operation, request)

    setattr(wire.Client, "call", call)  # noqa: B010  # of every client, whoever makes it
    module, _, name = handler_name.rpartition(".")
    handler = getattr(importlib.import_module(module), name)
    for line in sys.stdin:
        requests.clear()
        answer = handler(json.loads(line), Context())
        print(json.dumps({"answer": answer, "requests": requests}), file=answers, flush=True)


def record(params: dict[str, Any], model: Any, **_: Any) -> None:
    """Note a request to AWS."""
    service = model.service_model.service_name
    if service == "lambda":
        requests.append((f"lambda:{model.name}Function", params["FunctionName"]))
    elif (service, model.name) == ("s3", "ListObjectsV2"):
        requests.append(("s3:ListBucket", params["Bucket"]))
    else:  # a deployment's group is known by its id only
        requests.append((f"{service}:{model.name}", "deploymentgroup:${AWS::StackName}-*/*"))


def privileges(operation: str, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a request needs: a transaction, what each of its items does; the others, what they are.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
    """
    if operation == "PutEvents":
        yield from ((f"events:{operation}", entry["EventBusName"]) for entry in params["Entries"])
    elif operation == "TransactWriteItems":
        for item in params["TransactItems"]:
            ((kind, request),) = item.items()
            yield f"dynamodb:{kind}Item", request["TableName"]
    elif operation == "BatchGetItem":
        yield from ((f"dynamodb:{operation}", table) for table in params["RequestItems"])
    elif "IndexName" in params:
        yield f"dynamodb:{operation}", f"{params['TableName']}/index/{params['IndexName']}"
    else:
        yield f"dynamodb:{operation}", params["TableName"]


if __name__ == "__main__":
    main(sys.argv[1])
