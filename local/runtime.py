"""What the Lambda runtime is to a handler: its environment, its context, its time limit."""

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
from local.template import Function

_ACCOUNT = "000000000000"
_in_hand = False  # a handler is running: only then may its time run out


class TimedOut(BaseException):  # a handler's `except Exception` must not keep it
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
        """Start the clock of one invocation."""
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
        """Give the milliseconds until the function is stopped, never below 0."""
        return max(0, int((self.deadline_s - time.monotonic()) * 1000))


class Runtime:
    """One loaded function: one invocation at a time, in the main thread of its process."""

    def __init__(self, function: Function) -> None:
        """Import the handler, with the environment that it has on Lambda.

        Raises: StartError when there is no such handler.
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
        """Call the handler.

        Raises: TimedOut, or whatever the handler raises.
        """
        global _in_hand  # noqa: PLW0603 - there is one alarm clock per process
        context = Context(self.function, request_id)
        signal.setitimer(signal.ITIMER_REAL, self.function.timeout_s)
        try:
            _in_hand = True
            return self._handler(payload, context)
        finally:
            _in_hand = False
            signal.setitimer(signal.ITIMER_REAL, 0)


def arn(function: Function) -> str:
    """Give the function an ARN as it would have on AWS."""
    return f"arn:aws:lambda:{os.environ.get('AWS_REGION', 'us-east-1')}:{_ACCOUNT}:function:{function.name}"


def load(functions: Iterable[Function]) -> dict[str, Runtime]:
    """Load functions that share this process, by name, and set their alarm clock.

    Raises: StartError when their environments differ or one of them has no handler.
    """
    environment: dict[str, str] = {}
    loaded = {}
    wanted = list(functions)
    for function in wanted:
        for name, value in function.environment.items():
            if environment.setdefault(name, value) != value:
                raise StartError(f"{name} is not the same for all functions, which share a process here")
    os.environ |= environment
    signal.signal(signal.SIGALRM, _alarm)
    for function in wanted:
        loaded[function.name] = Runtime(function)
    return loaded


def log(message: str, **facts: Any) -> None:
    """Write one structured line to the log of this process."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line: Mapping[str, Any] = {"timestamp": now, "service": "local", "message": message, **facts}
    sys.stdout.write(json.dumps(line, default=str) + "\n")
    sys.stdout.flush()


def explain(error: LocalError) -> None:
    """Write why this process ends as the last line of its log, where the supervisor finds it."""
    sys.stderr.write(f"{error}\n")


def _alarm(_signal: int, _frame: FrameType | None) -> None:
    if _in_hand:  # else it rang while the handler was returning
        raise TimedOut
