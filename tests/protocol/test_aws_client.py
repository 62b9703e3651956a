"""Our AWS client: it sends the same requests as AWS's own SDK, and it handles or reports every failure."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from botocore.exceptions import ClientError, NoCredentialsError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from functions.announce.bus import EVENTBRIDGE
from harness.serving import Fields, serving
from local.feeder import STREAMS
from shared.store import aws_client, items
from shared.store.aws_client import DYNAMODB, Client, NoResponse, RequestFailed, Service
from shared.store.signing import Credentials, Signer, credentials

MOMENT = datetime(2026, 5, 1, 18, 0, 0, tzinfo=UTC)
HOST = "dynamodb.eu-central-1.amazonaws.com"
READ = {"TableName": items.EVENTS, "Key": items.event_key("nowhere"), "ConsistentRead": True}

ENTRY = {"stripeId": {"S": "of the client"}, "sequence": {"N": "1"}, "userId": {"S": "Käse 東京 😀"}}

Serve = Callable[[socket.socket, int], None]  # gets a connection and its number, from 0


# ------------------------------------------------------------------ signing


@pytest.mark.parametrize("service", ["dynamodb", "events"])
@pytest.mark.parametrize("token", [None, "session/token=="])
@pytest.mark.parametrize("body", [b"{}", '{"name":"Käse, 東京"}'.encode(), b""])
def test_a_signature_equals_botocores(
    monkeypatch: pytest.MonkeyPatch, body: bytes, token: str | None, service: str
) -> None:
    """Byte for byte, for the same request at the same moment."""
    signer = Signer(service, HOST, "eu-central-1", lambda: Credentials("AKID", "secret/+", token))
    own = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.GetItem"}
    for moment in (MOMENT, MOMENT + timedelta(seconds=1), MOMENT + timedelta(days=1)):  # the key is kept for a day
        headers = signer.headers(body, own, moment)
        request = AWSRequest("POST", f"https://{HOST}/", headers=own, data=body)
        monkeypatch.setattr(
            "botocore.auth.get_current_datetime", lambda remove_tzinfo=True, at=moment: at.replace(tzinfo=None)
        )
        SigV4Auth(BotocoreCredentials("AKID", "secret/+", token), service, "eu-central-1").add_auth(request)
        assert headers["authorization"] == request.headers["Authorization"]
        assert headers["x-amz-date"] == request.headers["X-Amz-Date"]
        assert headers.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")


def test_renewed_credentials_are_used_at_once() -> None:
    """An operator's credentials may be renewed while a command runs."""
    current = [Credentials("AKID", "one", None)]
    signer = Signer("dynamodb", HOST, "eu-central-1", lambda: current[0])
    before = signer.headers(b"{}", {}, MOMENT)["authorization"]
    current[0] = Credentials("AKID", "two", None)
    fresh = Signer("dynamodb", HOST, "eu-central-1", lambda: current[0])
    assert (
        before
        != signer.headers(b"{}", {}, MOMENT)["authorization"]
        == fresh.headers(b"{}", {}, MOMENT)["authorization"]
    )


def test_a_function_takes_its_credentials_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda sets three variables."""
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "s"), ("SESSION_TOKEN", "t")):
        monkeypatch.setenv(f"AWS_{name}", value)
    assert credentials()() == Credentials("a", "s", "t")


@contextmanager
def _container(monkeypatch: pytest.MonkeyPatch, *given: tuple[str, timedelta]) -> Iterator[None]:
    """Have credentials come from the container, as after a start from a snapshot: access keys, and how long they last.

    https://docs.aws.amazon.com/lambda/latest/dg/snapstart-security.html
    """
    left = iter(given)

    def serve(_method: str, _target: str, headers: Fields, _body: bytes) -> tuple[int, bytes]:
        if headers["authorization"] != "of this sandbox":
            return 403, b""
        key, lasts = next(left)
        until = (datetime.now(UTC) + lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
        facts = {"AccessKeyId": key, "SecretAccessKey": "s", "Token": "t", "Expiration": until}
        return 200, json.dumps(facts).encode()

    with serving(serve) as url:
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
            monkeypatch.delenv(f"AWS_{name}", raising=False)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of this sandbox")
        yield


def test_without_a_key_in_the_environment_credentials_come_from_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    """With those of its environment, so that no other process gets them."""
    with _container(monkeypatch, ("a", timedelta(hours=1))):
        assert credentials()() == Credentials("a", "s", "t")


def test_the_containers_credentials_are_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment started from a snapshot lives longer than its credentials."""
    about_to_expire, later = timedelta(minutes=1), timedelta(hours=6)
    with _container(monkeypatch, ("first", about_to_expire), ("second", later), ("third", later)):
        current = credentials()
        assert [current().access_key for _ in range(3)][-1] == "second"


def test_missing_credentials_are_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Our operators' commands (python -m ops) explain it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(NoCredentialsError):
        credentials()


# ------------------------------------------------------------------ endpoints


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({"AWS_REGION": "eu-central-1"}, ("dynamodb.eu-central-1.amazonaws.com", 443, True)),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, ("dynamodb.us-east-1.amazonaws.com", 443, True)),
        ({"AWS_REGION": "cn-north-1"}, ("dynamodb.cn-north-1.amazonaws.com.cn", 443, True)),
        ({"AWS_REGION": "x", "AWS_ENDPOINT_URL": "https://vpce.example:8443/"}, ("vpce.example", 8443, True)),
        (
            {"AWS_REGION": "x", "AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:8000"},
            ("127.0.0.1", 8000, False),
        ),
    ],
)
def test_the_endpoint_is_the_one_that_the_sdks_would_use(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], endpoint: tuple[str, int, bool]
) -> None:
    """The region's, or the one in the environment variables."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    connection = Client.of_environment().connection
    assert (connection.host, connection._port, connection._tls is not None) == endpoint  # noqa: SLF001


@pytest.mark.parametrize(
    ("service", "name", "variable", "prefix"),
    [
        (DYNAMODB, "dynamodb", "AWS_ENDPOINT_URL_DYNAMODB", "dynamodb"),
        (STREAMS, "dynamodbstreams", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS", "streams.dynamodb"),
        (EVENTBRIDGE, "events", "AWS_ENDPOINT_URL_EVENTBRIDGE", "events"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_service_is_described_as_in_boto3(
    monkeypatch: pytest.MonkeyPatch, service: Service, name: str, variable: str, prefix: str
) -> None:
    """Its target, its name in a signature, and its endpoint, by default and from the environment."""
    model = botocore.session.get_session().get_service_model(name)
    assert service.signing_name == model.signing_name
    assert service.target == model.metadata["targetPrefix"]
    assert service.json_version == model.metadata["jsonVersion"]
    assert service.endpoint_variable == variable
    assert variable == f"AWS_ENDPOINT_URL_{model.service_id.upper().replace(' ', '_')}"
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    for other in ("", "_DYNAMODB", "_DYNAMODB_STREAMS", "_EVENTBRIDGE"):
        monkeypatch.delenv(f"AWS_ENDPOINT_URL{other}", raising=False)
    host = f"{prefix}.eu-central-1.amazonaws.com"
    make: Any = boto3.client
    assert make(name, region_name="eu-central-1").meta.endpoint_url == f"https://{host}"
    assert Client.of_environment(service).connection.host == host
    monkeypatch.setenv(variable, "http://127.0.0.1:8000")
    assert Client.of_environment(service).connection.host == "127.0.0.1"


@pytest.mark.parametrize("service", [DYNAMODB, EVENTBRIDGE], ids=lambda service: service.target)
def test_a_request_names_its_service(service: Service) -> None:
    """In its target, its content type and the scope of its signature."""
    requests = []

    def serve(connected: socket.socket, _: int) -> None:
        requests.append(_receive(connected))
        connected.sendall(_ok(b"{}"))

    with _server(serve, service=service) as client:
        client.call("DoSomething", {})
    [request] = requests
    assert f"\r\nx-amz-target: {service.target}.DoSomething\r\n".encode() in request
    assert f"\r\ncontent-type: application/x-amz-json-{service.json_version}\r\n".encode() in request
    assert f"/x/{service.signing_name}/aws4_request".encode() in request


@pytest.mark.parametrize(
    ("endpoint", "accepted"),
    [
        ("http://127.0.0.1:8000", True), ("http://[::1]:8000", True), ("http://localhost:8000", True),
        ("https://vpce.example", True), ("http://vpce.example", False), ("http://10.0.0.1:8000", False),
        ("http://127.0.0.1.example", False),
    ],
)  # fmt: skip
def test_an_endpoint_on_another_machine_needs_tls(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, accepted: bool
) -> None:
    """Requests hold credentials' signatures and users' ids."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
    if accepted:
        assert Client.of_environment().connection.host in endpoint
        return
    with pytest.raises(ValueError, match="must begin with https"):
        Client.of_environment()


def test_sam_local_connects_a_container_to_this_machine_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The container's loopback is its own; `sam local` sets the variable, Lambda does not."""
    monkeypatch.setenv("AWS_SAM_LOCAL", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://172.17.0.1:8000")
    assert Client.of_environment().connection.host == "172.17.0.1"


@pytest.mark.parametrize("variable", ["AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT"])
def test_an_endpoint_of_another_kind_is_refused_unless_it_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """An operator who wants FIPS must not be connected without it."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "true")
    with pytest.raises(ValueError, match=f"{variable} is not supported: name the endpoint"):
        Client.of_environment()
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "https://dynamodb-fips.us-east-1.amazonaws.com")
    assert Client.of_environment().connection.host.startswith("dynamodb-fips.")
    monkeypatch.setenv(variable, "false")
    monkeypatch.delenv("AWS_ENDPOINT_URL_DYNAMODB")
    assert Client.of_environment().connection.host.startswith("dynamodb.")


@pytest.mark.parametrize("endpoint", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://127.0.0.1/path", "http://"])
def test_an_invalid_endpoint_is_an_error(endpoint: str) -> None:
    """When the client is made, not at the first request."""
    with pytest.raises(ValueError, match="an endpoint is a URL such as"):
        Client(endpoint, "us-east-1", credentials())


# ------------------------------------------------------------------ responses


METHODS = {
    "BatchGetItem": "batch_get_item", "GetItem": "get_item", "Query": "query", "Scan": "scan",
    "TransactWriteItems": "transact_write_items", "UpdateItem": "update_item",
}  # fmt: skip
NAMED = {
    "TableName": items.EVENTS,
    "Key": items.event_key("of the client"),
    "UpdateExpression": "SET #n = :n",
    "ExpressionAttributeNames": {"#n": "name"},
    "ExpressionAttributeValues": {":n": {"S": "Käse 東京 😀"}},
    "ReturnValues": "UPDATED_NEW",
}
ON_A_STRIPE = {
    "TableName": items.WAITING_LIST,
    "KeyConditionExpression": "stripeId = :s",
    "ExpressionAttributeValues": {":s": {"S": "of the client"}},
}
IMPOSSIBLE = {
    "TableName": items.EVENTS,
    "Item": items.event_key("of the client"),
    "ConditionExpression": "attribute_exists(nothing)",
    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
}


@pytest.fixture
def client(database: Any) -> Iterator[Client]:
    """Yield a client of the engine, which has an entry and a name for the test to read."""
    database.put_item(TableName=items.WAITING_LIST, Item=ENTRY)
    database.update_item(**NAMED)
    client = Client.of_environment()
    yield client
    client.connection.close()
    database.delete_item(TableName=items.EVENTS, Key=NAMED["Key"])  # or lists of events would show it
    database.delete_item(TableName=items.WAITING_LIST, Key={name: ENTRY[name] for name in ("stripeId", "sequence")})


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("UpdateItem", NAMED),
        ("GetItem", {"TableName": items.EVENTS, "Key": items.event_key("of the client")}),
        ("GetItem", READ),
        ("BatchGetItem", {"RequestItems": {items.EVENTS: {"Keys": [items.event_key("of the client")]}}}),
        ("Query", ON_A_STRIPE),
        ("Scan", {"TableName": items.WAITING_LIST, "Segment": 0, "TotalSegments": 2}),
        ("TransactWriteItems", {"TransactItems": [{"Put": {"TableName": items.WAITING_LIST, "Item": ENTRY}}]}),
    ],
    ids=str,
)
def test_a_response_equals_boto3s(database: Any, client: Client, operation: str, request_: dict[str, Any]) -> None:
    """Both clients send the same request to the same engine."""
    expected = getattr(database, METHODS[operation])(**request_)
    del expected["ResponseMetadata"]
    assert client.call(operation, request_) == expected


@pytest.mark.parametrize(
    ("operation", "request_", "reasons"),
    [
        ("GetItem", {**READ, "TableName": "nowhere"}, 0),
        ("GetItem", {**READ, "Key": {"wrong": {"S": "x"}}}, 0),
        ("TransactWriteItems", {"TransactItems": [{"Put": IMPOSSIBLE}]}, 1),
    ],
    ids=str,
)
def test_an_error_equals_boto3s(
    database: Any, client: Client, operation: str, request_: dict[str, Any], reasons: int
) -> None:
    """Code, status, message, and the reasons of a transaction."""
    with pytest.raises(ClientError) as refused:
        getattr(database, METHODS[operation])(**request_)
    with pytest.raises(RequestFailed) as failed:
        client.call(operation, request_)
    response: Any = refused.value.response
    assert (failed.value.code, failed.value.operation) == (response["Error"]["Code"], operation)
    assert failed.value.status == response["ResponseMetadata"]["HTTPStatusCode"]
    assert failed.value.reasons == response.get("CancellationReasons", [])
    assert len(failed.value.reasons) == reasons
    assert response["Error"]["Message"] in str(failed.value)


# ------------------------------------------------------------------ the connection


@contextmanager
def _server(serve: Serve, tls: ssl.SSLContext | None = None, service: Service = DYNAMODB) -> Iterator[Client]:
    """Run a server that handles each connection with `serve`. Yield a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)

        def accept() -> None:
            number = 0
            while True:
                try:
                    connected, _ = listening.accept()
                    connected.settimeout(5)
                    with tls.wrap_socket(connected, server_side=True) if tls else connected as stream:
                        serve(stream, number)
                except OSError:
                    if listening.fileno() < 0:
                        return
                number += 1

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        scheme = "https" if tls else "http"
        url = f"{scheme}://localhost:{listening.getsockname()[1]}"
        client = Client(url, "x", lambda: Credentials("a", "s", None), service)
        yield client
        client.connection.close()
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _receive(connected: socket.socket) -> bytes:
    """Read one whole request. Return b"" if the connection ends."""
    request = b""
    while b"\r\n\r\n" not in request:
        more = connected.recv(65_536)
        if not more:
            return b""
        request += more
    head, _, body = request.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connected.recv(65_536)
    return request


def _ok(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *headers, b"", body])


def test_requests_share_a_connection() -> None:
    """A new connection costs a round trip, and two more for TLS."""
    connections = []

    def serve(connected: socket.socket, number: int) -> None:
        connections.append(number)
        while _receive(connected):
            connected.sendall(_ok(b'{"n": 1}'))

    with _server(serve) as client:
        assert [client.call("GetItem", READ) for _ in range(3)] == [{"n": 1}] * 3
    assert connections == [0]


@pytest.mark.parametrize("headers", [[], [b"connection: close"]])
def test_a_closed_connection_is_replaced(headers: list[bytes]) -> None:
    """The server may close an idle connection, also while a function is frozen. No request is lost."""

    def serve(connected: socket.socket, number: int) -> None:
        _receive(connected)
        connected.sendall(_ok(b'{"n": %d}' % number, *headers))
        if headers:
            assert not _receive(connected)  # the client closes the connection, as requested

    with _server(serve) as client:
        for number in range(3):
            assert client.call("GetItem", READ) == {"n": number}
            _until_closed(client)


def _until_closed(client: Client) -> None:
    connected = client.connection._socket  # noqa: SLF001
    if connected:
        connected.recv(1, socket.MSG_PEEK)  # returns when the other end has closed


def test_a_late_response_is_not_taken_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A response always belongs to the last request on its connection."""
    monkeypatch.setattr(aws_client, "CALL_TIMEOUT_S", 0.1)
    gave_up = threading.Event()

    def serve(connected: socket.socket, number: int) -> None:
        _receive(connected)
        if number == 0:
            gave_up.wait(5)
        connected.sendall(_ok(b'{"n": %d}' % number))

    with _server(serve) as client:
        with pytest.raises(NoResponse, match="GetItem: TimeoutError"):
            client.call("GetItem", READ)
        gave_up.set()
        assert client.call("GetItem", READ) == {"n": 1}


def test_a_response_that_arrives_byte_by_byte_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for the whole response, not for each piece."""
    monkeypatch.setattr(aws_client, "CALL_TIMEOUT_S", 0.2)

    def serve(connected: socket.socket, _: int) -> None:
        _receive(connected)
        for byte in _ok(b'{"n": 1}'):
            connected.sendall(bytes([byte]))
            time.sleep(0.05)

    began_s = time.monotonic()
    with _server(serve) as client, pytest.raises(NoResponse, match="TimeoutError"):
        client.call("GetItem", READ)
    assert time.monotonic() < began_s + 2


def test_a_response_that_stops_in_the_middle_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that the first part took is not available for the rest."""
    monkeypatch.setattr(aws_client, "CALL_TIMEOUT_S", 1.0)
    gave_up = threading.Event()

    def serve(connected: socket.socket, _: int) -> None:
        _receive(connected)
        time.sleep(0.9)
        connected.sendall(_ok(b'{"n": 1}')[:10])
        gave_up.wait(5)

    began_s = time.monotonic()
    with _server(serve) as client:
        with pytest.raises(NoResponse, match="TimeoutError"):
            client.call("GetItem", READ)
        assert time.monotonic() < began_s + 1.5
        gave_up.set()


def test_connecting_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port whose queue is full accepts no connection. Lambda's timeout must not be what ends the call."""
    monkeypatch.setattr(aws_client, "CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        for _ in range(2):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        client = Client(f"http://127.0.0.1:{full.getsockname()[1]}", "x", lambda: Credentials("a", "s", None))
        began_s = time.monotonic()
        with pytest.raises(NoResponse, match="TimeoutError"):
            client.call("GetItem", READ)
        assert 0.1 < time.monotonic() - began_s < 2


def test_a_connection_that_was_idle_for_long_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be dead without the client knowing, as after a function was frozen."""
    connections = []

    def serve(connected: socket.socket, number: int) -> None:
        connections.append(number)
        while _receive(connected):
            connected.sendall(_ok(b"{}"))

    with _server(serve) as client:
        for idle_s_max in (60.0, 60.0, -1.0):
            monkeypatch.setattr(aws_client, "IDLE_S_MAX", idle_s_max)
            client.call("GetItem", READ)
    assert connections == [0, 1]


def test_an_interrupted_close_leaves_no_closed_socket_behind() -> None:
    """The next request opens another connection."""

    class Alarm(BaseException):
        pass

    class Interrupted:
        def close(self) -> None:
            raise Alarm

    def serve(connected: socket.socket, number: int) -> None:
        _receive(connected)
        connected.sendall(_ok(b'{"n": %d}' % number))

    with _server(serve) as client:
        client.connection._socket = Interrupted()  # type: ignore[assignment]  # noqa: SLF001
        with pytest.raises(Alarm):
            client.connection.close()
        assert client.call("GetItem", READ) == {"n": 0}


def test_an_interrupted_request_closes_its_connection() -> None:
    """For example by the alarm that replaces Lambda's timeout on one machine."""

    class Alarm(BaseException):
        pass

    def serve(connected: socket.socket, number: int) -> None:
        _receive(connected)
        connected.sendall(_ok(b'{"n": %d}' % number))
        _receive(connected)

    with _server(serve) as client:
        with pytest.MonkeyPatch.context() as patch:

            def interrupted(*_: Any) -> None:
                raise Alarm

            patch.setattr(aws_client, "_Response", interrupted)
            with pytest.raises(Alarm):
                client.call("GetItem", READ)
        assert client.call("GetItem", READ) == {"n": 1}


@pytest.mark.parametrize(
    ("received", "cause"),
    [
        (b"", "ConnectionResetError"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{", "ConnectionResetError"),
        (b"garbage\r\n\r\n", "HttpParserInvalidStatusLineError|HttpParserError"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>", "JSONDecodeError"),
    ],
)
def test_an_incomplete_response_is_none(received: bytes, cause: str) -> None:
    """The request may or may not have taken effect."""

    def serve(connected: socket.socket, _: int) -> None:
        _receive(connected)
        connected.sendall(received)

    with _server(serve) as client, pytest.raises(NoResponse, match=cause):
        client.call("GetItem", READ)


def test_a_response_may_arrive_in_pieces() -> None:
    """Byte by byte, or chunked."""
    chunked = b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{"n"\r\n4\r\n: 1}\r\n0\r\n\r\n'

    def serve(connected: socket.socket, _: int) -> None:
        for response in (_ok(b'{"n": 0}'), chunked):
            _receive(connected)
            for place in range(len(response)):
                connected.sendall(response[place : place + 1])

    with _server(serve) as client:
        assert [client.call("GetItem", READ) for _ in range(2)] == [{"n": 0}, {"n": 1}]


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"[]", b"{}", b'{"__type": 5}', b"\xff"])
def test_an_error_that_is_not_dynamodbs_has_its_status_as_code(body: bytes) -> None:
    """For example a proxy's page. A 502 is a server fault, so it is retried."""

    def serve(connected: socket.socket, _: int) -> None:
        _receive(connected)
        connected.sendall(_ok(body).replace(b"200 OK", b"502 Bad Gateway"))

    with _server(serve) as client, pytest.raises(RequestFailed) as failed:
        client.call("GetItem", READ)
    assert (failed.value.status, failed.value.code, failed.value.reasons) == (502, "502", [])


def _refusal(code: str) -> bytes:
    body = json.dumps({"__type": f"com.amazon.coral.service#{code}", "message": "no"}).encode()
    return _ok(body).replace(b"200 OK", b"400 Bad Request")


@pytest.mark.parametrize("code", ["ExpiredTokenException", "InvalidSignatureException", "UnrecognizedClientException"])
@pytest.mark.parametrize("refusals", [1, 2])
def test_a_refused_signature_is_renewed_once(monkeypatch: pytest.MonkeyPatch, code: str, refusals: int) -> None:
    """With the credentials of that moment. The service did not read the request, so sending it again is safe."""
    tokens = []

    def serve(connected: socket.socket, _: int) -> None:
        while request := _receive(connected):
            tokens.append(request.partition(b"x-amz-security-token: ")[2].partition(b"\r\n")[0].decode())
            connected.sendall(_refusal(code) if len(tokens) <= refusals else _ok(b"{}"))

    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "a")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "old")
    with _server(serve) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://localhost:{server.connection._port}")  # noqa: SLF001
        client = Client.of_environment()
        monkeypatch.setenv("AWS_SESSION_TOKEN", "new")
        if refusals == 1:
            assert client.call("GetItem", READ) == {}
        else:
            with pytest.raises(RequestFailed, match=code):
                client.call("GetItem", READ)
        client.connection.close()
    assert tokens == ["old", "new"]


def test_another_refusal_is_not_repeated() -> None:
    """Whether to try again is the caller's decision."""
    requests = []

    def serve(connected: socket.socket, _: int) -> None:
        while request := _receive(connected):
            requests.append(request)
            connected.sendall(_refusal("ThrottlingException"))

    with _server(serve) as client, pytest.raises(RequestFailed, match="ThrottlingException"):
        client.call("GetItem", READ)
    assert len(requests) == 1


# ------------------------------------------------------------------ TLS


def _certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """Return a server's context with a self-signed certificate for a name, and the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir()
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, secret)
    return context, certificate


@pytest.mark.parametrize(
    ("name", "trusted", "accepted"),
    [("localhost", True, True), ("localhost", False, False), ("else.where", True, False)],
)
def test_https_connects_only_to_trusted_servers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, trusted: bool, accepted: bool
) -> None:
    """The client checks the certificate and the name on it."""
    context, certificate = _certificate(tmp_path / "server", name)
    _, another = _certificate(tmp_path / "another", name)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate if trusted else another))

    def serve(connected: socket.socket, number: int) -> None:
        while _receive(connected):
            connected.sendall(_ok(b'{"n": %d}' % number))

    with _server(serve, context) as client:
        if accepted:
            assert [client.call("GetItem", READ) for _ in range(3)] == [{"n": 0}] * 3  # on one connection
            return
        with pytest.raises(NoResponse, match="SSLCertVerificationError"):
            client.call("GetItem", READ)


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_failed_handshake_closes_its_connection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, interrupted: bool
) -> None:
    """At once, not when the garbage collector comes: a retrying client would use up its file descriptors."""

    class Alarm(BaseException):
        pass

    def alarm(_: ssl.SSLSocket) -> None:
        raise Alarm

    _, certificate = _certificate(tmp_path / "server", "localhost")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    if interrupted:
        monkeypatch.setattr(ssl.SSLSocket, "do_handshake", alarm)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        client = Client(f"https://localhost:{listening.getsockname()[1]}", "x", lambda: Credentials("a", "s", None))
        if not interrupted:
            client.connection.call_timeout_s = 0.2  # nobody answers the handshake
        with pytest.raises(Alarm if interrupted else NoResponse) as failed:
            client.call("GetItem", READ)
        connected, _ = listening.accept()
        with connected:
            connected.settimeout(5)
            while connected.recv(65_536):
                pass  # until the client has closed it
        assert failed.value is not None  # which keeps the client's sockets from the garbage collector
