"""What the check asks of AWS: to invoke the functions of the office, and to go on with a deployment or not."""

import json
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import boto3
from botocore.config import Config

from shared import runtime

# The variables with the alias of the function behind each route.
FUNCTIONS: Final[Mapping[str, str]] = {
    "POST /initialize": "INITIALIZE_FUNCTION",
    "POST /book": "BOOK_FUNCTION",
    "POST /cancel": "CANCEL_FUNCTION",
    "GET /status/{eventId}": "STATUS_FUNCTION",
}

# A function answers within its time-out of 10 s; an answer that is lost is asked for again, which is harmless (P7).
_config = Config(connect_timeout=2, read_timeout=15, retries={"mode": "standard", "total_max_attempts": 3})


@cache
def _client(service: str) -> Any:
    make: Any = boto3.client
    return make(service, config=_config)


def group_of(deployment_id: str) -> str:
    """Return the deployment group, which is that of one function."""
    return str(
        _client("codedeploy").get_deployment(deploymentId=deployment_id)["deploymentInfo"]["deploymentGroupName"]
    )


def report(deployment_id: str, execution_id: str, *, succeeded: bool) -> None:
    """Let the deployment go on, or have it rolled back."""
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
    """Send a request to the function of a route, as API Gateway does; return the status and the body of its answer.

    Whom the request names asks, and is an organiser: the functions take the claims of a token from whoever may invoke
    them, and IAM says who that is.

    Not through API Gateway: its routes name the aliases, the aliases' deployments name this function, and so this
    function cannot name the API. Raises RuntimeError when the function did not answer.
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
    answer = _client("lambda").invoke(FunctionName=environment[FUNCTIONS[route]], Payload=json.dumps(payload))
    text = answer["Payload"].read().decode()
    if "FunctionError" in answer:
        raise RuntimeError(f"{route} died: {text}")
    result = json.loads(text)
    return result["statusCode"], json.loads(result["body"])
