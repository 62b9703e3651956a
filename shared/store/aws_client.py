"""The wire to a service of AWS: one connection that is kept, and on it one signed request at a time.

It takes the place of boto3's client, which costs more than all the rest of a booking (docs/benchmark.md), and does
what this system needs of it: no retries, which are the business of who calls, and no types but those of JSON.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
"""

import json
import select
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

import httptools

from shared import runtime
from shared.store.signing import Credentials, Signer, credentials

CONNECT_TIMEOUT_S = 1.0  # for each address of the host
CALL_TIMEOUT_S = 2.0  # of a whole call, from connecting to the end of the response; one takes milliseconds
IDLE_S_MAX = 60.0  # then the other end may be gone without a word, as after a function was frozen: a new one is made
_OK = 200
_RECEIVE_BYTES = 65_536


class Service(NamedTuple):
    """One of the services that take JSON: what they call themselves, and where they are."""

    signing_name: str
    target: str  # of its operations
    json_version: str
    host: str  # before .REGION.amazonaws.com
    endpoint_variable: str  # https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html


DYNAMODB: Final = Service("dynamodb", "DynamoDB_20120810", "1.0", "dynamodb", "AWS_ENDPOINT_URL_DYNAMODB")

# Requests are made here, and hold no circles to look for: that and an encoder for each take a quarter more.
to_json: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class RequestFailed(Exception):
    """The service's answer is an error.

    `code` is the short name of the exception; `reasons` are the CancellationReasons of a transaction, one for each of
    its items, as they came. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
    """

    def __init__(
        self, operation: str, status: int, code: str, message: str = "", reasons: list[dict[str, Any]] | None = None
    ) -> None:
        """Say what was asked and what came back."""
        super().__init__(f"{operation}: {status} {code}: {message}")
        self.operation = operation
        self.status = status
        self.code = code
        self.reasons = reasons or []


class NoAnswer(Exception):
    """There is no answer: whether the request took effect, or will, nobody knows. `cause` names what happened."""

    def __init__(self, operation: str, cause: str) -> None:
        """Say what was asked and what happened instead."""
        super().__init__(f"{operation}: {cause}")
        self.cause = cause


class Client:
    """A client of one endpoint. Not for threads: a function has one request in hand at a time."""

    def __init__(
        self, endpoint: str, region: str, present: Callable[[], Credentials], service: Service = DYNAMODB
    ) -> None:
        """Prepare for the endpoint, such as https://dynamodb.eu-central-1.amazonaws.com; nothing is sent yet."""
        self.connection = _Connection(endpoint)
        self._signer = Signer(service.signing_name, urlsplit(endpoint).netloc, region, present)
        self._content_type = f"application/x-amz-json-{service.json_version}"
        self._target = service.target

    @classmethod
    def of_environment(cls, service: Service = DYNAMODB) -> Self:
        """Return a client as the variables of the AWS SDKs say: region, credentials, and endpoint if it is another."""
        environment = runtime.current.environment
        region = environment.get("AWS_REGION") or environment["AWS_DEFAULT_REGION"]
        own = environment.get(service.endpoint_variable) or environment.get("AWS_ENDPOINT_URL")
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        return cls(own or f"https://{service.host}.{region}.{domain}", region, credentials(), service)

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request, such as "GetItem", and return its answer, both in the service's own JSON.

        Raises RequestFailed; NoAnswer.
        """
        body = to_json(request).encode()
        own = {"content-type": self._content_type, "x-amz-target": f"{self._target}.{operation}"}
        headers = self._signer.headers(body, own)
        try:
            status, answer = self.connection.post(headers, body)
        except (OSError, httptools.HttpParserError) as error:
            raise NoAnswer(operation, type(error).__name__) from error
        if status != _OK:
            raise _failure(operation, status, answer)
        try:
            answered: dict[str, Any] = json.loads(answer)
        except ValueError as error:  # not the service's: nobody knows what became of the request
            raise NoAnswer(operation, type(error).__name__) from error
        return answered


class _Connection:
    """A connection to one host, made when it is needed and kept; TLS where the endpoint says https."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        if parts.hostname is None or parts.path not in ("", "/") or parts.scheme not in ("http", "https"):
            raise ValueError(f"an endpoint is a URL such as http://127.0.0.1:8000, not {endpoint}")
        self._tls = None
        if parts.scheme == "https":
            self._tls = ssl.create_default_context(cafile=runtime.current.environment.get("AWS_CA_BUNDLE"))
        self._host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        self.call_timeout_s = CALL_TIMEOUT_S
        self._socket: socket.socket | None = None
        self._used_at_s = 0.0

    def post(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Post to "/" and return status and body of the answer. Raises OSError; httptools.HttpParserError.

        Whatever ends it early ends the connection: the rest of an answer must not be taken for that of the next.
        """
        until_s = runtime.current.monotonic_s() + self.call_timeout_s
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"POST / HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body
        if self._socket is None or runtime.current.time_s() > self._used_at_s + IDLE_S_MAX or _has_ended(self._socket):
            self.close()
            self._socket = self._connected(until_s)
        self._used_at_s = (
            runtime.current.time_s()
        )  # not the monotonic clock, which may stand still while a function is frozen
        is_kept = False
        try:
            self._socket.settimeout(_left_s(until_s))
            self._socket.sendall(request)
            answer = _Answer(self._socket, until_s)
            is_kept = answer.keeps_alive
            return answer.status, answer.body
        finally:
            if not is_kept:
                self.close()

    def _connected(self, until_s: float) -> socket.socket:
        """Connect to the first address that accepts. The time limit does not cover looking up the addresses."""
        refusal: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM):
            connected = socket.socket(family, kind, protocol)
            try:
                connected.settimeout(min(CONNECT_TIMEOUT_S, _left_s(until_s)))
                connected.connect(address)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls:
                    connected.settimeout(_left_s(until_s))  # of the whole handshake
                    connected = self._tls.wrap_socket(connected, server_hostname=self._host)
                return connected
            except OSError as error:
                connected.close()
                refusal = error
        raise refusal or OSError("the host has no address")

    def close(self) -> None:
        """End it; the next request makes another."""
        ended, self._socket = self._socket, None  # in this order: whatever interrupts it leaves no closed one behind
        if ended:
            ended.close()


class _Answer:
    """Reads one answer from a socket until a moment on the monotonic clock; httptools' parser tells its parts."""

    def __init__(self, connected: socket.socket, until_s: float) -> None:
        self._parts: list[bytes] = []
        self._is_whole = False
        self._parser = httptools.HttpResponseParser(self)
        while not self._is_whole:
            connected.settimeout(_left_s(until_s))
            received = connected.recv(_RECEIVE_BYTES)
            if not received:
                raise ConnectionResetError("the connection ended before the answer")
            self._parser.feed_data(received)
        self.status = self._parser.get_status_code()
        del self._parser  # which refers to us: the two would wait for the garbage collector
        self.body = b"".join(self._parts)

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        self._is_whole = True
        self.keeps_alive = self._parser.should_keep_alive()  # it is asked for here, or the answer is no


def _left_s(until_s: float) -> float:
    """Return the time left until a moment on the monotonic clock. Raises TimeoutError when there is none."""
    left_s = until_s - runtime.current.monotonic_s()
    if left_s <= 0:
        raise TimeoutError("the call did not end in time")
    return left_s


def _has_ended(connected: socket.socket) -> bool:
    """Tell whether there is something to read between two answers, which is the end of the connection."""
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))


def _failure(operation: str, status: int, answer: bytes) -> RequestFailed:
    """Read an error; what is none of the service's, such as a proxy's page, has its status for a code."""
    try:
        error = json.loads(answer)
        code = error["__type"].rpartition("#")[2]  # com.amazonaws.dynamodb.v20120810#ThrottlingException
        message = error.get("message") or error.get("Message") or ""
        return RequestFailed(operation, status, code, message, error.get("CancellationReasons"))
    except (ValueError, TypeError, KeyError, AttributeError):
        return RequestFailed(operation, status, str(status), answer[:200].decode(errors="replace"))
