"""The privileges that this process uses, in the terms of an IAM policy.

A privilege is an action and its resource, as the request names it: ("dynamodb:Query", "Table/index/changing").
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
import pytest

from shared.store import aws_client

Privilege = tuple[str, str]


@contextmanager
def noted() -> Iterator[set[Privilege]]:
    """Yield a set that collects the privileges of each request, by our client and by new clients of boto3."""
    found: set[Privilege] = set()
    sent = aws_client.Client.call

    def call(client: aws_client.Client, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        found.update(of_wire(operation, request))
        return sent(client, operation, request)

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        found.add(of_boto3(model.service_model.service_name, model.name, params))

    session = boto3.session.Session()
    session.events.register("before-parameter-build", note)  # for every service
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aws_client.Client, "call", call)  # of all clients
        patch.setattr(boto3, "DEFAULT_SESSION", session)
        yield found


def of_wire(operation: str, params: Mapping[str, Any]) -> Iterator[Privilege]:
    """Yield the privileges that a request of our client needs; for a transaction, one for each item.

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


def of_boto3(service: str, operation: str, params: Mapping[str, Any]) -> Privilege:
    """Return the privilege that a request of boto3 needs; on "?" if this function does not know its resource.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
    """
    match service, operation:
        case "lambda", "Invoke":
            return "lambda:InvokeFunction", params["FunctionName"]
        case "s3", "ListObjectsV2":
            return "s3:ListBucket", params["Bucket"]
        case "s3", "GetObject" | "DeleteObject":
            return f"s3:{operation}{'Version' * ('VersionId' in params)}", f"{params['Bucket']}/*"
        case "cloudformation", "DescribeStacks":
            return f"{service}:{operation}", params["StackName"]
        case "codedeploy", _:  # the request has only the id of a deployment, not its group
            return f"{service}:{operation}", "deploymentgroup:${AWS::StackName}-ServerlessDeploymentApplication-*/*"
    return f"{service.replace('-', '')}:{operation}", params.get("TableName", "?")
