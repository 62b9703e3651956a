"""Fixtures for the tests of the program."""

from pathlib import Path

import pytest

from tests.local.programs import echo_template


@pytest.fixture
def echo(tmp_path: Path) -> str:
    """Write a template with the echo handler, which starts quickly; return its path."""
    (tmp_path / "echo").mkdir()
    return echo_template(tmp_path / "echo")
