"""Runs a build artifact on Lambda's own runtime, without Docker.

AWS's runtime interface client and AWS's emulator of the Lambda service run as plain processes, with the Python of
.venv-lambda. The emulator handles one invocation at a time.
"""

import os
import platform
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from local.template import load

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]  # Lambda's name for it
PYTHON = ROOT / ".venv-lambda" / "bin" / "python"  # the functions' Python
START_S_MAX = 20


@dataclass(frozen=True)
class Artifact:
    """What Lambda gets of a function: its folder, the layer's folder, and the template's settings."""

    name: str
    folder: Path
    layer: Path
    handler: str
    environment: Mapping[str, str]
    memory_mb: int
    timeout_s: int

    @classmethod
    def of(cls, name: str, build: Path) -> "Artifact":
        """Return the artifact that a build has of a function in template.yaml."""
        function = load().functions[name]
        return cls(
            name,
            build / name,
            build / "SharedLayer",
            function.handler,
            function.environment,
            function.memory_mb,
            function.timeout_s,
        )


@dataclass(frozen=True)
class Running:
    """A runtime that waits for its first invocation, which initializes the function."""

    url: str
    pid: int  # of the emulator, which leads its own process group


@contextmanager
def running(artifact: Artifact, environment: Mapping[str, str], log: Path) -> Iterator[Running]:
    """Run an artifact, with the layer where Lambda puts it. Kill it at the end."""
    port, runtime_api_port = _free_ports()
    (emulator,) = (ROOT / ".venv-sam").glob(
        f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{ARCHITECTURE}"
    )
    command = [str(emulator), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    command += ["--runtime-api-address", f"127.0.0.1:{runtime_api_port}"]
    command += [str(PYTHON), "-m", "awslambdaric", artifact.handler]
    with log.open("wb") as output:
        # In its own process group, because the emulator starts the runtime as a child.
        process = subprocess.Popen(
            command,
            cwd=artifact.folder,
            env={**environment_of(artifact), **environment},
            stdout=output,
            stderr=output,
            process_group=0,
        )
    try:
        _wait_for(port, process, log)
        yield Running(f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations", process.pid)
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def environment_of(artifact: Artifact) -> dict[str, str]:
    """Return the variables that Lambda and the template give a function, except those of an account."""
    (site_packages,) = (ROOT / ".venv-lambda").glob("lib/python*/site-packages")
    return {
        "PATH": os.defpath,
        "LAMBDA_TASK_ROOT": str(artifact.folder),
        "_HANDLER": artifact.handler,
        "AWS_LAMBDA_FUNCTION_NAME": artifact.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(artifact.memory_mb),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(artifact.timeout_s),
        "PYTHONPATH": os.pathsep.join(map(str, [artifact.folder, artifact.layer / "python", site_packages])),
        "PYTHONDONTWRITEBYTECODE": "1",
        **artifact.environment,
    }


def python_version() -> str:
    """Return the version of the functions' Python."""
    command = [str(PYTHON), "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


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
