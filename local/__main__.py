"""python -m local: the ticket office on this machine."""

import os
import signal
import sys
from importlib.util import find_spec
from types import FrameType

from local import STOP_SIGNALS

_REQUIRED = ("yaml", "boto3", "uvicorn", "httptools", "joserfc", "pydantic", "aws_lambda_powertools")


def main() -> int:
    """Run until Ctrl-C; return the exit code: 0 after Ctrl-C, 1 after one line that says why."""
    os.umask(0o077)  # data and logs name users
    for number in STOP_SIGNALS:  # Ctrl-C, `kill` and a closed terminal stop it in the same way
        signal.signal(number, _stop)
    if missing := [name for name in _REQUIRED if find_spec(name) is None]:
        sys.stderr.write(f"{missing[0]} is not installed: `make run` installs it and starts the ticket office\n")
        return 1
    try:
        from local import program  # noqa: PLC0415 - only now are its imports known to exist

        return program.run(sys.argv[1:])
    except KeyboardInterrupt:
        return 0


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
