"""What `sam build` makes of the project, and that Lambda's own runtime can run it.

The runtime interface client and the emulator of the Lambda service, both AWS's own, run as plain processes on the
runtime's Python. Where a machine lacks that Python, build and run use the one at hand; .venv-lambda tells which.
"""

import json
import os
import platform
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from local import engine
from local.database import Database
from local.template import load

ROOT = Path(__file__).resolve().parents[2]

FUNCTION_BYTES_MAX = 25_000  # with bytecode
LAYER_BYTES_MAX = 15_000_000  # without; Lambda's own limit is 250 MB for everything, unzipped
START_S_MAX = 20
INVOKE_S_MAX = 30
UNCHECKED_HASH = 0b01  # PEP 552: the interpreter takes the bytecode as it is, whatever the source's time

pytestmark = pytest.mark.timeout(300)  # the first test waits for the build, which fetches the layer's libraries


def _files(folder: Path) -> dict[str, int]:
    """Return files and their sizes, without bytecode."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


@pytest.mark.parametrize("name", sorted(load().functions))
def test_a_functions_artifact_holds_its_own_room_only(name: str, build: Path) -> None:
    """No tests, no other function, no libraries: the layer has them."""
    room = ROOT / "functions" / name.removesuffix("Function").lower()
    assert set(_files(build / name)) == {
        str(path.relative_to(ROOT)) for path in room.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }
    size = sum(path.stat().st_size for path in (build / name).rglob("*") if path.is_file())
    assert size < FUNCTION_BYTES_MAX


def test_the_layer_holds_shared_and_what_is_locked(build: Path) -> None:
    """Our own modules, and each library of shared/requirements.txt in the locked version; no SDK, no tests."""
    files = _files(build / "SharedLayer" / "python")
    sources = {f"shared/{path.name}" for path in (ROOT / "shared").iterdir() if path.is_file()}
    assert {name for name in files if name.startswith("shared/")} == sources
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "shared/requirements.txt").read_text(), re.MULTILINE))
    installed = {match[1]: match[2] for name in files if (match := re.match(r"([\w.]+)-([\w.]+)\.dist-info/", name))}
    assert {name.replace("_", "-"): version for name, version in installed.items()} == locked
    assert {name.split("/")[0] for name in files}.isdisjoint({"boto3", "botocore", "functions", "local", "tests"})
    assert sum(files.values()) < LAYER_BYTES_MAX


def test_the_layers_machine_code_is_for_the_architecture(build: Path) -> None:
    """A layer for another processor would fail at the first request only."""
    libraries = [name for name in _files(build / "SharedLayer") if name.endswith(".so")]
    assert libraries
    assert all(platform.machine() in name for name in libraries)


def test_bytecode_is_shipped_and_never_checked_against_file_times(build: Path) -> None:
    """It takes init from some 600 ms to some 200; SAM's zip has no file times that could match."""
    for source in [*build.glob("*/functions/*/*.py"), *build.glob("SharedLayer/python/*/*.py")]:
        (bytecode,) = source.parent.glob(f"__pycache__/{source.stem}.*.pyc")
        assert int.from_bytes(bytecode.read_bytes()[4:8], "little") == UNCHECKED_HASH


@contextmanager
def lambda_of(name: str, build: Path, architecture: str, endpoint: str, scratch: Path) -> Iterator[str]:
    """Give the URL at which the emulator invokes a function's artifact, with the layer where Lambda puts it."""
    function = load().functions[name]
    port, runtime_api_port = _free_ports()
    task_root = build / name
    (site_packages,) = (ROOT / ".venv-lambda").glob("lib/python*/site-packages")
    (emulator,) = (ROOT / ".venv-sam").glob(
        f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{architecture}"
    )
    environment = {
        "PATH": os.defpath,
        "LAMBDA_TASK_ROOT": str(task_root),
        "_HANDLER": function.handler,
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout_s),
        "PYTHONPATH": os.pathsep.join(map(str, [task_root, build / "SharedLayer" / "python", site_packages])),
        "PYTHONDONTWRITEBYTECODE": "1",
        **function.environment,
        **Database.embedded(endpoint).environment,
    }
    command = [str(emulator), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    command += ["--runtime-api-address", f"127.0.0.1:{runtime_api_port}"]
    command += [str(ROOT / ".venv-lambda/bin/python"), "-m", "awslambdaric", function.handler]
    log = scratch / f"{name}.log"
    with log.open("wb") as output:
        # A process group of its own: the emulator starts the runtime as a child.
        process = subprocess.Popen(
            command, cwd=task_root, env=environment, stdout=output, stderr=output, process_group=0
        )
    try:
        _wait_for(port, process, log)
        yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    finally:
        with suppress(ProcessLookupError):  # it died by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S_MAX
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


def _invoke(url: str, name: str, log_of: Path) -> tuple[int, dict[str, Any]]:
    """Send events/<name>.json; return status and body of the answer. The emulator says 200 for errors, too."""
    payload = (ROOT / "events" / f"{name}.json").read_text()
    answer = httpx.post(url, content=payload, timeout=INVOKE_S_MAX).json()
    assert "statusCode" in answer, f"{answer}\n{log_of.read_text()}"
    return answer["statusCode"], json.loads(answer["body"])


def test_the_artifacts_open_and_book_an_event_on_lambdas_runtime(
    build: Path, architecture: str, tmp_path: Path
) -> None:
    """Handler, layer, bytecode and environment fit together as they do on AWS."""
    with engine.running(None) as endpoint:
        answers = []
        for name in ("initialize", "book"):
            function = f"{name.capitalize()}Function"
            with lambda_of(function, build, architecture, endpoint, tmp_path) as url:
                answers.append(_invoke(url, name, tmp_path / f"{function}.log"))
    (opened, event), (booked, booking) = answers
    assert (opened, event["availableTickets"]) == (201, 1)
    assert (booked, booking["status"], booking["eventId"]) == (201, "CONFIRMED", event["eventId"])
