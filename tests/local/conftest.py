"""Fixtures for the tests of the program."""

from collections.abc import Callable
from pathlib import Path

import pytest

from local import program
from tests.local.programs import echo_template


@pytest.fixture
def echo(tmp_path: Path) -> str:
    """Write a template with the echo handler, which starts quickly; return its path."""
    (tmp_path / "echo").mkdir()
    return echo_template(tmp_path / "echo")


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that runs the program in this process, for what it refuses before it starts any other.

    It returns the program's only line.
    """

    def run(*arguments: str) -> str:
        assert program.run([*arguments]) == 1
        [line] = capsys.readouterr().err.splitlines()
        return line

    return run


@pytest.fixture
def usage(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that runs the program with wrong arguments, and returns what it prints before exit code 2."""

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit, match="2"):
            program.run([*arguments])
        return capsys.readouterr().err

    return run
