"""A DynamoDB that throttles, which the embedded engine never does."""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.network import error, network


@contextmanager
def throttled() -> Iterator[None]:
    """Answer every request of the office as a table over its limits does."""
    with network() as between:
        between.meeting = lambda _: error(400, "ProvisionedThroughputExceededException")
        yield
