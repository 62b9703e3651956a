"""What bench/coldstart measures is the artifact: how long it takes to start and how large it is.

tests/bench/test_coldstart.py compares the figures of its last run with the goals.
"""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bench import coldstart
from harness.artifact import Artifact

pytestmark = pytest.mark.timeout(300)  # the first test waits for the build


def test_a_function_that_does_not_start_is_no_figure(build: Path, tmp_path: Path) -> None:
    """A failed import must not pass for a fast start."""
    book = Artifact.of("BookFunction", build)
    assert min(coldstart.start(book, tmp_path / "log")) > 0
    with pytest.raises(RuntimeError, match="did not start"):
        coldstart.start(replace(book, layer=tmp_path), tmp_path / "log")


def test_the_artifacts_modules_are_imported(build: Path, tmp_path: Path) -> None:
    """Not the repository's modules with the same names."""
    book = Artifact.of("BookFunction", build)
    assert min(coldstart.import_times_ms(book).values()) > 0
    with pytest.raises(subprocess.CalledProcessError):
        coldstart.import_times_ms(replace(book, layer=tmp_path))


def test_the_sizes_are_those_of_the_artifacts(build: Path) -> None:
    """Bytecode is not counted where it says so."""
    found = coldstart.sizes(build)
    app = build / "BookFunction" / "functions" / "book" / "app.py"
    assert found["BookFunction"] > app.stat().st_size
    assert found["layer"] < found["layer with bytecode"]
