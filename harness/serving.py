"""An HTTP server in this process, whose answers a function gives."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from local.listening import in_background

Fields = dict[str, str]


@contextmanager
def serving(serve: Callable[[str, str, Fields, bytes], tuple[int, bytes]], host: str = "127.0.0.1") -> Iterator[str]:
    """Yield the URL of a server; `serve` takes method, target, headers by lower-case name, and body, in many threads.

    It returns status and body.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                status, content = serve(self.command, self.path, headers, body)
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                self.close_connection = True  # the client broke the connection, or the answer is to be lost

        do_GET = do_POST = do_PATCH = _respond  # noqa: N815  # the names that the base class calls

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    with in_background(server):
        yield f"http://{host}:{server.server_port}"
