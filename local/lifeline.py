"""The tie between the program and the processes that it starts: when the one dies, the others do.

Each child holds one end of a socket pair. It says over it that it is ready; when the other end is gone, so is the
program, and the child ends. On Linux the kernel kills it even sooner.
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
    """A child's end."""

    def __init__(self, descriptor: int, parent: int) -> None:
        """Tie this process to the program `parent`; from here on only that one decides when to stop."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the program's to handle, in its order
        guard.die_with_parent(parent)
        sys.stdout, sys.stderr = Log.text(1), Log.text(2)
        self._socket = socket.socket(fileno=descriptor)
        self.stop = threading.Event()
        signal.signal(signal.SIGTERM, self._on_term)
        threading.Thread(target=self._watch, daemon=True).start()

    def ready(self) -> None:
        """Tell the program that this process does its work from now on."""
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
        """Return a stream for print: what it wrote is complete at the end of each line, whenever we are killed."""
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
