"""What all tests share: the real engine with the tables of template.yaml, as the functions see them.

The environment is set before any test module is imported, for shared/ reads it at import, as on Lambda.
"""

import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from httpx._transports import default as transports

from local import engine
from local.template import load

SLOWEST = (
    "tests/proof/test_search", "tests/proof/test_mutants", "tests/artifact",
    "tests/operations/test_drill_of_aws", "tests/checker",
)  # fmt: skip
LogLines = Callable[[], list[dict[str, Any]]]

_running = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Start the engine and set the environment that template.yaml gives every function."""
    # Each client and each httpx.get would read all certificates anew, for 50 ms; no test needs them.
    vars(transports)["create_ssl_context"] = cache(httpx.create_ssl_context)
    if config.getoption("numprocesses", None):
        return  # each of these processes has an engine of its own
    for name in ("BookFunction", "AnnounceFunction"):
        os.environ.update(load().functions[name].environment)
    os.environ.update(
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_REGION="us-east-1",
        AWS_ENDPOINT_URL_DYNAMODB=_running.enter_context(engine.running(None)),
        FAILED_RECORDS=_running.enter_context(TemporaryDirectory()),
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest files, so that no process has one left when the others are done."""
    items.sort(key=lambda item: [not item.nodeid.startswith(one) for one in SLOWEST])


def pytest_unconfigure() -> None:
    """Close the office's connection, and stop the engine."""
    from shared import runtime

    if runtime.current.client:
        runtime.current.client.connection.close()
    _running.close()


@pytest.fixture(autouse=True)
def cold_functions() -> None:
    """Start each test with functions that remember nothing."""
    from shared import runtime

    runtime.current.memory.clear()


@pytest.fixture(scope="session")
def database() -> Any:
    """Return a client of the engine that is not the office's own."""
    import boto3

    return boto3.client("dynamodb")


@pytest.fixture
def office(database: Any) -> Iterator[Any]:
    """Yield the office; at the end of the test every event it opened keeps its promises."""
    from harness.office import open_office

    with open_office(database) as office:
        yield office


@pytest.fixture
def log_lines(monkeypatch: pytest.MonkeyPatch) -> LogLines:
    """Return what the functions have logged in this test, as CloudWatch reads it: one JSON object a line."""
    from shared.telemetry import logger

    written = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", written)
    return lambda: [json.loads(line) for line in written.getvalue().splitlines()]
