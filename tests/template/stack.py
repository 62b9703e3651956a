"""Give tests the stack as CloudFormation sees it."""

import atexit
import json
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

Properties = dict[str, Any]


@dataclass(frozen=True)
class Stack:
    """Resources after the SAM transform, by logical id."""

    resources: dict[str, dict[str, Any]]

    def of_type(self, kind: str) -> dict[str, Properties]:
        """Return the properties of all resources of a type."""
        return {name: resource["Properties"] for name, resource in self.resources.items() if resource["Type"] == kind}

    @property
    def functions(self) -> dict[str, Properties]:
        """Return all functions."""
        return self.of_type("AWS::Lambda::Function")

    @property
    def routes(self) -> dict[str, str]:
        """Return the function behind each "METHOD /path"."""
        (api,) = self.of_type("AWS::ApiGatewayV2::Api").values()
        found = {}
        for path, methods in api["Body"]["paths"].items():
            for method, operation in methods.items():
                uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
                found[f"{method.upper()} {path}"] = self.behind(uri.rpartition("${")[2].partition("}")[0])
        return found

    def behind(self, alias: str) -> str:
        """Return the function behind an alias."""
        return str(self.of_type("AWS::Lambda::Alias")[alias]["FunctionName"]["Ref"])

    def statements(self, function: str) -> list[dict[str, Any]]:
        """Return what template.yaml allows a function, without AWS's managed policies."""
        role = self.functions[function]["Role"]["Fn::GetAtt"][0]
        policies = self.resources[role]["Properties"].get("Policies", [])
        return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]

    def privileges(self, function: str) -> set[tuple[str, str]]:
        """Return a function's privileges, such as ("dynamodb:Scan", "EventsTable/index/changing")."""
        return {
            (action, _name(resource))
            for statement in self.statements(function)
            for action in _as_list(statement["Action"])
            for resource in _as_list(statement["Resource"])
        }


@cache
def deployed(layer_code: str = "s3://bucket/layer", *parameters: str) -> Stack:
    """Transform template.yaml with the layer's code at that address; parameters are NAME=VALUE."""
    transform = _transform()
    assert transform.stdin
    assert transform.stdout
    transform.stdin.write(json.dumps([layer_code, *parameters]) + "\n")
    transform.stdin.flush()
    return Stack(json.loads(transform.stdout.readline()))


@cache
def _transform() -> subprocess.Popen[str]:
    """Start the program that transforms the template; it ends with this process."""
    command = [".venv-sam/bin/python", "tests/template/transform.py"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(process.communicate)  # closes its input
    return process


def folder_of(function: str) -> str:
    """Return the folder of a function under functions/, which also names its payload, such as event_bookings."""
    return re.sub(r"(?<=.)([A-Z])", r"_\1", function.removesuffix("Function")).lower()


def _name(resource: Any) -> str:
    """Write !GetAtt Table.Arn as Table and !Sub "${Table.Arn}/rest" as Table/rest, without the ARN's prefix."""
    if isinstance(resource, dict) and "Fn::GetAtt" in resource:
        return str(resource["Fn::GetAtt"][0])
    if isinstance(resource, dict) and "Fn::Sub" in resource:
        text = re.sub(r"\$\{(\w+)\.Arn\}", r"\1", resource["Fn::Sub"])
        return text.removeprefix("arn:${AWS::Partition}:codedeploy:${AWS::Region}:${AWS::AccountId}:")
    return str(resource)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
