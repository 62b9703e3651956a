"""The port: the supervisor accepts its connections, on 127.0.0.1 and ::1, and passes each to the next worker in turn.

So every worker has the same number of clients; the kernel would distribute them at random. If a worker dies before it
takes a connection, the connection waits for the worker's successor.
"""

import errno
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from typing import TYPE_CHECKING

from local.errors import StartError

if TYPE_CHECKING:  # a worker starts without it
    from socketserver import BaseServer

_BACKLOG = 1024
_TRY_S_MAX = 1.0  # a program that was just killed may still hold the port
_FREE_TRIES = 20
_PAUSE_S = 0.01  # while no worker can take more


class _NoSuchAddress(StartError):
    """The machine does not have the address, as without IPv6."""


class Handout:
    """Passes connections to workers through sockets; `ends` are the workers' ends."""

    def __init__(self, listening: Sequence[socket.socket], workers: int) -> None:
        """Make a pair of sockets for each worker; `listening` are the sockets of one port."""
        self._listening = listening
        self.port: int = listening[0].getsockname()[1]
        for each in listening:
            each.setblocking(False)
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(workers)]
        for ours, theirs in pairs:
            ours.setblocking(False)
            theirs.setblocking(False)
        self._ways = [ours for ours, _ in pairs]
        self.ends = [theirs for _, theirs in pairs]
        self._turns = cycle(range(workers))
        self._waiting: socket.socket | None = None  # accepted, but not passed on yet

    def close(self) -> None:
        """Close the port and the waiting connection."""
        for each in (*self._listening, *self._ways, *self.ends, *([self._waiting] if self._waiting else [])):
            each.close()

    def serve(self, seconds: float, is_up: Callable[[int], bool]) -> None:
        """Pass new connections to workers that are up, for so many seconds."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            if self._waiting is None and not self._accept(left_s):
                return
            if self._hand_on(is_up):
                self._waiting = None
            else:
                time.sleep(min(_PAUSE_S, left_s))

    def _accept(self, seconds: float) -> bool:
        """Wait for a connection; return whether one came."""
        ready, _, _ = select.select(self._listening, [], [], seconds)
        if not ready:
            return False
        try:
            self._waiting, _ = ready[0].accept()
        except OSError:  # the client has gone, or too many files are open
            time.sleep(min(_PAUSE_S, seconds))
            return False
        return True

    def _hand_on(self, is_up: Callable[[int], bool]) -> bool:
        """Pass the connection to the next worker that is up and not full; return whether there was one."""
        assert self._waiting is not None
        for worker in islice(self._turns, len(self._ways)):
            if is_up(worker):
                try:
                    socket.send_fds(self._ways[worker], [b"1"], [self._waiting.fileno()])
                except OSError:  # full: EAGAIN or ETOOMANYREFS on Linux, ENOBUFS on macOS
                    continue
                self._waiting.close()  # the worker has it now
                return True
        return False


def take(end: socket.socket) -> socket.socket | None:
    """Return a connection from a worker's end, or None.

    Raises: OSError if this process has too many open files: the kernel has closed that connection.
    """
    try:
        _, descriptors, _, _ = socket.recv_fds(end, 1, 1)
    except BlockingIOError:
        return None
    if not descriptors:
        raise OSError(errno.EMFILE, "a connection was lost: too many open files")
    return socket.socket(fileno=descriptors[0])


def listen_on_loopback(port: int) -> list[socket.socket]:
    """Listen on a port of 127.0.0.1 and of ::1, so that `localhost` is this program whichever a client tries first.

    0 picks a port that is free on both. A system without IPv6 has one address. Raises: StartError.
    """
    for _ in range(_FREE_TRIES):
        first = listen("127.0.0.1", port)
        try:
            return [first, listen("::1", first.getsockname()[1])]
        except _NoSuchAddress:
            return [first]
        except StartError:
            first.close()
            if port:
                raise
    raise StartError("no port is free on both 127.0.0.1 and ::1")


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port; 0 picks a free one. Raises: StartError if the port cannot be used."""
    deadline = time.monotonic() + _TRY_S_MAX
    while True:
        try:
            return _listening(host, port)
        except OSError as error:
            if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise _NoSuchAddress(f"this machine has no address {host}") from None
            if error.errno != errno.EADDRINUSE:
                raise StartError(f"port {port} cannot be used: {error.strerror}") from None
            if time.monotonic() > deadline:
                raise StartError(f"port {port} is in use: choose another with --port") from None
        time.sleep(0.05)


@contextmanager
def in_background(server: "BaseServer") -> Iterator[None]:
    """Serve in a thread while the block runs; then stop and close the server."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _listening(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    # Connections of the last run that are still closing do not matter.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
