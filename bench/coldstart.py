"""`python -m bench.coldstart`: measure how long the functions take to start on Lambda's own runtime.

The runtime interface client and the emulator of the Lambda service start each function's artifact of `make build`,
including bytecode and layer, and invoke it once, with a request that it refuses without using the database. Each start
yields two numbers: the duration in the emulator's INIT REPORT, and the processor time of the process.

Two functions of the same shape are started for comparison, in turns with the others, so that other work on the
machine slows all alike: one does nothing, and one makes boto3's client for DynamoDB, as most functions do. The endpoint
is https, as on AWS, so that the functions load the trusted certificates. boto3 loads them at its first request, so they
are not in its figure.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from re import compile as pattern
from typing import Any

import httpx

from bench import record
from harness import artifact as artifacts
from harness.artifact import Artifact
from harness.running import below
from local.database import Database
from local.template import load

RUNS = 10
INVOKE_S_MAX = 60.0
INIT_REPORT = pattern(r"INIT REPORT\(durationMs: ([\d.]+)\)")
EVENTS = artifacts.ROOT / "events"

NOTHING, BOTO3_CLIENT = "nothing", "boto3 client"
BASELINES = {
    NOTHING: "def handler(event, context):\n    return {}\n",
    BOTO3_CLIENT: "import boto3\n\nclient = boto3.client('dynamodb')\n\ndef handler(event, context):\n    return {}\n",
}
# Limits as a share of boto3's client, for the median of processor times and for the shortest init: other work on the
# machine can only lengthen it.
GOALS = {"BookFunction": 1.4, "PromoteFunction": 0.7, "SweepFunction": 0.7}

JUDGED: dict[str, Callable[[list[float]], float]] = {"initMs": min, "cpuMs": statistics.median}

# A port without a listener: the functions get ready for TLS, and send nothing.
ENVIRONMENT = Database.embedded("https://127.0.0.1:1").environment | {"FAILED_RECORDS": "./"}  # no bucket
# Functions that answer requests refuse an empty body, an impossible id, and a page of no rows. Stream functions get no
# records, the check no deployment, and the sweep no time.
REFUSED = {"body": "", "pathParameters": {"eventId": ""}, "queryStringParameters": {"limit": "0"}, "Records": []}
TIMEOUT_S = 5  # promoter and sweep reserve this for their answer

# The imports of a function that answers requests, in this order: each without what those before it have loaded.
IMPORTS = {
    "Lambda's runtime client": "import awslambdaric.bootstrap",
    "Python's modules for HTTP and TLS": "import json, os, select, socket, ssl",
    "httptools": "import httptools",
    "powertools' Logger": "import aws_lambda_powertools",
    "the trusted certificates, and shared/store/dynamodb.py": "import shared.store.dynamodb",
    "pydantic": "from pydantic import BaseModel, Field",
    "the models of requests and responses": "import shared.edge.contract",
    "the rest": "import functions.book.app",
}
IMPORTER = """
import sys, time
for line in sys.stdin.read().splitlines():
    begun_s = time.process_time()
    exec(line)
    print((time.process_time() - begun_s) * 1000)
"""

Figures = dict[str, list[float]]


@dataclass
class Starts:
    """The measurements of one artifact, in milliseconds, start by start."""

    artifact: Artifact
    init_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


def main() -> None:
    """Measure, print, and write bench/results/coldstart.json."""
    about = "Measure how the functions start that `make build` made."
    argparse.ArgumentParser(prog="python -m bench.coldstart", description=about).parse_args()
    result = measure(artifacts.ROOT / ".aws-sam" / "build")
    record.write("coldstart", result)
    print(section(result))  # noqa: T201  # this is the product


def measure(build: Path) -> dict[str, Any]:
    """Start everything RUNS times, in turns."""
    names = sorted(load().functions)
    with tempfile.TemporaryDirectory() as folder, baselines(Path(folder), build) as beside:
        functions = [Starts(Artifact.of(name, build)) for name in names]
        machine = record.machine()
        imports_ms: Figures = {part: [] for part in IMPORTS}
        for _ in range(RUNS):
            for part, spent_ms in import_times_ms(Artifact.of("BookFunction", build)).items():
                imports_ms[part].append(spent_ms)
            for starts in (*beside, *functions):
                init_ms, cpu_ms = start(starts.artifact, Path(folder) / "log")
                starts.init_ms.append(init_ms)
                starts.cpu_ms.append(cpu_ms)
    return {
        "command": "python -m bench.coldstart",
        "machine": machine | {"functionsPython": artifacts.python_version()},
        "runs": RUNS,
        "baselines": _figures(beside),
        "functions": _figures(functions),
        "importsCpuMs": imports_ms,
        "bytes": sizes(build),
    }


def start(artifact: Artifact, log: Path) -> tuple[float, float]:
    """Start an artifact and invoke it once; return the duration of its init and its processor time, in ms."""
    with artifacts.running(replace(artifact, timeout_s=TIMEOUT_S), ENVIRONMENT, log) as process:
        httpx.post(process.url, json=_refused(artifact.name), timeout=INVOKE_S_MAX)
        written = log.read_text()
        reported = INIT_REPORT.search(written)
        if reported is None or "INIT RTDONE(status: success)" not in written:
            raise RuntimeError(f"{artifact.name} did not start:\n{written}")
        (pid,) = (pid for pid, command in below(process.pid).items() if "awslambdaric" in command)
        return round(float(reported[1]), 1), _cpu_ms(pid)


def import_times_ms(book: Artifact) -> dict[str, float]:
    """Import the parts of a function one after the other; return the processor time of each, in ms."""
    environment = artifacts.environment_of(book) | ENVIRONMENT
    program = [str(artifacts.PYTHON), "-c", IMPORTER]
    lines = "\n".join(IMPORTS.values())
    found = subprocess.run(  # in its folder, so that it does not import the repository's modules
        program, input=lines, cwd=book.folder, env=environment, check=True, capture_output=True, text=True
    )
    return dict(zip(IMPORTS, (round(float(line), 1) for line in found.stdout.split()), strict=True))


@contextmanager
def baselines(folder: Path, build: Path) -> Iterator[list[Starts]]:
    """Make the functions to compare with, with the layer, settings and kind of bytecode of the office's own."""
    model = Artifact.of("BookFunction", build)
    made = []
    for name, source in BASELINES.items():
        code = folder / name.replace(" ", "_")
        code.mkdir()
        (code / "app.py").write_text(source)
        command = [str(artifacts.PYTHON), "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(code)]
        subprocess.run(command, check=True)
        made.append(Starts(replace(model, name=name, folder=code, handler="app.handler")))
    yield made


def sizes(build: Path) -> dict[str, int]:
    """Return the bytes of each artifact: of a function with its bytecode, of the layer without and with it."""
    layer = build / "SharedLayer"
    return {
        **{name: _bytes(build / name) for name in sorted(load().functions)},
        "layer": _bytes(layer, without=".pyc"),
        "layer with bytecode": _bytes(layer),
    }


def section(result: dict[str, Any]) -> str:
    """Render the part of docs/benchmark.md."""
    boto3 = result["baselines"][BOTO3_CLIENT]
    head = ["function", "init, ms", "min", "of boto3's", "processor, ms", "min", "of boto3's", "goal"]
    rows = [_row(name, one, boto3) for name, one in (result["baselines"] | result["functions"]).items()]
    imports = [[part, f"{min(times):.0f}"] for part, times in result["importsCpuMs"].items()]
    functions = [size for name, size in result["bytes"].items() if name in result["functions"]]
    layer, with_bytecode = result["bytes"]["layer"], result["bytes"]["layer with bytecode"]
    return f"""## Cold start

`{result["command"]}`: {result["runs"]} starts of each built artifact on Lambda's own runtime, in turns;
medians and minima. The runtime reports the init. The processor time is that of the whole process, until it has refused
one request. Other work on the machine lengthens durations more than processor time, so the goals apply to the shortest
init and to the median processor time.

{record.described(result["machine"])}; the functions run on Python {result["machine"]["functionsPython"]}.

{record.table(head, rows)}

What a function that answers requests loads. boto3 loads the certificates at its first request, so they are missing from
its figure above.

{record.table(["part of BookFunction's init", "processor, min, ms"], imports)}

A function is {min(functions):,} to {max(functions):,} bytes, bytecode included. The layer is {layer / 1e6:.1f} MB, and
{with_bytecode / 1e6:.1f} MB with its bytecode.
"""


def _row(name: str, figures: Figures, boto3: Figures) -> list[str]:
    row = [name]
    for times, judged in JUDGED.items():
        of_all, least = statistics.median(figures[times]), min(figures[times])
        row += [f"{of_all:.0f}", f"{least:.0f}", f"{judged(figures[times]) / judged(boto3[times]):.2f}"]
    return [*row, f"{GOALS[name]}" if name in GOALS else ""]


def _figures(measured: list[Starts]) -> dict[str, Figures]:
    return {starts.artifact.name: {"initMs": starts.init_ms, "cpuMs": starts.cpu_ms} for starts in measured}


def _refused(name: str) -> dict[str, Any]:
    function = load().functions.get(name)
    if function is None or name == "CheckFunction":
        return {}
    _, folder, *_ = function.handler.split(".")
    path = EVENTS / f"{folder}.json"
    payload: dict[str, Any] = json.loads(path.read_text())
    return payload | REFUSED


def _cpu_ms(pid: int) -> float:
    """Return the processor time of a process, all its threads: the first number of each one's schedstat, in ns."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return round(sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6, 1)


def _bytes(folder: Path, without: str = "nothing") -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != without)


if __name__ == "__main__":
    main()
