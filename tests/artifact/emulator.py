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

from harness.running import free_port
from local import intrinsics

ROOT = Path(__file__).resolve().parents[2]
START_S_MAX = 30
STOP_S_MAX = 5
REQUEST_S_MAX = 20
PASSWORD = "Correct-Horse-9-Battery"

# The emulator takes these for the account's owner; the functions get credentials of their roles from it.
OWNER = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class Emulator:
    """A running emulator, its port on 127.0.0.1, and its log."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

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


@dataclass(frozen=True)
class User:
    """A user of the user pool, by the name that it gave them, with a token of its own making."""

    user_id: str
    token: str


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

    def outputs(self) -> dict[str, str]:
        """Return what the template gives out."""
        [stack] = self.emulator.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def add_routes(self) -> None:
        """Give the API what its OpenAPI body says: SAM puts routes and authorizer there, the emulator does not read it.

        As it is with a user pool: that is the issuer, its app clients are the audience, every route takes a token.
        """
        resources, client = self.resources(), self.emulator.client("apigatewayv2")
        api = resources["Api"]["PhysicalResourceId"]
        body = self.template()["Resources"]["Api"]["Properties"]["Body"]
        declared_authorizer = body["components"]["securitySchemes"]["Jwt"]["x-amazon-apigateway-authorizer"]
        outputs = self.outputs()
        pool = f"cognito-idp.{OWNER['AWS_DEFAULT_REGION']}.amazonaws.com/{outputs['UserPoolId']}"
        programs = ("UserPoolClientId", "OrganiserClientId", "ShopClientId")
        clients = [outputs[name] for name in programs if name in outputs]
        authorizer = client.create_authorizer(
            ApiId=api,
            Name="Jwt",
            AuthorizerType=declared_authorizer["type"].upper(),
            IdentitySource=[declared_authorizer["identitySource"]],
            JwtConfiguration={"Issuer": f"https://{pool}", "Audience": clients},
        )
        for path, methods in body["paths"].items():
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
                assert "security" in operation, f"{method} {path} takes no token"
                if operation["security"] == [{"NONE": []}]:
                    client.create_route(ApiId=api, RouteKey=f"{method.upper()} {path}", Target=target)
                    continue
                client.create_route(
                    ApiId=api,
                    RouteKey=f"{method.upper()} {path}",
                    Target=target,
                    AuthorizationType=declared_authorizer["type"].upper(),
                    AuthorizerId=authorizer["AuthorizerId"],
                )

    def sign_up(self, email: str, group: str | None = None) -> "User":
        """Make a user of the user pool, in a group; return them, signed in."""
        client, outputs = self.emulator.client("cognito-idp"), self.outputs()
        pool = {"UserPoolId": outputs["UserPoolId"]}
        made = client.admin_create_user(**pool, Username=email, MessageAction="SUPPRESS")["User"]
        client.admin_set_user_password(**pool, Username=email, Password=PASSWORD, Permanent=True)
        if group:
            client.admin_add_user_to_group(**pool, Username=email, GroupName=group)
        signed_in = client.admin_initiate_auth(
            **pool,
            ClientId=outputs["UserPoolClientId"],
            AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": PASSWORD},
        )["AuthenticationResult"]
        [user_id] = [attribute["Value"] for attribute in made["Attributes"] if attribute["Name"] == "sub"]
        return User(user_id, signed_in["AccessToken"])

    def ask(self, method: str, path: str, body: Any = None, user: "User | None" = None) -> httpx.Response:
        """Send a request to the API; the emulator finds the API by the host that is asked for."""
        host = f"{self.physical_id('Api')}.execute-api.localhost:{self.emulator.port}"
        url = f"{self.emulator.url}{path}"
        headers = {"Host": host} | ({"Authorization": f"Bearer {user.token}"} if user else {})
        return httpx.request(method, url, json=body, headers=headers, timeout=REQUEST_S_MAX)


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
        emulator = Emulator(process, port, log)
        _wait_for(emulator)
        yield emulator
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S_MAX)
        with suppress(ProcessLookupError):  # all have ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def without_what_it_lacks(path: Path, codedeploy: str) -> dict[str, Any]:
    """Read a built template, and leave out what the emulator does not take."""
    template = intrinsics.read(path)
    resources = template["Resources"]
    del template["Globals"]["Function"]["DeploymentPreference"]
    del resources["FailedRecordsBucketPolicy"]  # it demands TLS, which the emulator does not offer
    del resources["EventBusPolicy"]  # a type that the emulator does not know
    for name, resource in list(resources.items()):
        properties = resource["Properties"]
        properties.pop("DeploymentPreference", None)
        if resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in properties:
            del resources[name]
    variables = resources["CheckFunction"]["Properties"]["Environment"]["Variables"]
    variables["AWS_ENDPOINT_URL_CODEDEPLOY"] = codedeploy
    return template


def _wait_for(emulator: Emulator) -> None:
    deadline = time.monotonic() + START_S_MAX
    while True:
        assert emulator.process.poll() is None, emulator.log.read_text()
        assert time.monotonic() < deadline, emulator.log.read_text()
        with suppress(httpx.HTTPError):
            if httpx.get(f"{emulator.url}/_ministack/health", timeout=1).is_success:
                return
        time.sleep(0.1)
