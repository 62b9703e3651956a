"""What the tests over HTTP share: two offices, in which each test has events of its own."""

from collections.abc import Iterator

import pytest

from harness.running import RunningOffice, running
from local import issuer
from tests.http.secured import Secured


@pytest.fixture(scope="package")
def running_office() -> Iterator[RunningOffice]:
    """Yield an office that needs no token."""
    with running() as office:
        yield office


@pytest.fixture(scope="package")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Yield an office that requires tokens, with the defaults of the template."""
    data = tmp_path_factory.mktemp("secured")
    with running(data, 1, "--auth") as office, Secured.of(office, data / issuer.FILE) as secured:
        yield secured
