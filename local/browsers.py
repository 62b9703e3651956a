"""Which requests a browser may send to an office that requires no token.

Every web page can make its visitor's browser send requests to this machine. It cannot hide where it is from: either the
Host is the page's own name (DNS rebinding), or the Origin is.
"""

import re
from collections.abc import Collection, Iterable
from functools import lru_cache

_LOOPBACK = re.compile(rb"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)


def may_ask(headers: Iterable[tuple[bytes, bytes]], origins: Collection[str]) -> bool:
    """Return whether a request names this machine, and the page that sent it, if any, is the office's or allowed."""
    named = [header for header in headers if header[0] in (b"host", b"origin")]
    hosts = [value for name, value in named if name == b"host"]
    if len(hosts) > 1 or not all(map(is_loopback, hosts)):
        return False
    own = b"http://%b" % hosts[0].lower() if hosts else None
    return all(value.lower() == own or value.decode("latin-1") in origins for name, value in named if name == b"origin")


@lru_cache(maxsize=64)
def is_loopback(host: bytes) -> bool:
    """Return whether the value of a Host header names this machine."""
    return _LOOPBACK.fullmatch(host) is not None
