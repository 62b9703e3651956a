"""The drill of an alarm on our own metrics."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import LogLines
from tests.operations.cloudwatch import of_lines
from tests.operations.drilling import drilled


@pytest.fixture
def drill(request: pytest.FixtureRequest, log_lines: LogLines) -> Iterator[Any]:
    """Yield the drill of an alarm that sees the lines that the functions write in this process."""
    seen = 0

    def look() -> Any:
        nonlocal seen
        lines = log_lines()
        new, seen = lines[seen:], len(lines)
        return of_lines(new)

    with drilled(request.param, look) as drill:
        yield drill
