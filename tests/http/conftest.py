"""What the tests over HTTP share."""

from collections.abc import Iterator

import pytest

from harness.running import RunningOffice, running


@pytest.fixture(scope="module")
def running_office() -> Iterator[RunningOffice]:
    """Yield an office for the crowds of a module."""
    with running() as office:
        yield office
