"""A worker: a process that answers HTTP requests with the template's handlers, one at a time, like Lambda.

python -m local.worker ARGUMENTS (JSON, from the supervisor)
"""

import asyncio
import math
import signal
import socket
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from local import browsers, cors, gateway, listeners, runtime
from local.child import child
from local.connection import Connection
from local.gateway import Response
from local.lifeline import Lifeline
from local.listeners import Listeners, Message, Receive, Send
from local.listening import take
from local.system import Function, System

_KEEP_ALIVE_S = 75  # longer than clients keep connections, so that they never use one that is just being closed
_GRACE_S = 1
SIGN_IN = "/local/issuer/"  # where people sign in with --auth (local/sign_in.py)
CLIENT = "ticket-office"
_WITHOUT_BODY = ("GET", "HEAD")
_STREAM_HEADERS = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"))


class Application:
    """The ASGI application: API Gateway in front of the handlers."""

    def __init__(
        self,
        system: System,
        keys: Any = None,
        announcements: Path | None = None,
        issuer_file: Path | None = None,
    ) -> None:
        """Load the functions that have a route; without an issuer's public keys they are open to all.

        `announcements` is the folder of the event bus, None if there is none; people sign in with the key in the
        issuer's file. Raises: StartError.
        """
        self.listeners = Listeners(announcements) if announcements and system.has_bus else None
        self._router = gateway.Router(system.routes)
        self._cors = system.cors
        self._turn = asyncio.Lock()  # functions run one at a time, in the order of their requests
        self._authorizer = self._sign_in = None
        if keys:
            from local.authorizer import Authorizer  # noqa: PLC0415 - cryptography takes 150 ms

            self._authorizer = Authorizer(keys)
        if keys and issuer_file:
            from local.sign_in import SignIn  # noqa: PLC0415 - as above

            self._sign_in = SignIn(issuer_file)
        names = {route.function: None for route in system.routes}  # each once, in order
        functions = [system.functions[name] for name in names]
        self._functions = runtime.load([behind_issuer(one) if keys else open_to_all(one) for one in functions])

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request_id = str(uuid.uuid4())
        if self._authorizer is None and not browsers.may_ask(
            scope["headers"], self._cors.origins if self._cors else ()
        ):
            status, headers, body = gateway.refusal(gateway.FORBIDDEN, request_id)
        elif self._cors and scope["method"] == "OPTIONS":
            status, headers, body = cors.preflight(self._cors, scope["headers"], request_id)
        elif self.listeners and scope["method"] == "GET" and scope["path"] == listeners.PATH:
            await self._listen(self.listeners, scope, receive, send, request_id)
            return
        else:
            is_issuers = self._sign_in and scope["path"].startswith(SIGN_IN)
            answer = await (self._issued if is_issuers else self._answer)(scope, receive, request_id)
            status, headers, body = cors.answered(self._cors, scope["headers"], answer) if self._cors else answer
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Message, receive: Receive, request_id: str) -> Response:
        found = self._router.find(scope["method"], scope["raw_path"].decode("latin-1"))
        if found is None:
            return gateway.refusal(gateway.NOT_FOUND, request_id)
        target, parameters = found
        claims = None
        if self._authorizer and target.takes_token:
            claims = self._authorizer.claims(scope["headers"])
            if claims is None:
                return gateway.refusal(gateway.UNAUTHORIZED, request_id)
        body = b"" if scope["method"] in _WITHOUT_BODY else await _read(scope, receive)
        if body is None:
            return gateway.refusal(gateway.TOO_LARGE, request_id)
        try:
            payload = gateway.payload(scope, target, parameters, body, request_id)
            if claims is not None:
                payload["requestContext"]["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
            async with self._turn:
                await asyncio.sleep(0)  # the loop looks for new connections and requests, which then wait in line
                answer = self._functions[target.function].invoke(payload, request_id)
            return gateway.response(answer, request_id)
        except (Exception, runtime.TimedOut):  # noqa: BLE001 - the next request must be served
            runtime.log(
                "the function failed",
                function_name=target.function,
                function_request_id=request_id,
                exception=traceback.format_exc(),
            )
            return gateway.refusal(gateway.FAILED, request_id)

    async def _issued(self, scope: Message, receive: Receive, request_id: str) -> Response:
        """Answer in place of the issuer that a deployed office has."""
        body = b"" if scope["method"] in _WITHOUT_BODY else await _read(scope, receive)
        if body is None:
            return gateway.refusal(gateway.TOO_LARGE, request_id)
        assert self._sign_in is not None, "without it, no path is the issuer's"
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        return self._sign_in.answer(scope["method"], scope["path"], scope["query_string"], host, body)

    async def _listen(self, to: Listeners, scope: Message, receive: Receive, send: Send, request_id: str) -> None:
        """Send the announcements as they come; with tokens only to organisers, and until the token expires."""
        claims = self._authorizer.claims(scope["headers"]) if self._authorizer else None
        answer = self._refusal(to, scope, claims, request_id) or (200, list(_STREAM_HEADERS), b"")
        status, headers, body = cors.answered(self._cors, scope["headers"], answer) if self._cors else answer
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if status == 200:  # noqa: PLR2004
            until_s = float(claims["exp"]) if claims else math.inf
            await to.stream(to.place(scope["headers"]), until_s, receive, send)
        else:
            await send({"type": "http.response.body", "body": body})

    def _refusal(
        self, to: Listeners, scope: Message, claims: dict[str, str] | None, request_id: str
    ) -> Response | None:
        if self._authorizer:
            from shared.edge.caller import Caller  # noqa: PLC0415 - it needs the functions' environment

            if claims is None:
                return gateway.refusal(gateway.UNAUTHORIZED, request_id)
            token = next(value for name, value in scope["headers"] if name == b"authorization").decode("latin-1")
            if not Caller.of({"authorizer": {"jwt": {"claims": claims}}}, token).is_organiser:
                return gateway.refusal(gateway.FORBIDDEN, request_id)
        return gateway.refusal(gateway.UNAVAILABLE, request_id) if to.is_full else None


def open_to_all(function: Function) -> Function:
    """Return the function with an environment that says that it intentionally has no authorizer."""
    return replace(function, environment={**function.environment, "OPEN_TO_ALL": "true"})


def behind_issuer(function: Function) -> Function:
    """Return the function with the address of this machine's issuer in its environment, for the page."""
    return replace(
        function, environment={**function.environment, "PAGE_ISSUER": SIGN_IN.strip("/"), "PAGE_CLIENT": CLIENT}
    )


class Server(uvicorn.Server):
    """Uvicorn on connections from the supervisor; it stops only on SIGTERM, after the request in hand."""

    def __init__(
        self, config: uvicorn.Config, handed: socket.socket, lifeline: Lifeline, listening: Listeners | None
    ) -> None:
        """Serve until the program says stop, which also ends the listeners' streams."""
        super().__init__(config)
        self._handed = handed
        self._lifeline = lifeline
        self._listeners = listening
        self._opening: set[asyncio.Task[Any]] = set()  # the loop keeps only weak references

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        await super().startup(sockets=sockets)
        asyncio.get_running_loop().add_reader(self._handed, self._open)
        self._lifeline.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop taking connections."""
        asyncio.get_running_loop().remove_reader(self._handed)
        await asyncio.gather(*self._opening, return_exceptions=True)
        await super().shutdown(sockets=sockets)

    def _open(self) -> None:
        """Take all connections that are there, so that their requests wait in line with those of the others."""
        loop = asyncio.get_running_loop()
        try:
            while connection := take(self._handed):
                opening = loop.create_task(loop.connect_accepted_socket(self._protocol, connection))
                self._opening.add(opening)
                opening.add_done_callback(self._opening.discard)
        except OSError as error:
            runtime.log("a connection was not taken", error=str(error))

    def _protocol(self) -> asyncio.Protocol:
        return Connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM only; uvicorn would handle SIGINT as well."""

        def stop(_signal: int, _frame: FrameType | None) -> None:
            self.should_exit = True
            if self._listeners:
                self._listeners.closing = True

        signal.signal(signal.SIGTERM, stop)
        self.should_exit = self._lifeline.stop.is_set()  # it may have come during the imports
        yield


async def _read(scope: Message, receive: Receive) -> bytes | None:
    """Return the body, or None if it is too long for API Gateway or incomplete."""
    length: int | None = None  # None without a body, 0 if its length is unknown
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"transfer-encoding":
            length = 0
    if length is None:
        return b""
    if length > gateway.BODY_BYTES_MAX:
        return None
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message["body"])
        size += len(message["body"])
        if size > gateway.BODY_BYTES_MAX:
            return None
        if not message["more_body"]:
            return b"".join(parts)


async def _serve(application: Application, handed: socket.socket, lifeline: Lifeline) -> None:
    config = uvicorn.Config(
        application,
        lifespan="off",
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    await Server(config, handed, lifeline, application.listeners).serve(sockets=[])


def main() -> None:
    """Serve the connections that the supervisor passes on."""
    with child() as (arguments, lifeline, system):
        handed = socket.socket(fileno=arguments["socket"])
        application = Application(
            system,
            arguments["keys"],
            announcements=Path(arguments["announcements"]),
            issuer_file=Path(arguments["issuer"]),
        )
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(application, handed, lifeline))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - some systems have none
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
