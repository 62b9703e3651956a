"""One client's connection: uvicorn's protocol within the limits of API Gateway.

a head of more than 10,240 bytes   431; the limit of HTTP APIs for the request line and the values of headers
a request that stays incomplete    408
an upgrade to HTTP/2 or WebSocket  ignored: the request is answered as HTTP/1.1
fields after a chunked body        ignored: they are no headers
"""

import asyncio

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from local import gateway

REQUEST_S_MAX = 30.0  # from the first byte to the last
LINE_AND_VALUES_BYTES_MAX = 10_240  # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
HEAD_BYTES_MAX = 65_536  # with the names of the headers, which that limit leaves out
_FIELD_BYTES = 4  # ": " and the end of the line
_HOP_BY_HOP = (b"upgrade", b"http2-settings")


class _HeadTooLarge(Exception):
    """The request's head is over a limit."""


class Connection(HttpToolsProtocol):
    """Reads the requests of a client and has them answered in turn."""

    _deadline: asyncio.TimerHandle | None = None  # of an incomplete request
    _is_in_head = True
    _is_too_large = False
    _is_upgrade = False
    _head_bytes = 0
    _value_bytes = 0
    _pending_bytes = 0  # received of a head that is incomplete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; a client that sends nothing may stay as long as one that was answered."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._unset_keepalive_if_required()
        self._unset_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came, and answer what cannot be read with an error."""
        self._unset_keepalive_if_required()
        self._set_deadline()
        if self._is_in_head:
            self._pending_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            self._go_on(data[stopped.args[0] :])
        except httptools.HttpParserError:
            self._refuse(gateway.HEAD_TOO_LARGE if self._is_too_large else gateway.BAD_REQUEST)
        else:
            if self._is_in_head and self._pending_bytes > HEAD_BYTES_MAX:
                self._refuse(gateway.HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._set_deadline()
        self._head_bytes = self._value_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the URL."""
        self._count(len(url), len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a field after the body is none."""
        if self._is_in_head:
            self._count(len(name) + len(value) + _FIELD_BYTES, len(value))
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Have the request answered."""
        self._is_in_head = False
        self._pending_bytes = 0
        self._is_upgrade = self.parser.should_upgrade()
        if not self._is_upgrade:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request; the next one may begin at any time."""
        self._is_in_head = True
        if not self._is_upgrade:
            self._unset_deadline()
            super().on_message_complete()

    def _count(self, head_bytes: int, value_bytes: int) -> None:
        self._head_bytes += head_bytes
        self._value_bytes += value_bytes
        if self._head_bytes > HEAD_BYTES_MAX or self._value_bytes > LINE_AND_VALUES_BYTES_MAX:
            self._is_too_large = True
            raise _HeadTooLarge

    def _go_on(self, rest: bytes) -> None:
        """Read the request whose upgrade is ignored again, as if it did not ask for one; `rest` follows its head."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(gateway.BAD_REQUEST)
            return
        lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                kept = [option.strip() for option in value.split(b",") if option.strip().lower() not in _HOP_BY_HOP]
                lines += [b"connection: " + b", ".join(kept)] if kept else []
            elif name not in _HOP_BY_HOP:
                lines.append(name + b": " + value)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def _refuse(self, refusal: tuple[int, bytes]) -> None:
        """Answer with an error and close the connection; an unanswered earlier request loses its answer."""
        asked: RequestResponseCycle | None = self.cycle
        is_waited_for = asked is None or asked.response_complete or (asked.more_body and not asked.response_started)
        if is_waited_for:
            status, headers, body = gateway.refusal(refusal, "-")
            fields = [b"%b: %b\r\n" % header for header in [*headers, (b"connection", b"close")]]
            self.transport.write(b"".join([STATUS_LINE[status], *fields, b"\r\n", body]))
        if asked is not None:
            asked.disconnected = True
            asked.message_event.set()
        self.transport.close()

    def _set_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_S_MAX, self._refuse, gateway.TOO_SLOW)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
