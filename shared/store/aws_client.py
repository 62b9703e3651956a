"""A client for AWS's JSON services: it keeps one connection, and sends one signed request at a time.

It replaces boto3's client, which costs more than the rest of a booking (docs/benchmark.md). It does only what this
system needs: the caller retries, and requests and responses are the service's own JSON.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
"""

import json
import select
import socket
import ssl
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

import httptools

from shared import runtime
from shared.store.signing import Credentials, Signer, credentials

CONNECT_TIMEOUT_S = 1.0  # for each address of the host
CALL_TIMEOUT_S = 2.0  # for a whole call, from connecting to the end of the response; one takes milliseconds
IDLE_S_MAX = 60.0  # an older connection may be dead, as after a function was frozen, so the client opens a new one
_OK = 200
# The service refused the signature or its credentials, before it read the request.
_REFUSED_SIGNATURES = {
    "ExpiredTokenException", "ExpiredToken", "InvalidSignatureException", "UnrecognizedClientException",
    "InvalidClientTokenId", "RequestExpired",
}  # fmt: skip
_NOT_SUPPORTED = ("AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT")  # variables of the SDKs
_RECEIVE_BYTES = 65_536


class Service(NamedTuple):
    """A service that takes JSON: its names and its endpoint."""

    signing_name: str
    target: str  # the prefix of its operations in x-amz-target
    json_version: str
    host: str  # before .REGION.amazonaws.com
    endpoint_variable: str  # https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html


DYNAMODB: Final = Service("dynamodb", "DynamoDB_20120810", "1.0", "dynamodb", "AWS_ENDPOINT_URL_DYNAMODB")

# We build the requests, so they have no cycles. Looking for them, or an encoder for each, takes a quarter longer.
to_json: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class RequestFailed(Exception):
    """The service returned an error.

    `code` is the short name of the exception. `reasons` are the CancellationReasons of a transaction, one for each of
    its items, as received. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
    """

    def __init__(
        self, operation: str, status: int, code: str, message: str = "", reasons: list[dict[str, Any]] | None = None
    ) -> None:
        """Describe the request and the error."""
        super().__init__(f"{operation}: {status} {code}: {message}")
        self.operation = operation
        self.status = status
        self.code = code
        self.reasons = reasons or []


class NoResponse(Exception):
    """There is no response, so the request may have taken effect, or may still do so. `cause` says what happened."""

    def __init__(self, operation: str, cause: str) -> None:
        """Describe the request and what happened to it."""
        super().__init__(f"{operation}: {cause}")
        self.cause = cause


class Client:
    """A client of one endpoint. Not thread-safe: a function handles one request at a time."""

    def __init__(
        self, endpoint: str, region: str, get_credentials: Callable[[], Credentials], service: Service = DYNAMODB
    ) -> None:
        """Prepare a client for an endpoint such as https://dynamodb.eu-central-1.amazonaws.com. Sends nothing yet."""
        self._find_credentials: Callable[[], Callable[[], Credentials]] = lambda: get_credentials
        self.connection = _Connection(endpoint)
        self._signer = Signer(service.signing_name, urlsplit(endpoint).netloc, region, get_credentials)
        self._content_type = f"application/x-amz-json-{service.json_version}"
        self._target = service.target

    @classmethod
    def of_environment(cls, service: Service = DYNAMODB) -> Self:
        """Return a client for the region, credentials and endpoint in the environment variables of the AWS SDKs.

        Raises ValueError if they ask for what this client does not do; botocore's NoCredentialsError.
        """
        environment = runtime.current.environment
        region = environment.get("AWS_REGION") or environment["AWS_DEFAULT_REGION"]
        own = environment.get(service.endpoint_variable) or environment.get("AWS_ENDPOINT_URL")
        client = cls(own or _endpoint_of_region(service, region), region, credentials(), service)
        is_here = _is_loopback(client.connection.host) or environment.get("AWS_SAM_LOCAL") == "true"  # in a container
        if own and not own.startswith("https:") and not is_here:
            raise ValueError(f"the endpoint {own} must begin with https, since it is on another machine")
        client._find_credentials = credentials
        return client

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request such as "GetItem" and return the response, both in the service's own JSON.

        If the service refuses the signature, send the request once more with credentials found anew: operators' expire,
        and the clock of a frozen function may have stood still. Raises RequestFailed; NoResponse.
        """
        try:
            return self._send(operation, request)
        except RequestFailed as error:
            if error.code not in _REFUSED_SIGNATURES:
                raise
        self._signer.get_credentials = self._find_credentials()
        return self._send(operation, request)

    def _send(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        body = to_json(request).encode()
        own = {"content-type": self._content_type, "x-amz-target": f"{self._target}.{operation}"}
        headers = self._signer.headers(body, own)
        try:
            status, received = self.connection.post(headers, body)
        except (OSError, httptools.HttpParserError) as error:
            raise NoResponse(operation, type(error).__name__) from error
        if status != _OK:
            raise _failure(operation, status, received)
        try:
            response: dict[str, Any] = json.loads(received)
        except ValueError as error:  # not a response of the service: the request may have taken effect
            raise NoResponse(operation, type(error).__name__) from error
        return response


class _Connection:
    """A connection to one host, with TLS if the endpoint says https. It opens on first use and stays open."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        if parts.hostname is None or parts.path not in ("", "/") or parts.scheme not in ("http", "https"):
            raise ValueError(f"an endpoint is a URL such as http://127.0.0.1:8000, not {endpoint}")
        self._tls = None
        if parts.scheme == "https":
            self._tls = ssl.create_default_context(cafile=runtime.current.environment.get("AWS_CA_BUNDLE"))
        self.host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        self.call_timeout_s = CALL_TIMEOUT_S
        self._socket: socket.socket | None = None
        self._used_at_s = 0.0

    def post(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Post to "/" and return status and body of the response. Raises OSError; httptools.HttpParserError.

        If anything ends the call early, the connection closes: the next call must not read the rest of this response.
        """
        until_s = runtime.current.monotonic_s() + self.call_timeout_s
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"POST / HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body
        if self._socket is None or runtime.current.time_s() > self._used_at_s + IDLE_S_MAX or _has_ended(self._socket):
            self.close()
            self._socket = self._connected(until_s)
        # Not the monotonic clock, which may stand still while a function is frozen.
        self._used_at_s = runtime.current.time_s()
        is_kept = False
        try:
            self._socket.settimeout(_left_s(until_s))
            self._socket.sendall(request)
            response = _Response(self._socket, until_s)
            is_kept = response.keeps_alive
            return response.status, response.body
        finally:
            if not is_kept:
                self.close()

    def _connected(self, until_s: float) -> socket.socket:
        """Connect to the first address that accepts. The time limit does not cover looking up the addresses."""
        refusal: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self._port, type=socket.SOCK_STREAM):
            connected = socket.socket(family, kind, protocol)
            try:
                connected.settimeout(min(CONNECT_TIMEOUT_S, _left_s(until_s)))
                connected.connect(address)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls:
                    connected.settimeout(_left_s(until_s))  # for the whole handshake
                    wrapped = self._tls.wrap_socket(connected, server_hostname=self.host, do_handshake_on_connect=False)
                    connected = wrapped  # wrapping leaves the plain socket empty, so closing that would close nothing
                    wrapped.do_handshake()
                return connected
            except OSError as error:
                connected.close()
                refusal = error
            except BaseException:  # such as the alarm that replaces Lambda's timeout on one machine
                connected.close()
                raise
        raise refusal or OSError("the host has no address")

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        ended, self._socket = self._socket, None  # first, so that an interruption leaves no closed socket here
        if ended:
            ended.close()


class _Response:
    """Reads one response from a socket, until a moment on the monotonic clock. httptools parses it."""

    def __init__(self, connected: socket.socket, until_s: float) -> None:
        self._parts: list[bytes] = []
        self._is_whole = False
        self._parser = httptools.HttpResponseParser(self)
        while not self._is_whole:
            connected.settimeout(_left_s(until_s))
            received = connected.recv(_RECEIVE_BYTES)
            if not received:
                raise ConnectionResetError("the connection ended before the response")
            self._parser.feed_data(received)
        self.status = self._parser.get_status_code()
        del self._parser  # a cycle of references, which only the garbage collector would free
        self.body = b"".join(self._parts)

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        self._is_whole = True
        self.keeps_alive = self._parser.should_keep_alive()  # must be asked here: afterwards the parser says no


def _endpoint_of_region(service: Service, region: str) -> str:
    """Return a service's endpoint in a region. Raises ValueError if the environment asks for one of another kind."""
    for name in _NOT_SUPPORTED:
        if runtime.current.environment.get(name, "").lower() == "true":
            raise ValueError(f"{name} is not supported: name the endpoint in {service.endpoint_variable}")
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{service.host}.{region}.{domain}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _left_s(until_s: float) -> float:
    """Return the time left until a moment on the monotonic clock. Raises TimeoutError when there is none."""
    left_s = until_s - runtime.current.monotonic_s()
    if left_s <= 0:
        raise TimeoutError("the call did not end in time")
    return left_s


def _has_ended(connected: socket.socket) -> bool:
    """Tell whether the other end closed the connection. Between two responses, nothing else makes it readable."""
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))


def _failure(operation: str, status: int, received: bytes) -> RequestFailed:
    """Read an error. If it is not the service's own, such as a proxy's page, its status is its code."""
    try:
        error = json.loads(received)
        code = error["__type"].rpartition("#")[2]  # com.amazonaws.dynamodb.v20120810#ThrottlingException
        message = error.get("message") or error.get("Message") or ""
        return RequestFailed(operation, status, code, message, error.get("CancellationReasons"))
    except (ValueError, TypeError, KeyError, AttributeError):
        return RequestFailed(operation, status, str(status), received[:200].decode(errors="replace"))
