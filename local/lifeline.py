"""The tie between the program and its child processes: when the program dies, they end.

Each child holds one end of a socket pair. It reports over it that it is ready; when the other end closes, the program
is gone and the child ends. On Linux the kernel kills the child even sooner.
"""

import io
import os
import signal
import socket
import sys
import threading
from types import FrameType
from typing import Any, TextIO

from local import guard

READY = b"1"


class Lifeline:
    """The child's end."""

    def __init__(self, descriptor: int, parent: int) -> None:
        """Tie this process to the program `parent`, which alone decides when to stop."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program handles Ctrl-C, and stops its parts in order
        guard.die_with_parent(parent)
        sys.stdout, sys.stderr = Log.text(1), Log.text(2)
        self._socket = socket.socket(fileno=descriptor)
        self.stop = threading.Event()
        signal.signal(signal.SIGTERM, self._on_term)
        threading.Thread(target=self._watch, daemon=True).start()

    def ready(self) -> None:
        """Tell the program that this process is ready for work."""
        self._socket.sendall(READY)

    def _on_term(self, _signal: int, _frame: FrameType | None) -> None:
        self.stop.set()

    def _watch(self) -> None:
        try:
            while self._socket.recv(1):
                pass
        except OSError:
            pass
        os._exit(1)


class Log(io.FileIO):
    """A log that drops the lines for which the disk has no space: no log is worth a request."""

    _may_be_torn = False

    @classmethod
    def text(cls, descriptor: int) -> TextIO:
        """Return a text stream that writes each line at once: the process may be killed."""
        return io.TextIOWrapper(io.BufferedWriter(cls(descriptor, "w", closefd=False)), "utf-8", line_buffering=True)

    def write(self, data: Any) -> int:
        """Write what fits; claim to have written the rest."""
        try:
            if self._may_be_torn:
                super().write(b"\n")
                self._may_be_torn = False
            return super().write(data)
        except OSError:
            self._may_be_torn = True
            return len(data)
