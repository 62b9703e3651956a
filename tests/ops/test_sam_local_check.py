"""Without a container engine, scripts/sam-local-check ends with one line that says what is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ops.commands import PROJECT

FAILS = "#!/bin/sh\necho 'must be root' >&2\nexit 1\n"


@pytest.mark.parametrize(
    ("programs", "docker_host", "said"),
    [
        ({}, None, "docker is not installed"),
        ({"docker": FAILS}, None, "dockerd is not installed"),
        ({"docker": FAILS, "dockerd": FAILS}, None, "dockerd does not start (it needs root): must be root"),
        (
            {"docker": FAILS, "dockerd": "#!/bin/sh\nexit 1\n"},
            None,
            "dockerd does not start (it needs root): it logged",
        ),
        ({}, "unix:///nowhere", "docker is not installed"),
        ({"docker": FAILS}, "unix:///nowhere", "no container engine answers at DOCKER_HOST=unix:///nowhere"),
    ],
    ids=["nothing", "no dockerd", "dockerd fails", "dockerd fails silently", "no docker", "engine does not answer"],
)
def test_a_missing_engine_is_reported_in_one_line(
    tmp_path: Path, programs: dict[str, str], docker_host: str | None, said: str
) -> None:
    """No traceback, and nothing is built first."""
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    environment |= {"PATH": str(tmp_path)} | ({"DOCKER_HOST": docker_host} if docker_host else {})
    command = [sys.executable, "-m", "scripts.sam_local_check"]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
