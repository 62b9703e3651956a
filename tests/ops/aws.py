"""A stack on AWS: CloudFormation and S3 by moto, which the engine lacks; the tables are the engine's.

moto leaves clients alone that were made before it, as the office's own client was here, and those whose endpoint is
not AWS's.
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


@contextmanager
def stack(tables: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Make a stack with the outputs of template.yaml, and its bucket; yield an S3 client.

    `tables` gives the tables' names by their outputs; they are those of the engine otherwise.
    """
    engine = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    with mock_aws(config={"core": {"passthrough": {"urls": [engine], "services": ["dynamodb"]}}}):
        names = {table.name: table.name for table in load().tables} | dict(tables or {})
        outputs = {name: {"Value": value} for name, value in names.items()}
        others = {"FailedRecordsBucket": {"Value": BUCKET}, "EventBus": {"Value": STACK}}
        bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}}
        document = {"Resources": {"Bucket": bucket}, "Outputs": outputs | others}
        make: Any = boto3.client
        make("cloudformation").create_stack(StackName=STACK, TemplateBody=json.dumps(document))
        yield make("s3")
