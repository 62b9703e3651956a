"""python -m ops: tools for operators of the ticket office."""

import os
import signal
import sys
from importlib.util import find_spec
from types import FrameType

from local import STOP_SIGNALS

_REQUIRED = ("yaml", "boto3", "tqdm", "aws_lambda_powertools", "httptools")
_CANNOT = 2
_STOPPED = 130  # as a shell reports Ctrl-C
_READER_GONE = 141  # as a shell reports SIGPIPE


def main() -> int:
    """Run one command; return its exit code."""
    os.umask(0o077)  # exports and data name users
    for number in STOP_SIGNALS:
        signal.signal(number, _stop)
    if missing := [name for name in _REQUIRED if find_spec(name) is None]:
        sys.stderr.write(f"{missing[0]} is not installed: `make run` installs what is needed into .venv\n")
        return _CANNOT
    for stream in (sys.stdout, sys.stderr):  # an event may have a name that the terminal cannot show
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        from ops import program  # noqa: PLC0415 - only now it is known that its imports are installed

        code = program.run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped. It is safe to run the same command again.\n")
        return _STOPPED
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    return code


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
