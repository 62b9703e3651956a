"""What `sam build` makes of the project, and that Lambda's own runtime can run it.

Where a machine lacks the runtime's Python, build and run use the one at hand; .venv-lambda tells which.
"""

import json
import os
import platform
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness import artifact as artifacts
from local import engine
from local.database import Database
from local.template import load
from tests.template.stack import folder_of

ROOT = Path(__file__).resolve().parents[2]

FUNCTION_BYTES_MAX = 20_000  # without bytecode
FUNCTION_BYTES_MAX_WITH_BYTECODE = 50_000
DATA = ("functions/describe/openapi", "functions/describe/web/")  # read on demand: descriptions and the page's files
DATA_BYTES_MAX = 600_000
LAYER_BYTES_MAX = 15_000_000  # without; Lambda's own limit is 250 MB for everything, unzipped
INVOKE_S_MAX = 30
UNCHECKED_HASH = 0b01  # PEP 552: the interpreter takes the bytecode as it is, whatever the source's time

pytestmark = pytest.mark.timeout(300)  # the first test waits for the build, which fetches the layer's libraries


def _files(folder: Path) -> dict[str, int]:
    """Return files and their sizes, without bytecode; a link stands for what it leads to."""
    paths = (Path(at) / name for at, _, names in os.walk(folder, followlinks=True) for name in names)
    return {str(path.relative_to(folder)): path.stat().st_size for path in paths if path.suffix != ".pyc"}


@pytest.mark.parametrize("name", sorted(load().functions))
def test_a_functions_artifact_has_only_its_own_folder(name: str, build: Path) -> None:
    """No tests, no other function, no libraries: the layer has them."""
    folder = f"functions/{folder_of(name)}"
    assert set(_files(build / name)) == {f"{folder}/{file}" for file in _files(ROOT / folder)}
    data = sum(size for file, size in _files(build / name).items() if file.startswith(DATA))
    assert data < DATA_BYTES_MAX
    assert sum(_files(build / name).values()) - data < FUNCTION_BYTES_MAX
    whole = sum(path.stat().st_size for path in (build / name).rglob("*") if path.is_file())
    assert whole - data < FUNCTION_BYTES_MAX_WITH_BYTECODE


def test_the_layer_has_shared_and_the_locked_libraries(build: Path) -> None:
    """Our own modules, and each library of shared/requirements.txt in the locked version; no SDK, no tests."""
    files = _files(build / "SharedLayer" / "python")
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "shared").rglob("*") if path.suffix in {".py", ".txt"}}
    assert {name for name in files if name.startswith("shared/")} == sources
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "shared/requirements.txt").read_text(), re.MULTILINE))
    installed = {match[1]: match[2] for name in files if (match := re.match(r"([\w.]+)-([\w.]+)\.dist-info/", name))}
    assert {name.replace("_", "-"): version for name, version in installed.items()} == locked
    assert {name.split("/")[0] for name in files}.isdisjoint({"boto3", "botocore", "functions", "local", "tests"})
    assert sum(files.values()) < LAYER_BYTES_MAX


def test_the_layers_machine_code_is_for_the_architecture(build: Path) -> None:
    """A layer for another processor would fail only at the first request."""
    libraries = [name for name in _files(build / "SharedLayer") if name.endswith(".so")]
    assert libraries
    assert all(platform.machine() in name for name in libraries)


def test_bytecode_is_shipped_and_never_checked_against_file_times(build: Path) -> None:
    """Init takes about 200 ms instead of 600. SAM's zip has no file times that could match."""
    for source in [*build.glob("*/functions/*/*.py"), *build.glob("SharedLayer/python/**/*.py")]:
        (bytecode,) = source.parent.glob(f"__pycache__/{source.stem}.*.pyc")
        assert int.from_bytes(bytecode.read_bytes()[4:8], "little") == UNCHECKED_HASH


def _invoke(url: str, name: str, log_of: Path) -> tuple[int, dict[str, Any]]:
    """Send events/<name>.json; return status and body of the answer. The emulator says 200 for errors, too."""
    payload = (ROOT / "events" / f"{name}.json").read_text()
    answer = httpx.post(url, content=payload, timeout=INVOKE_S_MAX).json()
    assert "statusCode" in answer, f"{answer}\n{log_of.read_text()}"
    return answer["statusCode"], json.loads(answer["body"])


def test_the_artifacts_open_and_book_an_event_on_lambdas_runtime(build: Path, tmp_path: Path) -> None:
    """Handler, layer, bytecode and environment fit together as they do on AWS."""
    with engine.running(None) as endpoint:
        answers = []
        for name in ("initialize", "book"):
            function = f"{name.capitalize()}Function"
            artifact = artifacts.Artifact.of(function, build)
            log = tmp_path / f"{function}.log"
            with artifacts.running(artifact, Database.embedded(endpoint).environment, log) as process:
                answers.append(_invoke(process.url, name, log))
    (opened, event), (booked, booking) = answers
    assert (opened, event["availableTickets"]) == (201, 1)
    assert (booked, booking["status"], booking["eventId"]) == (201, "CONFIRMED", event["eventId"])
