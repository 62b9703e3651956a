"""The Lambda runtime as a handler sees it: environment, context and time limit."""

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

from local.errors import LocalError, StartError
from local.system import Function

_ACCOUNT = "000000000000"
_is_running = False  # a handler is running, and may be stopped


class TimedOut(BaseException):  # not caught by a handler's `except Exception`
    """The function's Timeout has passed."""


class Context:
    """The second argument of a handler: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html."""

    __slots__ = (
        "aws_request_id",
        "client_context",
        "deadline_s",
        "function_name",
        "function_version",
        "identity",
        "invoked_function_arn",
        "log_group_name",
        "log_stream_name",
        "memory_limit_in_mb",
    )

    def __init__(self, function: Function, request_id: str) -> None:
        """Start the time limit of one invocation."""
        self.aws_request_id = request_id
        self.client_context = None
        self.deadline_s = time.monotonic() + function.timeout_s
        self.function_name = function.name
        self.function_version = "$LATEST"
        self.identity = None
        self.invoked_function_arn = arn(function)
        self.log_group_name = f"/aws/lambda/{function.name}"
        self.log_stream_name = "local"
        self.memory_limit_in_mb = str(function.memory_mb)  # a string on Lambda too

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the function is stopped, at least 0."""
        return max(0, int((self.deadline_s - time.monotonic()) * 1000))


class Runtime:
    """One loaded function, invoked once at a time in the main thread of its process."""

    def __init__(self, function: Function) -> None:
        """Import the handler with its environment on Lambda.

        Raises: StartError if there is no such handler.
        """
        self.function = function
        os.environ |= {
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        }
        module_name, _, attribute = function.handler.rpartition(".")
        try:
            self._handler: Callable[[Any, Context], Any] = getattr(importlib.import_module(module_name), attribute)
        except ModuleNotFoundError as error:
            raise StartError(f"{function.name}: cannot import {module_name}: {error}") from None
        except AttributeError:
            raise StartError(f"{function.name}: {module_name} has no {attribute}") from None

    def invoke(self, payload: Any, request_id: str) -> Any:
        """Call the handler. Raises: TimedOut, or any exception of the handler's."""
        global _is_running  # noqa: PLW0603 - a process has one alarm clock
        context = Context(self.function, request_id)
        signal.setitimer(signal.ITIMER_REAL, self.function.timeout_s)
        try:
            _is_running = True
            return self._handler(payload, context)
        finally:
            _is_running = False
            signal.setitimer(signal.ITIMER_REAL, 0)


def arn(function: Function) -> str:
    """Return the function's ARN."""
    return f"arn:aws:lambda:{os.environ.get('AWS_REGION', 'us-east-1')}:{_ACCOUNT}:function:{function.name}"


def load(functions: Iterable[Function]) -> dict[str, Runtime]:
    """Load functions into this process; return them by name.

    Raises: StartError if their environments differ or a handler is missing.
    """
    environment: dict[str, str] = {}
    loaded = {}
    wanted = list(functions)
    for function in wanted:
        for name, value in function.environment.items():
            if environment.setdefault(name, value) != value:
                raise StartError(f"{name} differs between functions, which share a process here")
    os.environ |= environment
    signal.signal(signal.SIGALRM, _alarm)
    for function in wanted:
        loaded[function.name] = Runtime(function)
    return loaded


def log(message: str, **facts: Any) -> None:
    """Write one structured line to this process's log."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line: Mapping[str, Any] = {"timestamp": now, "service": "local", "message": message, **facts}
    sys.stdout.write(json.dumps(line, default=str) + "\n")
    sys.stdout.flush()


def explain(error: LocalError) -> None:
    """Write why this process ends as the last line of its log, which the supervisor prints."""
    sys.stderr.write(f"{error}\n")


def _alarm(_signal: int, _frame: FrameType | None) -> None:
    if _is_running:  # otherwise the handler was just returning
        raise TimedOut
