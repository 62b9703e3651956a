"""A stack on AWS: moto provides CloudFormation and S3, the engine the tables.

moto does not affect clients that were created before it, such as the office's own, or that have another endpoint.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from moto import mock_aws

from local.template import load

STACK = "tickets"
BUCKET = "failed-records-of-the-stack"
BUS = "announcements-of-the-stack"


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
