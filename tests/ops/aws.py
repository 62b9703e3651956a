"""A stack on AWS: moto provides CloudFormation and S3, the engine the tables.

moto does not affect clients that were created before it, such as the office's own, or that have another endpoint.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto import mock_aws

from local.template import load

STACK = "tickets"
BUCKET = "failed-records-of-the-stack"
BUS = "announcements-of-the-stack"
DEFAULT_QUOTA = 12_345.0


@contextmanager
def stack(tables: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Create a stack with the outputs of template.yaml and its bucket; yield an S3 client.

    `tables` gives the tables' names by output; by default they are the engine's.
    """
    engine = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    with mock_aws(config={"core": {"passthrough": {"urls": [engine], "services": ["dynamodb"]}}}):
        names = {table.name: table.name for table in load().tables} | dict(tables or {})
        outputs = {name: {"Value": value} for name, value in names.items()}
        others = {"FailedRecordsBucket": {"Value": BUCKET}, "EventBus": {"Value": BUS}}
        bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}}
        document = {"Resources": {"Bucket": bucket}, "Outputs": outputs | others}
        make: Any = boto3.client
        make("cloudformation").create_stack(StackName=STACK, TemplateBody=json.dumps(document))
        yield make("s3")


@contextmanager
def account(quotas: Mapping[str, float], concurrency: Mapping[str, int]) -> Iterator[None]:
    """Answer what moto cannot: Service Quotas, by the quota's code, and Lambda's settings of the account.

    A quota that is not there was never changed in the account; it has AWS's default, DEFAULT_QUOTA.
    """

    def quota(params: Mapping[str, Any], **_: Any) -> Any:
        code = json.loads(params["body"])["QuotaCode"]
        if code in quotas:
            return _answer({"Quota": {"QuotaCode": code, "Value": quotas[code]}})
        return _answer({"Error": {"Code": "NoSuchResourceException", "Message": "no such quota"}}, status=404)

    def default(params: Mapping[str, Any], **_: Any) -> Any:
        return _answer({"Quota": {"QuotaCode": json.loads(params["body"])["QuotaCode"], "Value": DEFAULT_QUOTA}})

    def session(*arguments: Any, **names: Any) -> Any:
        made = boto3_session(*arguments, **names)
        made.events.register("before-call.service-quotas.GetServiceQuota", quota)
        made.events.register("before-call.service-quotas.GetAWSDefaultServiceQuota", default)
        made.events.register(
            "before-call.lambda.GetAccountSettings", lambda **_: _answer({"AccountLimit": concurrency})
        )
        return made

    boto3_session: Any = boto3.session.Session
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3.session, "Session", session)
        patch.setattr(boto3, "DEFAULT_SESSION", session())
        yield


def _answer(parsed: dict[str, Any], status: int = 200) -> tuple[Any, dict[str, Any]]:
    """Return what botocore takes for the response to a call, instead of sending it."""
    return AWSResponse("", status, HTTPHeaders(), None), parsed
