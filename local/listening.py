"""The port: one listening socket, held by the supervisor, which hands each connection to the next worker in turn.

So all workers have as many clients, whether there are two or a thousand; the kernel, asked to spread them, does it by
chance. A connection that was handed to a worker which dies before it took it waits for the successor.
"""

import errno
import select
import socket
import time
from collections.abc import Callable
from itertools import cycle, islice

from local.errors import StartError

_BACKLOG = 1024
_TRY_S_MAX = 1.0  # a program that was just killed may still be letting go of the port
_PAUSE_S = 0.01  # while no worker takes any more


class Handout:
    """What the supervisor hands connections to its workers by: `ends` are the workers' ends, one for each."""

    def __init__(self, listening: socket.socket, workers: int) -> None:
        """Make a way to each worker."""
        self._listening = listening
        self.port: int = listening.getsockname()[1]
        listening.setblocking(False)
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(workers)]
        for ours, theirs in pairs:
            ours.setblocking(False)
            theirs.setblocking(False)
        self._ways = [ours for ours, _ in pairs]
        self.ends = [theirs for _, theirs in pairs]
        self._turns = cycle(range(workers))
        self._waiting: socket.socket | None = None  # a connection that no worker has taken yet

    def close(self) -> None:
        """Let go of the port; who waits is turned away."""
        for each in (self._listening, *self._ways, *self.ends, *([self._waiting] if self._waiting else [])):
            each.close()

    def serve(self, seconds: float, is_up: Callable[[int], bool]) -> None:
        """Hand on what comes within so many seconds, to workers that are up."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            if self._waiting is None and not self._accept(left_s):
                return
            if self._hand_on(is_up):
                self._waiting = None
            else:
                time.sleep(min(_PAUSE_S, left_s))

    def _accept(self, seconds: float) -> bool:
        """Wait for a connection; say whether one came."""
        if not select.select([self._listening], [], [], seconds)[0]:
            return False
        try:
            self._waiting, _ = self._listening.accept()
        except OSError:  # who called has gone, or there are too many open files for the moment
            time.sleep(min(_PAUSE_S, seconds))
            return False
        return True

    def _hand_on(self, is_up: Callable[[int], bool]) -> bool:
        """Give the connection to the next worker that is up and has room; say whether there was one."""
        assert self._waiting is not None
        for worker in islice(self._turns, len(self._ways)):
            if is_up(worker):
                try:
                    socket.send_fds(self._ways[worker], [b"1"], [self._waiting.fileno()])
                except OSError:  # no room: Linux says EAGAIN or ETOOMANYREFS, macOS ENOBUFS
                    continue
                self._waiting.close()  # it is the worker's now
                return True
        return False


def take(end: socket.socket) -> socket.socket | None:
    """Take a connection at a worker's end; None when there is none.

    Raises: OSError when this process has too many open files: the kernel has closed that connection.
    """
    try:
        _, descriptors, _, _ = socket.recv_fds(end, 1, 1)
    except BlockingIOError:
        return None
    if not descriptors:
        raise OSError(errno.EMFILE, "a connection was lost: too many open files")
    return socket.socket(fileno=descriptors[0])


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port; 0 takes a free one.

    Raises: StartError when the port is in use, also by another ticket office, or not ours to take.
    """
    deadline = time.monotonic() + _TRY_S_MAX
    while True:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Connections of the last run that wait for their end do not count.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(_BACKLOG)
        except OSError as error:
            listening.close()
            if error.errno != errno.EADDRINUSE:
                raise StartError(f"port {port} cannot be used: {error.strerror}") from None
            if time.monotonic() > deadline:
                raise StartError(f"port {port} is in use: choose another with --port") from None
            time.sleep(0.05)
            continue
        return listening
