"""Stands in for the AWS CLI, which is no Python library: runs a command by botocore's models, as the CLI does.

    python -m tests.artifact.aws_cli cloudformation describe-stacks --stack-name tickets --query 'Stacks[0].StackStatus'

It takes what the pages use: scalar options, maps in JSON, flags, --cli-input-json, --query, --output text or json, and
`wait`. Where a result has the Internet address of the API or of Cognito's tokens, it prints that of the emulator
(AWS_ENDPOINT_URL).
"""

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import botocore.session
import jmespath  # type: ignore[import-untyped]  # its types would be one more dependency for one call
from botocore import xform_name
from botocore.model import Shape

RENAMED = {"notification-endpoint": "endpoint"}  # by the CLI, whose --endpoint-url begins like it
_READ: dict[str, Callable[[str], Any]] = {"integer": int, "map": json.loads}
API = re.compile(r"https://(\w+)\.execute-api\.[\w.-]+\.amazonaws\.com")
TOKENS = re.compile(r"https://[\w-]+\.auth\.[\w-]+\.amazoncognito\.com")


def main(service: str, operation: str, *rest: str) -> None:
    """Run a command; print its result."""
    client: Any = botocore.session.get_session().create_client(service.removesuffix("api"))  # s3api
    if operation == "wait":
        waiter = client.get_waiter(rest[0].replace("-", "_"))
        waiter.wait(**_arguments(rest[1:], _input(client, waiter.config.operation))[0])
        return
    name = next(one for one in client.meta.service_model.operation_names if xform_name(one, "-") == operation)
    arguments, options = _arguments(rest, _input(client, name))
    result = getattr(client, xform_name(name))(**arguments)
    del result["ResponseMetadata"]
    if "query" in options:
        result = jmespath.search(options["query"], result)
    if result not in ({}, ""):
        text = _text(result) if options.get("output") == "text" else json.dumps(result, indent=4, default=str)
        sys.stdout.write(f"{_local(text)}\n")


def _input(client: Any, operation: str) -> dict[str, Shape]:
    shape = client.meta.service_model.operation_model(operation).input_shape
    return dict(shape.members) if shape else {}


def _arguments(words: Sequence[str], members: dict[str, Shape]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the operation's arguments, and the options of the CLI itself."""
    names = {xform_name(name, "-"): name for name in members}
    arguments: dict[str, Any] = {}
    options: dict[str, str] = {}
    left = list(words)
    while left:
        option = left.pop(0).removeprefix("--")
        option = RENAMED.get(option, option)
        name = names.get(option.removeprefix("no-"), "")
        kind = members[name].type_name if name else ""
        if kind == "boolean":
            arguments[name] = not option.startswith("no-")
        elif name:
            arguments[name] = _READ.get(kind, str)(left.pop(0))
        elif option == "cli-input-json":
            arguments |= json.loads(left.pop(0))
        else:
            options[option] = left.pop(0)
    return arguments, options


def _text(result: Any) -> str:
    """Write a result as `--output text` does: values with tabs between them, and a line for each row of a table."""
    if isinstance(result, list) and result and isinstance(result[0], list):
        return "\n".join(map(_text, result))
    return "\t".join(map(str, result)) if isinstance(result, list) else str(result)


def _local(text: str) -> str:
    emulator = os.environ["AWS_ENDPOINT_URL"]
    return TOKENS.sub(emulator, API.sub(rf"{emulator}/_aws/execute-api/\1/$default", text))


if __name__ == "__main__":
    main(*sys.argv[1:])
