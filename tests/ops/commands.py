"""Run commands of python -m ops, in this process with the engine of the tests or as a program."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from local import bus, folder
from ops import program

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    """The result of a command."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Return the lines of its output."""
        return self.out.splitlines()


@dataclass
class Commands:
    """Runs commands in this process, on one office."""

    where: tuple[str, ...]
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Done:
        """Run one; ignore what was printed before."""
        self.capsys.readouterr()
        try:
            code = program.run([*arguments, *self.where])
        except SystemExit as error:  # argparse
            code = int(error.code or 0)
        printed = self.capsys.readouterr()
        return Done(code, printed.out, printed.err)


@contextmanager
def announced(data: Path, engine: str | None = None) -> Iterator[None]:
    """Hold a data folder as a running office does, with the engine of the tests and its own bus."""
    with folder.opened(data) as held, bus.running(held.announcements) as url:
        held.announce(f"embedded {engine or os.environ['AWS_ENDPOINT_URL_DYNAMODB']}", url)
        yield


def ops(*arguments: str, options: tuple[str, ...] = (), cwd: Path = PROJECT, **environment: str) -> Done:
    """Run a command as a program."""
    done = subprocess.run(
        [sys.executable, *options, "-m", "ops", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)
