"""Check: after CodeDeploy has moved the traffic to a new version, test the office, and report whether it works.

If the check fails, CodeDeploy rolls the deployment back.
"""

from typing import Any

from functions.check import aws, visit
from shared.telemetry import logger

RESERVE_S = 10.0  # of the invocation's time, kept for the report to CodeDeploy


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, str | None]:
    """Test the office and report the result to CodeDeploy. Return what is wrong, None if nothing is."""
    deployment_id = event["DeploymentId"]
    budget_s = context.get_remaining_time_in_millis() / 1000 - RESERVE_S
    wrong = visit.what_is_wrong(lambda: aws.group_of(deployment_id), aws.invoke, budget_s)
    if wrong:
        logger.error("DeploymentCheckFailed", extra={"deployment_id": deployment_id, "wrong": wrong})
    else:
        logger.info("DeploymentCheckSucceeded", extra={"deployment_id": deployment_id})
    aws.report(deployment_id, event["LifecycleEventHookExecutionId"], succeeded=wrong is None)
    return {"wrong": wrong}
