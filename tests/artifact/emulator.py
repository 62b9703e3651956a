"""AWS as one process on this machine, and a stack that `sam deploy` made in it.

The emulator (ministack) applies the real SAM transform and keeps to what the roles of the functions allow; the
functions run as processes of its own Python. What it lacks is said where a test has to do without.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx

from tests.running import free_port

ROOT = Path(__file__).resolve().parents[2]
START_S_MAX = 30
STOP_S_MAX = 5
DEPLOY_S_MAX = 60
REQUEST_S_MAX = 20

# The emulator takes these for the account's owner; the functions get credentials of their roles from it.
OWNER = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class Emulator:
    """A running emulator, its port on 127.0.0.1, its log, and a folder for what else it writes."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    folder: Path

    @property
    def url(self) -> str:
        """Return where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str) -> Any:
        """Return a client of one of its services."""
        make: Any = boto3.client  # its type stubs know DynamoDB only
        return make(
            service,
            endpoint_url=self.url,
            region_name=OWNER["AWS_DEFAULT_REGION"],
            aws_access_key_id=OWNER["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=OWNER["AWS_SECRET_ACCESS_KEY"],
        )

    def deploy(self, template: Path, stack: str, **parameters: str) -> "Deployed":
        """Run `sam deploy`; return the stack once all of it is there."""
        command = [str(ROOT / ".venv-sam/bin/sam"), "deploy", "--template-file", str(template), "--stack-name", stack]
        command += ["--resolve-s3", "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-progressbar"]
        command += ["--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())]
        environment = {
            "PATH": os.defpath,
            "HOME": str(self.folder),
            "SAM_CLI_TELEMETRY": "0",
            "AWS_ENDPOINT_URL": self.url,
            **OWNER,
        }
        result = subprocess.run(
            command,
            cwd=self.folder,  # no samconfig.toml of the user's
            env=environment,
            check=False,
            timeout=DEPLOY_S_MAX,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return Deployed(self, stack)


@dataclass(frozen=True)
class Deployed:
    """A stack in the emulator."""

    emulator: Emulator
    name: str

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return all resources by logical id: type, status, and the name they have been given."""
        found = self.emulator.client("cloudformation").describe_stack_resources(StackName=self.name)
        return {resource["LogicalResourceId"]: resource for resource in found["StackResources"]}

    def physical_id(self, logical_id: str) -> str:
        """Return the name that a resource has been given."""
        return str(self.resources()[logical_id]["PhysicalResourceId"])

    def template(self) -> dict[str, Any]:
        """Return the template as it was deployed, after the transform."""
        client = self.emulator.client("cloudformation")
        found: dict[str, Any] = client.get_template(StackName=self.name, TemplateStage="Processed")["TemplateBody"]
        return found

    def add_routes(self) -> None:
        """Give the API the routes of its OpenAPI body: SAM puts them there, and the emulator does not read it."""
        resources, client = self.resources(), self.emulator.client("apigatewayv2")
        api = resources["Api"]["PhysicalResourceId"]
        for path, methods in self.template()["Resources"]["Api"]["Properties"]["Body"]["paths"].items():
            for method, operation in methods.items():
                declared = operation["x-amazon-apigateway-integration"]
                alias = declared["uri"]["Fn::Sub"].rpartition("${")[2].partition("}")[0]
                integration = client.create_integration(
                    ApiId=api,
                    IntegrationType=declared["type"].upper(),
                    PayloadFormatVersion=declared["payloadFormatVersion"],
                    IntegrationUri=resources[alias]["PhysicalResourceId"],  # an alias's is its ARN
                )
                target = f"integrations/{integration['IntegrationId']}"
                client.create_route(ApiId=api, RouteKey=f"{method.upper()} {path}", Target=target)

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Send a request to the API; the emulator finds the API by the host that is asked for."""
        host = f"{self.physical_id('Api')}.execute-api.localhost:{self.emulator.port}"
        url = f"{self.emulator.url}{path}"
        return httpx.request(method, url, json=body, headers={"Host": host}, timeout=REQUEST_S_MAX)


@contextmanager
def running(folder: Path) -> Iterator[Emulator]:
    """Start the emulator with all it writes in a folder; end it, and the functions it has started, at the end."""
    log, port = folder / "emulator.log", free_port()
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "STATE_DIR": str(folder),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",  # these two would listen beside the gateway, and on every interface
        "SFTP_ENABLED": "0",
        "LAMBDA_EXECUTOR": "local",
        "AUTH": "true",  # what a role does not allow is refused, as on AWS
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(ROOT / ".venv-emulator/bin/ministack")],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,  # the functions are its children and end with it
        )
    try:
        emulator = Emulator(process, port, log, folder)
        _wait_for(emulator)
        yield emulator
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S_MAX)
        with suppress(ProcessLookupError):  # all have ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(emulator: Emulator) -> None:
    deadline = time.monotonic() + START_S_MAX
    while True:
        assert emulator.process.poll() is None, emulator.log.read_text()
        assert time.monotonic() < deadline, emulator.log.read_text()
        with suppress(httpx.HTTPError):
            if httpx.get(f"{emulator.url}/_ministack/health", timeout=1).is_success:
                return
        time.sleep(0.1)
