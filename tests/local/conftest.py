"""What the tests of the program share."""

from pathlib import Path

import pytest

from tests.local.programs import echo_template


@pytest.fixture
def echo(tmp_path: Path) -> str:
    """Write the echo handler, which needs no second to start."""
    (tmp_path / "echo").mkdir()
    return echo_template(tmp_path / "echo")
