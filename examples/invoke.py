"""Call functions with the payloads of events/, one after the other: python -m examples.invoke initialize book cancel.

The functions run in this process, so a debugger works. Their database is thrown away at the end. Their answers go to
standard output and their logs to standard error. A stand-in answers calls to EventBridge and S3, so nothing leaves
the machine.
"""

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout
from typing import Any

from harness.deployment import stand_in
from harness.gateway import Context
from local import PROJECT, engine
from local.database import Database
from local.system import Function, System
from local.template import load

NEEDS_A_DEPLOYMENT = {"check"}


def main(names: Sequence[str]) -> None:
    """Call each function once, in the order given."""
    system = load()
    functions = {function.handler.split(".")[1]: function for function in system.functions.values()}
    known = functions.keys() - NEEDS_A_DEPLOYMENT
    if not names or not known.issuperset(names):
        sys.exit(f"usage: python -m examples.invoke NAME...  where NAME is one of {', '.join(sorted(known))}")
    with ExitStack() as stack:
        _prepare(system, stack)
        for name in names:
            payload = json.loads((PROJECT / "events" / f"{name}.json").read_text(encoding="utf-8"))
            answer = _call(functions[name], payload)
            print(f"{name}:", f"{answer['statusCode']} {answer['body']}" if "body" in answer else json.dumps(answer))


def _prepare(system: System, stack: ExitStack) -> None:
    """Start an engine with empty tables and a stand-in for other services, and point the functions at them."""
    endpoint = stack.enter_context(engine.running(None, system))
    services = stack.enter_context(stand_in())
    for function in system.functions.values():
        os.environ.update(function.environment)
    os.environ.update(
        Database.embedded(endpoint).environment,
        AWS_ENDPOINT_URL_EVENTBRIDGE=services.url,
        FAILED_RECORDS=stack.enter_context(tempfile.TemporaryDirectory()),
    )


def _call(function: Function, payload: dict[str, Any]) -> dict[str, Any]:
    """Import the function's module, as a cold start does, and call its handler."""
    module, _, name = function.handler.rpartition(".")
    with redirect_stdout(sys.stderr):
        handler = getattr(importlib.import_module(module), name)
        answer: dict[str, Any] = handler(payload, Context())
    return answer


if __name__ == "__main__":
    main(sys.argv[1:])
