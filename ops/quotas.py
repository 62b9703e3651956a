"""The quotas of the account in this region, by Service Quotas, and a stack as CloudFormation describes it.

The codes are those of the pages under https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from ops.errors import OpsError

CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4})


class Quota(Enum):
    """A quota: the service's code, and its own."""

    CONCURRENCY = ("lambda", "L-B99A9384")
    API_RATE = ("apigateway", "L-8A5B8E43")
    API_BURST = ("apigateway", "L-CDF5615A")
    TABLE_WRITES = ("dynamodb", "L-AB614373")
    TABLE_READS = ("dynamodb", "L-CF0CBE56")
    PUT_EVENTS = ("events", "L-9B653E91")
    SIGN_INS = ("cognito-idp", "L-026ADBA3")

    @property
    def code(self) -> str:
        """Return both codes, as a request to raise the quota names them."""
        return " ".join(self.value)


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack's parameters and outputs."""

    parameters: dict[str, str]
    outputs: dict[str, str]


def client(service: str) -> Any:
    """Return a client of boto3."""
    make: Any = boto3.client  # its type stubs have one overload per service
    return make(service, config=CONFIG)


def of_account(quota: Quota) -> int:
    """Return a quota of the account: its own value, or else AWS's default."""
    service, code = quota.value
    quotas, which = client("service-quotas"), {"ServiceCode": service, "QuotaCode": code}
    try:
        found = quotas.get_service_quota(**which)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchResourceException":  # its code for "never changed here"
            raise
        found = quotas.get_aws_default_service_quota(**which)
    return int(found["Quota"]["Value"])


def stack(name: str) -> Stack:
    """Read a stack. Raises OpsError if there is none of this name; botocore's errors."""
    try:
        [found] = client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":  # CloudFormation's code for an unknown name
            raise OpsError(f"there is no stack {name} in this account and region") from None
        raise
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in found.get("Parameters", ())}
    return Stack(parameters, {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())})
