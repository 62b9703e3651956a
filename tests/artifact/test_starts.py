"""How long the built functions take to start, compared with creating boto3's client."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bench import coldstart
from harness.artifact import Artifact

STARTS = 3  # the least of so many: what else the machine does only adds to it

pytestmark = pytest.mark.timeout(300)  # the first test waits for the build


def test_functions_start_within_their_share_of_what_boto3_takes(build: Path, tmp_path: Path) -> None:
    """An on-sale pays this a thousand times in its first seconds. bench/coldstart measures all functions."""
    log = tmp_path / "log"
    with coldstart.baselines(tmp_path, build) as baselines:
        (boto3,) = (starts.artifact for starts in baselines if starts.artifact.name == coldstart.BOTO3_CLIENT)
        least = {boto3.name: 1e9, **dict.fromkeys(coldstart.GOALS, 1e9)}
        for _ in range(STARTS):
            for artifact in (boto3, *(Artifact.of(name, build) for name in coldstart.GOALS)):
                init_ms, cpu_ms = coldstart.start(artifact, log)
                assert init_ms > 0
                least[artifact.name] = min(least[artifact.name], cpu_ms)
    too_slow = {name: least for name, goal in coldstart.GOALS.items() if least[name] > goal * least[boto3.name]}
    assert not too_slow


def test_a_function_that_does_not_start_is_no_figure(build: Path, tmp_path: Path) -> None:
    """A failed import must not pass for a fast start."""
    broken = Artifact.of("BookFunction", build)
    with pytest.raises(RuntimeError, match="did not start"):
        coldstart.start(replace(broken, layer=tmp_path), tmp_path / "log")


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
