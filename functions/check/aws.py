"""The check's calls to AWS: invoke the office's functions, and report the result to CodeDeploy."""

import json
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import boto3
from botocore.config import Config

from shared import runtime

# For each route, the variable in which template.yaml names its function, with the alias.
FUNCTIONS: Final[Mapping[str, str]] = {
    "POST /initialize": "INITIALIZE_FUNCTION",
    "POST /book": "BOOK_FUNCTION",
    "POST /cancel": "CANCEL_FUNCTION",
    "GET /status/{eventId}": "STATUS_FUNCTION",
}

# A function responds within its time-out of 10 s. If the response is lost, boto3 sends the request again (P7).
_config = Config(connect_timeout=2, read_timeout=15, retries={"mode": "standard", "total_max_attempts": 3})


@cache
def _client(service: str) -> Any:
    make: Any = boto3.client
    return make(service, config=_config)


def group_of(deployment_id: str) -> str:
    """Return the deployment group. Each function has its own."""
    return str(
        _client("codedeploy").get_deployment(deploymentId=deployment_id)["deploymentInfo"]["deploymentGroupName"]
    )


def report(deployment_id: str, execution_id: str, *, succeeded: bool) -> None:
    """Tell CodeDeploy to complete the deployment or to roll it back."""
    _client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=deployment_id,
        lifecycleEventHookExecutionId=execution_id,
        status="Succeeded" if succeeded else "Failed",
    )


def invoke(
    route: str,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    path: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    """Send a request to the function of a route, as API Gateway does. Return the status and body of the response.

    The caller is the user that the request names, and an organiser: a function trusts the claims in the payload, and
    IAM decides who may invoke it.

    The request does not go through API Gateway: its routes refer to the aliases, and the aliases' deployments refer to
    this function, so this function cannot refer to the API. Raises RuntimeError if the function fails.
    """
    environment = runtime.current.environment
    method, raw_path = route.format(**(path or {})).split(" ", 1)
    user_id = {**(body or {}), **(query or {})}.get("userId", "deployment-check")
    payload = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": raw_path,
        "rawQueryString": "&".join(f"{name}={value}" for name, value in (query or {}).items()),
        "headers": {"content-type": "application/json", **(headers or {})},
        "queryStringParameters": dict(query or {}),
        "pathParameters": dict(path or {}),
        "requestContext": {
            "http": {"method": method, "path": raw_path, "protocol": "HTTP/1.1", "sourceIp": "", "userAgent": "check"},
            "requestId": str(uuid.uuid4()),
            "routeKey": route,
            "stage": "$default",
            "authorizer": {
                "jwt": {
                    "claims": {"sub": user_id, environment["USER_CLAIM"]: user_id, "scope": "organiser"},
                    "scopes": None,
                }
            },
        },
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }
    result = _client("lambda").invoke(FunctionName=environment[FUNCTIONS[route]], Payload=json.dumps(payload))
    text = result["Payload"].read().decode()
    if "FunctionError" in result:
        raise RuntimeError(f"{route} failed: {text}")
    response = json.loads(text)
    return response["statusCode"], json.loads(response["body"])
