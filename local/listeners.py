"""GET /local/events: the announcements as server-sent events. On AWS a rule on the event bus takes this role.

https://html.spec.whatwg.org/multipage/server-sent-events.html: the id of an event is its place in the announcements,
after the identity of their folder. A client that reconnects sends the last id it saw as Last-Event-ID. With an id of
other announcements, such as 0 or one of another run, it gets everything that is kept. Without the header it gets only
new events.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Any

from local import announcements

PATH = "/local/events"
LISTENERS_MAX = 16  # of one worker
LOOK_S = 0.2  # between two looks for new announcements
KEEP_ALIVE_S = 15.0  # without an event for so long, a comment is sent
_ID = re.compile(rb"([0-9a-f]+)-(\d{1,20})")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Listeners:
    """The listeners of one worker."""

    def __init__(self, folder: Path) -> None:
        """Read the announcements in this folder."""
        self._folder = folder
        self._identity = announcements.identity(folder)
        self._count = 0
        self.closing = False  # the worker stops, and every stream ends

    @property
    def is_full(self) -> bool:
        """Whether no more listeners are accepted."""
        return self._count >= LISTENERS_MAX

    async def stream(self, place: int, until_s: float, receive: Receive, send: Send) -> None:
        """Send all announcements from a place on, until the client leaves or its time is over.

        `until_s` is in seconds since 1970. The headers were sent before.
        """
        self._count += 1
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await self._stream(place, until_s, gone, send)
        finally:
            self._count -= 1
            gone.cancel()

    async def _stream(self, place: int, until_s: float, gone: asyncio.Future[None], send: Send) -> None:
        sent_s = time.monotonic()
        while not (gone.done() or self.closing) and time.time() < until_s:
            lines = announcements.read(self._folder, place)
            if lines:
                place = lines[-1][0]
                text = b"".join(b"id: %b-%d\ndata: %b\n\n" % (self._identity, *line) for line in lines)
            elif time.monotonic() - sent_s >= KEEP_ALIVE_S:
                text = b": nothing new\n\n"
            else:
                await asyncio.wait((gone,), timeout=LOOK_S)
                continue
            await send({"type": "http.response.body", "body": text, "more_body": True})
            sent_s = time.monotonic()
        await send({"type": "http.response.body", "body": b""})

    def place(self, headers: Iterable[tuple[bytes, bytes]]) -> int:
        """Return where to begin, by Last-Event-ID."""
        said = next((value for name, value in headers if name == b"last-event-id"), b"")
        end = announcements.end(self._folder)
        if not said:
            return end
        known = _ID.fullmatch(said)
        if known is None or known[1] != self._identity or int(known[2]) > end:
            return 0  # rather everything again than a gap
        return int(known[2])


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
