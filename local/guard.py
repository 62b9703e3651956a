"""Runs a program that dies with the process that started it, even after kill -9.

    python -I -S guard.py PARENT_PID PROGRAM ARGUMENT...

On Linux the kernel does this (PR_SET_PDEATHSIG survives exec), and this script becomes the program. Elsewhere it keeps
running and watches its standard input, a pipe from the parent, which ends when the parent does.
"""

import os
import signal
import subprocess
import sys
import threading
from types import FrameType

_ON_LINUX = os.uname().sysname == "Linux"
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main() -> None:
    """Run the program in the arguments."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if _ON_LINUX:
        die_with_parent(parent)
        os.execv(command[0], command)  # noqa: S606 - the arguments are ours
    _watch(command)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends; do nothing outside Linux."""
    if not _ON_LINUX:
        return
    import ctypes  # noqa: PLC0415 - it takes 5 ms

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os._exit(1)


def _watch(command: list[str]) -> None:
    """Run the program until it or the parent ends; forward SIGTERM."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        os.kill(process.pid, signal.SIGTERM)  # terminate() would wait for a lock that wait() holds

    def end_with_parent() -> None:
        while os.read(0, 1):
            pass
        os.kill(process.pid, signal.SIGKILL)

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=end_with_parent, daemon=True).start()
    os._exit(process.wait() % 256)


if __name__ == "__main__":
    main()
