"""What scripts/sam-local-check does: an image, an engine, and every payload through `sam local`.

No image is fetched. One is made from the runtime's Python and what .venv-lambda holds, under the name that SAM looks
for; so this shows that the artifacts run in a container the way SAM runs them, not that AWS's image is like ours.
"""

import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import httpx
import yaml

from harness.artifact import ARCHITECTURE
from harness.deployment import stand_in
from harness.running import free_port
from local import engine, intrinsics
from local.database import Database
from local.template import load

ROOT = Path(__file__).resolve().parents[1]
SAM = ROOT / ".venv-sam/bin/sam"
START_S_MAX = 120
INVOKE_S_MAX = 120
STOP_S_MAX = 20

TOOLS = ("sh", "mv", "chmod", "mkdir", "ls", "cat", "ln", "cp", "rm", "env")  # what SAM's own Dockerfile calls
LOADED_LATER = ("libgcc_s.so.1", "libstdc++.so.6", "librt.so.1", "libpthread.so.0", "libdl.so.2", "libutil.so.1")
BOOTSTRAP = """#!/bin/sh
export LD_LIBRARY_PATH=/var/lang/lib PYTHONPATH=/var/task:/opt/python:/var/runtime
exec /var/lang/bin/python3 -m awslambdaric "$_HANDLER"
"""
NO_PYTHON = ("test", "tests", "site-packages", "__pycache__", "idlelib", "tkinter", "ensurepip", "*.a", "config-*")

# In the order of a booking's life, so that each finds what the one before has left.
PAYLOADS = (
    "describe", "initialize", "book", "confirm", "status", "bookings", "events", "event_bookings", "waiting_list",
    "transfer", "check_in", "cancel", "promote", "announce", "expire", "sweep", "change", "cancel_event", "follow",
    "check",
)  # fmt: skip
BOOKING_CHANGED = 409  # what these payloads get: they cannot know the bookingId, which is random
NAME_A_BOOKING = {"confirm", "transfer", "check_in"}


def main() -> None:
    """Do all of it; the exit code is the number of payloads that were not answered as they must be."""
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sam-local-")))
        docker = stack.enter_context(docker_engine(work))
        image = make_image(work / "root", docker)
        stack.callback(remove_images, docker)
        say(f"image {image}: {image_size(image, docker)} MB, with {lambda_python('--version')}")
        bridge = bridge_address(docker)
        endpoint = stack.enter_context(database(work, bridge))
        local = SamLocal(work, docker)
        codedeploy = stack.enter_context(stand_in(local.as_lambda, host=bridge))
        local.template = build(
            {
                "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
                "AWS_ENDPOINT_URL_LAMBDA": codedeploy.url,
                "AWS_ENDPOINT_URL_CODEDEPLOY": codedeploy.url,
                "AWS_ENDPOINT_URL_S3": codedeploy.url,
                "AWS_ENDPOINT_URL_EVENTBRIDGE": codedeploy.url,
            }
        )
        failures = invoke_all(local) + call_api(local)
        say(f"CodeDeploy was told: {[status for _, status in codedeploy.told]}")
    say("everything was answered as it must be" if not failures else f"{failures} answers are wrong")
    sys.exit(failures)


class SamLocal:
    """`sam local` with a template and a container engine."""

    def __init__(self, work: Path, docker: Mapping[str, str]) -> None:
        self.template = Path()
        self.work = work
        self._lambda_port = free_port()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(work),
            "SAM_CLI_TELEMETRY": "0",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            **docker,
        }

    def invoke(self, function: str, payload: Path) -> Any:
        """Invoke a function once, in a container of its own."""
        command = [*self.command("invoke", function), "--event", str(payload)]
        result = run(command, self.environment, INVOKE_S_MAX)
        lines = result.stdout.strip().splitlines()
        try:
            return json.loads(lines[-1])
        except (IndexError, ValueError):
            return {"errorMessage": (result.stdout + result.stderr)[-2000:]}

    def as_lambda(self, function: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a function that invokes another; after a cancellation the promoter comes, as by the stream."""
        answer = self._ask_lambda(function, request)
        if function == "CancelFunction" and answer.get("statusCode") == 200:  # noqa: PLR2004  # HTTP's
            lane = {"laneId": {"S": f"{json.loads(request['body'])['eventId']}#0"}}
            self._ask_lambda("PromoteFunction", {"Records": [{"dynamodb": {"Keys": lane, "SequenceNumber": "1"}}]})
        return answer

    @contextmanager
    def warm_functions(self) -> Iterator[None]:
        """Keep functions in containers, for one that invokes others."""
        command = [*self.command("start-lambda"), "--port", str(self._lambda_port), "--warm-containers", "EAGER"]
        with running(command, self.environment, self.work / "lambda.log"):
            with httpx.Client(base_url=f"http://127.0.0.1:{self._lambda_port}", timeout=START_S_MAX) as client:
                wait_for(client)
            yield

    def _ask_lambda(self, function: str, request: dict[str, Any]) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._lambda_port}/2015-03-31/functions/{function}/invocations"
        answer: dict[str, Any] = httpx.post(url, json=request, timeout=START_S_MAX).json()
        return answer

    def command(self, *what: str) -> list[str]:
        """Return the beginning of a command line."""
        options = ["--skip-pull-image", "--parameter-overrides", f"Architecture={ARCHITECTURE}"]
        return [str(SAM), "local", *what, "--template", str(self.template), *options]


def invoke_all(local: SamLocal) -> int:
    """Invoke each function with its payload; return how many answers are wrong."""
    missing = {path.stem for path in (ROOT / "events").glob("*.json")} ^ set(PAYLOADS)
    if missing:
        raise SystemExit(f"events/ and PAYLOADS differ: {sorted(missing)}")
    failures = 0
    for name in PAYLOADS:
        function = f"{name.title().replace('_', '')}Function"
        began_s = time.monotonic()
        with local.warm_functions() if name == "check" else nullcontext():
            answer = local.invoke(function, ROOT / "events" / f"{name}.json")
        good = is_good(answer) if name not in NAME_A_BOOKING else answer.get("statusCode") == BOOKING_CHANGED
        failures += not good
        took_s = time.monotonic() - began_s
        command = f"sam local invoke {function} -e events/{name}.json"
        say(f"{verdict(good)} {command}  {took_s:.1f} s  {short(answer)}")
    return failures


def is_good(answer: Any) -> bool:
    """Tell whether a function answered as it must: 2xx, no failed records, an audit, nothing wrong."""
    if not isinstance(answer, dict) or "errorMessage" in answer:
        return False
    status = answer.get("statusCode", 200)
    return 200 <= status < 300 and not answer.get("batchItemFailures") and answer.get("wrong") is None  # noqa: PLR2004


def call_api(local: SamLocal) -> int:
    """Buy, wait and cancel over `sam local start-api`; return how many answers are wrong."""
    port = free_port()
    unverified = local.work / "env.json"  # `sam local` leaves a JWT authorizer out
    unverified.write_text(json.dumps({"Parameters": {"OPEN_TO_ALL": "true"}}))
    command = [*local.command("start-api"), "--port", str(port), "--host", "127.0.0.1", "--warm-containers", "LAZY"]
    command += ["--env-vars", str(unverified)]
    failures = 0
    with (
        running(command, local.environment, local.work / "api.log"),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=90) as client,
    ):
        wait_for(client)
        event_id = ""
        for method, path, body, expected in (
            ("POST", "/initialize", {"name": "The concert", "totalTickets": 1}, 201),
            ("POST", "/book", {"userId": "anna"}, 201),
            ("POST", "/book", {"userId": "ben"}, 202),
            ("GET", "/status/{}?userId=ben", None, 200),
            ("POST", "/cancel", {"userId": "anna"}, 200),
            ("GET", "/status/{}", None, 200),
            ("GET", "/status/nowhere", None, 404),
            ("GET", "/openapi.json", None, 200),
        ):
            began_s = time.monotonic()
            request = {**body, **({"eventId": event_id} if event_id else {})} if body else None
            answer = client.request(method, path.format(event_id), json=request)
            event_id = event_id or answer.json().get("eventId", "")
            good = answer.status_code == expected
            failures += not good
            took_ms = 1000 * (time.monotonic() - began_s)
            shown = f"{method} {path.format('...')}  {answer.status_code}  {took_ms:.0f} ms  {_beginning(answer.text)}"
            say(f"{verdict(good)} {shown}")
    return failures


# ------------------------------------------------------------------ the container engine and its image


@contextmanager
def docker_engine(work: Path) -> Iterator[dict[str, str]]:
    """Yield the variables with which `docker` finds the engine: the one of DOCKER_HOST, or one started for the block.

    Raises: SystemExit, one line, if there is no engine.
    """
    host = os.environ.get("DOCKER_HOST")
    for name in ("docker",) if host else ("docker", "dockerd"):
        if shutil.which(name) is None:
            raise SystemExit(
                f"{name} is not installed: install a container engine, or set DOCKER_HOST (docs/sam-local.md)"
            )
    if host:
        if run(["docker", "info"], os.environ, START_S_MAX).returncode:
            raise SystemExit(f"no container engine answers at DOCKER_HOST={host}")
        yield {"DOCKER_HOST": host}
        return
    found = {"DOCKER_HOST": f"unix://{work}/docker.sock"}
    command = ["dockerd", "--storage-driver=overlay2", "--iptables=false", "--ip6tables=false", "--host"]
    command += [found["DOCKER_HOST"], "--data-root", f"{work}/docker", "--exec-root", f"{work}/docker-exec"]
    command += ["--pidfile", f"{work}/docker.pid"]
    with running(command, {"PATH": os.environ["PATH"]}, work / "dockerd.log") as dockerd:
        until = time.monotonic() + START_S_MAX
        while run(["docker", "info"], {**os.environ, **found}, START_S_MAX).returncode:
            if dockerd.poll() is not None or time.monotonic() > until:
                log = (work / "dockerd.log").read_text(errors="replace").strip().splitlines() or ["it logged nothing"]
                raise SystemExit(f"dockerd does not start (it needs root): {log[-1]}")
            time.sleep(0.5)
        try:
            yield found
        finally:
            containers = docker(["ps", "-aq"], found).split()
            if containers:
                docker(["rm", "-f", *containers], found)


def make_image(root: Path, environment: Mapping[str, str]) -> str:
    """Make the image that SAM takes for AWS's: the runtime's Python, the runtime client and SDK, and a shell."""
    prefix = Path(lambda_python("-c", "import sys; print(sys.base_prefix)"))
    version = lambda_python("-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    (site_packages,) = (ROOT / ".venv-lambda").glob("lib/python*/site-packages")
    ignored = shutil.ignore_patterns(*NO_PYTHON)
    for folder in ("bin", "lib"):
        shutil.copytree(prefix / folder, root / "var/lang" / folder, symlinks=True, ignore=ignored)
    shutil.copytree(site_packages, root / "var/runtime", ignore=shutil.ignore_patterns("__pycache__", "pip", "pip-*"))
    bootstrap = root / "var/runtime/bootstrap"
    bootstrap.write_text(BOOTSTRAP)
    bootstrap.chmod(0o755)
    for folder in ("bin", "etc/ssl/certs", "opt", "tmp", "var/task", "var/rapid"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    programs = [Path(path) for tool in TOOLS if (path := shutil.which(tool))]
    for program in programs:
        shutil.copy(program, root / "bin" / program.name)
    shutil.copy("/etc/passwd", root / "etc/passwd")
    with suppress(FileNotFoundError):
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
    for library in libraries_of(
        [*programs, prefix / "bin/python3", *prefix.glob("lib/**/*.so*"), *site_packages.glob("**/*.so")]
    ):
        if not library.is_relative_to(prefix):
            target = root / str(library).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
    name = f"public.ecr.aws/lambda/python:{version}-{ARCHITECTURE}"
    archive = root.with_suffix(".tar")
    run(["tar", "-C", str(root), "-cf", str(archive), "."], os.environ, START_S_MAX).check_returncode()
    settings = ("ENV PATH=/var/lang/bin:/bin", "ENV LAMBDA_TASK_ROOT=/var/task", "WORKDIR /var/task")
    changes = [part for setting in settings for part in ("--change", setting)]
    docker(["import", *changes, str(archive), name], environment)
    archive.unlink()
    return name


def libraries_of(files: list[Path]) -> set[Path]:
    """Return the shared libraries that programs and modules load, the loader, and those that are loaded by name."""
    known = run(["ldconfig", "-p"], {**os.environ, "PATH": f"{os.environ['PATH']}:/sbin"}, START_S_MAX).stdout
    by_name = {
        match[1]: Path(match[2])
        for match in re.finditer(r"^\s*(\S+) \(.*x86-64.*\) => (\S+)$|", known, re.MULTILINE)
        if match[1]
    }
    found = {by_name[name] for name in LOADED_LATER if name in by_name}
    for file in files:
        found |= {
            Path(path) for path in re.findall(r"(/\S+) \(0x", run(["ldd", str(file)], os.environ, START_S_MAX).stdout)
        }
    return found


def remove_images(environment: Mapping[str, str]) -> None:
    """Remove what was made; other images of the user's stay."""
    made = docker(["images", "--format", "{{.Repository}}:{{.Tag}}"], environment).split()
    mine = [name for name in made if name.startswith(("public.ecr.aws/lambda/python:", "samcli/lambda-python"))]
    if mine:
        docker(["rmi", "-f", *mine], environment)


def image_size(name: str, environment: Mapping[str, str]) -> int:
    """Return megabytes."""
    return int(docker(["image", "inspect", "--format", "{{.Size}}", name], environment)) // 1_000_000


def bridge_address(environment: Mapping[str, str]) -> str:
    """Return the address at which containers reach this machine: the first of the default bridge's network."""
    network = docker(["network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}"], environment)
    return str(next(ipaddress.ip_network(network).hosts()))


# ------------------------------------------------------------------ the artifacts and the database


def build(variables: Mapping[str, str]) -> Path:
    """Build, and return a template whose functions also have these variables: `sam local` adds none by itself."""
    folder = ROOT / ".aws-sam/sam-local/build"
    command = ["scripts/build", "--architecture", ARCHITECTURE, "--build-dir", str(folder)]
    result = run(command, os.environ, INVOKE_S_MAX)
    if result.returncode:
        raise SystemExit(result.stdout + result.stderr)
    template = intrinsics.read(folder / "template.yaml")
    template["Globals"]["Function"]["Environment"]["Variables"].update(variables)
    changed = folder / "with-endpoints.yaml"
    changed.write_text(yaml.safe_dump(template))
    return changed


@contextmanager
def database(work: Path, host: str) -> Iterator[str]:
    """Yield the endpoint of an engine that listens where containers reach it, with the template's tables."""
    port = free_port()
    command = [engine.find(), "serve", "--host", host, "--port", str(port), "--db-path", str(work / "engine.db")]
    with running(command, os.environ, work / "engine.log"):
        url = f"http://{host}:{port}"
        with httpx.Client(base_url=url) as client:
            wait_for(client)
        engine.create_tables(Database(url, is_embedded=False), load())  # `at` refuses http to another address
        yield url


# ------------------------------------------------------------------ processes


@contextmanager
def running(
    command: list[str], environment: Mapping[str, str], log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block."""
    with ExitStack() as stack:
        output = stack.enter_context(log.open("wb")) if log else subprocess.DEVNULL
        process = subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run(command: list[str], environment: Mapping[str, str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        command, cwd=ROOT, env=dict(environment), check=False, capture_output=True, text=True, timeout=timeout_s
    )


def docker(arguments: list[str], environment: Mapping[str, str]) -> str:
    """Run a docker command and return what it printed."""
    result = run(["docker", *arguments], {**os.environ, **environment}, INVOKE_S_MAX)
    if result.returncode:
        raise SystemExit(f"docker {arguments[0]}: {result.stderr}")
    return result.stdout.strip()


def lambda_python(*arguments: str) -> str:
    """Run the runtime's Python and return what it printed."""
    return run([str(ROOT / ".venv-lambda/bin/python"), *arguments], os.environ, START_S_MAX).stdout.strip()


def wait_for(client: httpx.Client) -> None:
    """Wait until somebody answers, whatever it is."""
    until = time.monotonic() + START_S_MAX
    while True:
        try:
            client.get("/")
        except httpx.TransportError:
            if time.monotonic() > until:
                raise SystemExit(f"{client.base_url} does not answer") from None
            time.sleep(0.2)
        else:
            return


def verdict(good: bool) -> str:
    """Return the first word of a line of the report."""
    return "ok   " if good else "WRONG"


def short(answer: Any) -> str:
    """Return the beginning of an answer, for a line of the report."""
    if "errorMessage" in answer:
        return str(answer["errorMessage"])
    text = answer.get("body")
    status = f"{answer['statusCode']} " if text else ""
    return status + _beginning(text or json.dumps(answer))


def _beginning(text: str) -> str:
    """Return what fits on the line."""
    return " ".join(text[:200].split())[:100]


def say(line: str) -> None:
    """Print a line of the report."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
