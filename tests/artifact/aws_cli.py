"""Stands in for the AWS CLI, which is no Python library: runs a command by botocore's models, as the CLI does.

    aws cloudformation describe-stacks --stack-name tickets --query 'Stacks[0].StackStatus'

It takes what the pages use: scalar options, maps in JSON, flags, --cli-input-json, --query, --output text or json, and
`wait`. Where a result has the Internet address of the API or of Cognito's tokens, it prints that of the emulator.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import botocore.session
import jmespath  # type: ignore[import-untyped]  # its types would be one more dependency for one call
from botocore import xform_name
from botocore.model import Shape

from harness.serving import Fields, serving

RENAMED = {"notification-endpoint": "endpoint"}  # by the CLI, whose --endpoint-url begins like it
_READ: dict[str, Callable[[str], Any]] = {"integer": int, "map": json.loads}
API = re.compile(r"https://(\w+)\.execute-api\.[\w.-]+\.amazonaws\.com")
TOKENS = re.compile(r"https://[\w-]+\.auth\.[\w-]+\.amazoncognito\.com")


@contextmanager
def running(endpoint: str) -> Iterator[str]:
    """Yield a command for the body of a shell's function `aws`: it runs what it is given on AWS's stand-in there.

    All run in this process: to import botocore and read its models takes longer than what a command does.
    """
    session = botocore.session.get_session()
    client = cache(lambda service: session.create_client(service.removesuffix("api"), endpoint_url=endpoint))  # s3api
    one_at_a_time = Lock()  # a session may not make two clients at once

    def serve(_method: str, _target: str, _headers: Fields, body: bytes) -> tuple[int, bytes]:
        service, *words = body.decode().split("\0")[:-1]
        try:
            with one_at_a_time:
                status, text = 200, _run(client(service), *words)
        except Exception as error:  # noqa: BLE001  # as the CLI does: told in one line
            status, text = 500, f"{error!r}\n"
        return status, _local(text, endpoint).encode()

    with serving(serve) as url:
        yield f"printf '%s\\0' \"$@\" | curl -s --fail-with-body --data-binary @- {url}"


def _run(client: Any, operation: str, *rest: str) -> str:
    """Run a command; return what it prints."""
    if operation == "wait":
        waiter = client.get_waiter(rest[0].replace("-", "_"))
        waiter.config.delay = 0.5  # seconds; AWS's own 30 would be slept in full
        waiter.wait(**_arguments(rest[1:], _input(client, waiter.config.operation))[0])
        return ""
    name = next(one for one in client.meta.service_model.operation_names if xform_name(one, "-") == operation)
    arguments, options = _arguments(rest, _input(client, name))
    result = getattr(client, xform_name(name))(**arguments)
    del result["ResponseMetadata"]
    if "query" in options:
        result = jmespath.search(options["query"], result)
    if result in ({}, ""):
        return ""
    return (_text(result) if options.get("output") == "text" else json.dumps(result, indent=4, default=str)) + "\n"


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


def _local(text: str, endpoint: str) -> str:
    return TOKENS.sub(endpoint, API.sub(rf"{endpoint}/_aws/execute-api/\1/$default", text))
