"""The port: one listening socket per worker, held by the supervisor.

The kernel spreads new connections over the sockets, so that each worker gets its share of the clients. They stay
open when a worker dies: what had connected to its socket waits for its successor.
"""

import errno
import socket
import sys
import time

from local.errors import StartError

_BACKLOG = 1024
_TRY_S_MAX = 1.0  # a program that was just killed may still be letting go of the port


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """Open `count` listening sockets on one port; 0 takes a free one.

    Raises: StartError when the port is in use, also by another ticket office, or not ours to take.
    """
    first = _bind_alone(host, port)
    if not sys.platform.startswith("linux"):
        # Elsewhere SO_REUSEPORT does not spread connections: the workers share one socket.
        first.listen(_BACKLOG)
        return [first] * count
    # Set after bind: the first took the port for itself alone, the others may now join it.
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sockets = [first]
    for _ in range(count - 1):
        another = _socket()
        another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        another.bind((host, first.getsockname()[1]))
        sockets.append(another)
    for each in sockets:
        each.listen(_BACKLOG)
    return sockets


def _bind_alone(host: str, port: int) -> socket.socket:
    deadline = time.monotonic() + _TRY_S_MAX
    while True:
        sock = _socket()
        try:
            sock.bind((host, port))
        except OSError as error:
            sock.close()
            if error.errno != errno.EADDRINUSE:
                raise StartError(f"port {port} cannot be used: {error.strerror}") from None
            if time.monotonic() > deadline:
                raise StartError(f"port {port} is in use: choose another with --port") from None
            time.sleep(0.05)
            continue
        return sock


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Connections of the last run that wait for their end do not count. Each socket has to say so: its connections
    # inherit it, and one that did not would keep the port from the next start for a minute.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return sock
