"""The build that the tests of the artifacts share."""

import fcntl
import os
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from harness.artifact import ARCHITECTURE

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".aws-sam" / "test" / "build"


@pytest.fixture(scope="session")
def architecture() -> str:
    """Return this machine's processor, as Lambda calls it."""
    return ARCHITECTURE


@pytest.fixture(scope="session")
def build() -> Path:
    """Return the folder of a fresh build for this machine; of several test processes one makes it."""
    BUILD.parent.mkdir(parents=True, exist_ok=True)
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(uuid4())
    with BUILD.with_name("built-by").open("a+", encoding="utf-8") as built_by:
        fcntl.flock(built_by, fcntl.LOCK_EX)
        built_by.seek(0)
        if built_by.read() == run:
            return BUILD
        command = ["scripts/build", "--architecture", ARCHITECTURE, "--build-dir", str(BUILD), "--any-python"]
        result = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        built_by.truncate(0)
        built_by.write(run)
    return BUILD
