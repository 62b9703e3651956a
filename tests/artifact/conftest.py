"""The build that the tests of the artifacts share."""

import platform
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".aws-sam" / "test" / "build"
ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]


@pytest.fixture(scope="session")
def architecture() -> str:
    """Return this machine's processor, as Lambda calls it."""
    return ARCHITECTURE


@pytest.fixture(scope="session")
def build() -> Path:
    """Return the folder of a fresh build for this machine."""
    command = ["scripts/build", "--architecture", ARCHITECTURE, "--build-dir", str(BUILD), "--any-python"]
    result = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return BUILD
