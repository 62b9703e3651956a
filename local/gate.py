"""The gate: closes the engine's port to everyone except the programs of the user who started it.

The engine serves every client, and it can listen only on TCP, which every local user and every web page can reach.
So on Linux the supervisor attaches a packet filter to the engine's listening socket. It drops the first packet (SYN) of
each connection, unless it comes from the one source port that the gate lets in.

    process --"I need a connection"--> gate         a Unix socket: the kernel tells each side the other's user
    gate    --bind, let in, connect--> engine       only the gate owns that source port meanwhile
    gate    --the connected socket---> process      from now on they talk directly

Requests take no detour, so they are as fast as without a gate (docs/decisions/0017-the-gate-of-the-engine.md). On other
systems the port stays open, and the program says so.
"""

import ctypes
import os
import signal
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local.errors import EngineError

HOST = "127.0.0.1"
IS_SUPPORTED = sys.platform == "linux"
_LOOK_S = 0.002  # between two looks for the listening socket of an engine that starts
_FOUND_S_MAX = 60.0
_CONNECT_S_MAX = 1.0
_ASK_S_MAX = 5.0
_BACKLOG = 128
_SYS_PIDFD_GETFD = 438  # on every architecture
_SO_ATTACH_FILTER = 26
_LET_IN_NONE = 0  # no connection comes from port 0
_plain_connect = socket.socket.connect
_used: set[int] = set()  # the engine ports to which this process connects through their gates
_ESTABLISHED, _SYN_RECEIVED = "01", "03"  # in /proc/net/tcp


class Gate:
    """The gate of one engine port, which outlives the engine's processes."""

    def __init__(self, port: int) -> None:
        """Answer the processes of this user. Raises: OSError if another program has a gate for this port."""
        self._port = port
        self._lock = threading.Lock()
        self._process: int | None = None  # descriptor of the engine's process, once its port is closed
        self._listening = -1  # the descriptor on which that process listens
        self.failure = ""  # why the port could not be closed
        self._asking = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._asking.bind(_name(port))
        self._asking.listen(_BACKLOG)
        threading.Thread(target=self._serve, daemon=True).start()

    def watch(self, pid: int) -> None:
        """Close the port of an engine process as soon as it listens."""
        self._forget()
        threading.Thread(target=self._shut, args=(pid, os.pidfd_open(pid)), daemon=True).start()

    @property
    def is_shut(self) -> bool:
        """Whether the engine listens, and to this gate alone."""
        return self._process is not None

    def close(self) -> None:
        """Answer no longer."""
        with suppress(OSError):
            self._asking.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._asking.close()
        self._forget()

    def _forget(self) -> None:
        with self._lock:
            if self._process is not None:
                os.close(self._process)
            self._process = None

    def _shut(self, pid: int, process: int) -> None:
        deadline_s = time.monotonic() + _FOUND_S_MAX
        try:
            while time.monotonic() < deadline_s and self._asking.fileno() >= 0:
                if (listening := _listening(pid, process, self._port)) is not None:
                    _let_in(process, listening, _LET_IN_NONE)
                    if _has_strangers(self._port):  # they came while the engine started: begin again without them
                        signal.pidfd_send_signal(process, signal.SIGKILL)
                    else:
                        with self._lock:
                            self._process, self._listening = os.dup(process), listening
                    return
                time.sleep(_LOOK_S)
        except (FileNotFoundError, ProcessLookupError):
            return  # the process has ended
        except OSError as error:
            self.failure = error.strerror or str(error)
        finally:
            os.close(process)

    def _serve(self) -> None:
        while True:
            try:
                asking, _ = self._asking.accept()
            except OSError:
                if self._asking.fileno() < 0:
                    return
                time.sleep(_LOOK_S)  # too many open files
                continue
            with asking, suppress(OSError):  # it has gone, or the engine has
                if _user_of(asking) == os.geteuid():
                    with self._connected() as connected:
                        socket.send_fds(asking, [b"1"], [connected.fileno()])

    def _connected(self) -> socket.socket:
        """Connect to the engine. Raises: OSError."""
        connected = socket.socket()
        try:
            connected.bind((HOST, 0))
            connected.settimeout(_CONNECT_S_MAX)
            # Clients that set this before they connect, as boto3 does, set it on the socket that is replaced.
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                if self._process is not None:
                    _let_in(self._process, self._listening, connected.getsockname()[1])
                elif not self.failure:
                    raise ConnectionRefusedError
                try:
                    _plain_connect(connected, (HOST, self._port))
                finally:
                    if self._process is not None:
                        _let_in(self._process, self._listening, _LET_IN_NONE)
        except OSError:
            connected.close()
            raise
        return connected


def use(url: str) -> None:
    """Have this process connect to a URL of an engine through its gate; without a gate, directly."""
    parts = urlsplit(url)
    if IS_SUPPORTED and parts.hostname == HOST and parts.port:
        _used.add(parts.port)
        setattr(socket.socket, "connect", _connect)  # noqa: B010 - under boto3 and our own client alike


def _connect(self: socket.socket, address: Any) -> None:
    """Connect a socket, which is replaced by the gate's if the address is that of an engine. Raises: OSError."""
    if self.family != socket.AF_INET or address[0] != HOST or address[1] not in _used:
        return _plain_connect(self, address)
    timeout_s = self.gettimeout()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(timeout_s or _ASK_S_MAX)
        try:
            _plain_connect(asking, _name(address[1]))
        except ConnectionRefusedError:  # there is no gate
            return _plain_connect(self, address)
        if _user_of(asking) != os.geteuid():
            raise ConnectionRefusedError(f"port {address[1]} is another user's")
        _, descriptors, _, _ = socket.recv_fds(asking, 1, 1)
    if not descriptors:
        raise ConnectionRefusedError(f"the engine on port {address[1]} is away")
    os.dup2(descriptors[0], self.fileno(), inheritable=False)
    os.close(descriptors[0])
    self.settimeout(timeout_s)  # again: it belongs to what was replaced
    return None


def _name(port: int) -> bytes:
    """Return the gate's address: in Linux's abstract namespace it needs no file."""
    return b"\0ticket-office-engine-%d" % port


def _user_of(peer: socket.socket) -> int:
    """Return the user at the other end of a Unix socket."""
    _, user, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(user)


def _listening(pid: int, process: int, port: int) -> int | None:
    """Return the descriptor on which a process listens, or None. Raises: OSError."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if not str(entry.readlink()).startswith("socket:"):
                continue
        except FileNotFoundError:  # just closed
            continue
        with _shared(process, int(entry.name)) as found:
            is_tcp = found.family == socket.AF_INET and found.type == socket.SOCK_STREAM
            if is_tcp and found.getsockname()[1] == port and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return int(entry.name)
    return None


def _shared(process: int, descriptor: int) -> socket.socket:
    """Return a socket of another process, to be closed soon: it stays open until both close it. Raises: OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    shared = libc.syscall(_SYS_PIDFD_GETFD, process, descriptor, 0)
    if shared < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return socket.socket(fileno=shared)


def _let_in(process: int, listening: int, port: int) -> None:
    """Drop the first packet of every connection that does not come from this source port; keep all other packets.

    Raises: OSError.
    """
    program = [  # classic BPF on the TCP header: operation, steps if true, steps if false, operand
        (0x30, 0, 0, 13),  # load the flags
        (0x54, 0, 0, 0x12),  # of them SYN and ACK
        (0x15, 0, 2, 0x02),  # SYN alone? otherwise keep
        (0x28, 0, 0, 0),  # load the source port
        (0x15, 0, 1, port),  # the right one? otherwise drop
        (0x06, 0, 0, 0xFFFFFFFF),  # keep
        (0x06, 0, 0, 0),  # drop
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    packed = struct.pack("@HP", len(program), ctypes.addressof(code))
    with _shared(process, listening) as listener:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, packed)


def _has_strangers(port: int) -> bool:
    """Return whether anyone is connected to the port."""
    local = f"0100007F:{port:04X}" if sys.byteorder == "little" else f"7F000001:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1] == local and row[3] in (_ESTABLISHED, _SYN_RECEIVED) for row in rows)


def opened(port: int) -> Gate | None:
    """Return a gate for a port; None where the system has none. Raises: EngineError."""
    if not IS_SUPPORTED:
        return None
    try:
        return Gate(port)
    except OSError as error:
        raise EngineError(f"the gate of port {port} cannot be used: {error.strerror}") from None
