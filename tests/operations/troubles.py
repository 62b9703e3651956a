"""Troubles that drills cause: names of files that switch them on in a drilled office, and a database that throttles."""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.network import error, network

SLOW_BUS, REFUSING_BUS = "slow-bus", "refusing-bus"


@contextmanager
def throttled() -> Iterator[None]:
    """Answer each request of this process as a table over its limits does; the embedded engine never throttles."""
    with network() as between:
        between.intercept = lambda _: error(400, "ProvisionedThroughputExceededException")
        yield
