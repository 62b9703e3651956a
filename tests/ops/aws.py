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
from botocore.model import OperationModel
from botocore.validate import ParamValidator
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

    A quota that is not there was never changed in the account; it has AWS's default, DEFAULT_QUOTA. The responses are
    those that the AWS CLI's reference shows, with other numbers, and must be of the form that botocore's models state.
    """

    def quota(model: OperationModel, params: Mapping[str, Any], **_: Any) -> Any:
        asked = json.loads(params["body"])
        if asked["QuotaCode"] in quotas:
            return _answer(model, _quota(asked, quotas[asked["QuotaCode"]]))
        return _refusal(model, "NoSuchResourceException")

    def default(model: OperationModel, params: Mapping[str, Any], **_: Any) -> Any:
        return _answer(model, _quota(json.loads(params["body"]), DEFAULT_QUOTA))

    def settings(model: OperationModel, **_: Any) -> Any:
        sizes = {"TotalCodeSize": 80530636800, "CodeSizeUnzipped": 262144000, "CodeSizeZipped": 52428800}
        usage = {"TotalCodeSize": 9426, "FunctionCount": 4}
        return _answer(model, {"AccountLimit": sizes | dict(concurrency), "AccountUsage": usage})

    def session(*arguments: Any, **names: Any) -> Any:
        made = boto3_session(*arguments, **names)
        made.events.register("before-call.service-quotas.GetServiceQuota", quota)
        made.events.register("before-call.service-quotas.GetAWSDefaultServiceQuota", default)
        made.events.register("before-call.lambda.GetAccountSettings", settings)
        return made

    boto3_session: Any = boto3.session.Session
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3.session, "Session", session)
        patch.setattr(boto3, "DEFAULT_SESSION", session())
        yield


def _quota(asked: Mapping[str, str], value: float) -> dict[str, Any]:
    service, code = asked["ServiceCode"], asked["QuotaCode"]
    arn = f"arn:aws:servicequotas:us-east-1:123456789012:{service}/{code}"
    names = {"ServiceName": service, "QuotaArn": arn, "QuotaName": code, "Unit": "None"}
    return {"Quota": {**asked, **names, "Value": value, "Adjustable": True, "GlobalQuota": False}}


def _answer(model: OperationModel, parsed: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return what botocore takes for the response to a call, instead of sending it."""
    assert model.output_shape
    report = ParamValidator().validate(parsed, model.output_shape)
    assert not report.has_errors(), report.generate_report()
    return AWSResponse("", 200, HTTPHeaders(), None), parsed


def _refusal(model: OperationModel, code: str) -> tuple[Any, dict[str, Any]]:
    """Return what botocore takes for an error that the operation can answer with."""
    assert code in {shape.name for shape in model.error_shapes}
    return AWSResponse("", 400, HTTPHeaders(), None), {"Error": {"Code": code, "Message": "It does not exist."}}
