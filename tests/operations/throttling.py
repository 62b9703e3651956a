"""A DynamoDB that throttles, which the embedded engine never does: at the office's own client, before the wire."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from shared.dynamodb import client


class _Raw(io.BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        """Yield it whole."""
        yield self.read()


@contextmanager
def throttled() -> Iterator[None]:
    """Answer every request of the office as a table over its limits does."""
    hooks: Any = client.meta.events  # its stubs take hooks that return nothing; what this one returns is the answer
    hooks.register("before-send.dynamodb", _refuse)
    try:
        yield
    finally:
        hooks.unregister("before-send.dynamodb", _refuse)


def _refuse(request: Any, **_: Any) -> AWSResponse:
    error = {
        "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        "message": "slow down",
    }
    return AWSResponse(request.url, 400, HTTPHeaders(), _Raw(json.dumps(error).encode()))
