"""The event bus and the announcements it keeps."""

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local import announcements, bus
from local.announcements import Writer
from shared.store.signing import Signer, credentials

LINES = [b'{"n": %d}' % n for n in range(10)]


def so_far(folder: Path, place: int = 0) -> list[tuple[int, bytes]]:
    """Read the lines written so far after a place, each with the place that follows it."""
    found: list[tuple[int, bytes]] = []
    while lines := announcements.read(folder, place):
        found += lines
        place = lines[-1][0]
    return found


def everything(folder: Path, place: int = 0) -> list[bytes]:
    """Read all lines after a place, in a folder that no process writes to."""
    found = so_far(folder, place)
    assert (found[-1][0] if found else place) == announcements.end(folder)
    return [line for _, line in found]


def test_lines_are_read_in_order_from_any_place(tmp_path: Path) -> None:
    """A place is the end of a line; reading goes on after it."""
    assert announcements.end(tmp_path) == 0
    assert announcements.read(tmp_path, 0) == []
    writer = Writer(tmp_path)
    writer.append(LINES[:3])
    writer.append(LINES[3:4])
    found = announcements.read(tmp_path, 0)
    assert [line for _, line in found] == LINES[:4]
    assert everything(tmp_path, found[1][0]) == LINES[2:4]
    assert announcements.read(tmp_path, found[-1][0]) == []
    assert announcements.read(tmp_path, 10**15) == []


def test_the_oldest_lines_are_removed_and_places_stay_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that was away for too long goes on with the oldest line that is kept."""
    monkeypatch.setattr(announcements, "FILE_BYTES_MAX", 2 * len(LINES[0]))
    monkeypatch.setattr(announcements, "FILES_MAX", 2)
    writer, places = Writer(tmp_path), []
    for line in LINES[:7]:
        writer.append([line])
        places.append(announcements.end(tmp_path))
    assert everything(tmp_path, places[5]) == LINES[6:7]
    assert everything(tmp_path, places[4]) == LINES[5:7]
    assert everything(tmp_path) == LINES[4:7]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_writer_goes_on_after_the_last_whole_line(tmp_path: Path) -> None:
    """A killed writer may leave half a line, which was never acknowledged and comes again."""
    Writer(tmp_path).append(LINES[:2])
    [file] = tmp_path.iterdir()
    with file.open("ab") as torn:
        torn.write(LINES[2][:5])
    assert [line for _, line in announcements.read(tmp_path, 0)] == LINES[:2]
    writer = Writer(tmp_path)
    writer.append(LINES[3:4])
    assert everything(tmp_path) == [*LINES[:2], LINES[3]]


def test_a_long_history_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part has whole lines only."""
    monkeypatch.setattr(announcements, "READ_BYTES_MAX", 3 * len(LINES[0]))
    Writer(tmp_path).append(LINES)
    assert len(announcements.read(tmp_path, 0)) == 2
    assert everything(tmp_path) == LINES


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    """Yield an SDK client for a bus that writes to tmp_path/kept."""
    (tmp_path / "kept").mkdir()
    make: Any = boto3.client
    config = Config(retries={"total_max_attempts": 1})
    with bus.running(tmp_path / "kept") as url:
        client = make("events", endpoint_url=url, config=config)
        yield client
        client.close()


def entry(**more: Any) -> dict[str, Any]:
    """Return an entry like those of the office."""
    detail = '{"id": "1", "name": "Zoë\\n"}'
    return {"EventBusName": "EventBus", "Source": "s", "DetailType": "t", "Time": 1777658402.9, "Detail": detail} | more


def test_an_event_is_kept_as_the_target_of_a_rule_gets_it(client: Any, tmp_path: Path) -> None:
    """It is one line in EventBridge's envelope."""
    answer = client.put_events(Entries=[entry()])
    [line] = everything(tmp_path / "kept")
    assert json.loads(line) == {
        "version": "0", "id": answer["Entries"][0]["EventId"], "detail-type": "t", "source": "s",
        "account": "000000000000", "time": "2026-05-01T18:00:02Z", "region": os.environ["AWS_REGION"],
        "resources": [], "detail": {"id": "1", "name": "Zoë\n"},
    }  # fmt: skip


def test_bad_entries_are_refused_one_by_one(client: Any, tmp_path: Path) -> None:
    """The good entries are kept, as in EventBridge."""
    entries = [entry(), entry(Detail="{"), entry(Detail="[]"), entry(DetailType=""), entry(Source="last")]
    answer = client.put_events(Entries=entries)
    codes = [one.get("ErrorCode") for one in answer["Entries"]]
    assert codes == [None, "MalformedDetail", "MalformedDetail", "InvalidArgument", None]
    assert answer["FailedEntryCount"] == 3
    assert [json.loads(line)["source"] for line in everything(tmp_path / "kept")] == ["s", "last"]


@pytest.mark.parametrize(
    "entries",
    [[entry()] * 11, [entry(Detail=json.dumps({"long": "x" * 30_000}))] * 9],
    ids=["eleven", "more than 256 KB"],
)
def test_a_request_over_the_limits_of_eventbridge_is_refused(client: Any, tmp_path: Path, entries: Any) -> None:
    """No entry is kept."""
    with pytest.raises(ClientError, match="ValidationException"):
        client.put_events(Entries=entries)
    assert everything(tmp_path / "kept") == []


def test_a_bus_that_cannot_write_answers_500_and_logs_why(
    client: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The client tries again."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Writer, "append", full)
    with pytest.raises(ClientError, match="InternalException"):
        client.put_events(Entries=[entry()])
    assert "No space left on device" in capfd.readouterr().out


def test_an_answer_comes_in_one_piece(tmp_path: Path) -> None:
    """A second piece would wait 40 ms for the acknowledgement of the first."""
    body = json.dumps({"Entries": [entry()]}).encode()
    with bus.running(tmp_path) as url, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
        lines = "".join(f"{name}: {value}\r\n" for name, value in signed(url, body).items())
        head = f"POST / HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode()
        for _ in range(2):  # on one connection
            client.sendall(head)
            client.sendall(body)
            answer_head, _, answer = client.recv(65_536).partition(b"\r\n\r\n")
            assert answer_head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert json.loads(answer)["FailedEntryCount"] == 0
        client.sendall(head.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + body)
        assert client.recv(65_536)
        assert not client.recv(65_536)
    assert len(everything(tmp_path)) == 3


def signed(url: str, body: bytes, secret: str = "", **own: str) -> dict[str, str]:
    """Return the headers of a PutEvents request, signed with a secret access key or with that of the environment."""
    present = credentials()()
    key = present._replace(secret_key=secret or present.secret_key)
    signer = Signer("events", url.removeprefix("http://"), "us-east-1", lambda: key)
    return signer.headers(body, {"x-amz-target": "AWSEvents.PutEvents", **own})


@pytest.mark.parametrize(
    "change",
    [
        {"authorization": None},
        {"authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/b/c/aws4_request, SignedHeaders=host, Signature=ab"},
        {"authorization": "Bearer token"}, {"x-amz-date": None}, {"x-amz-date": "yesterday"},
        {"x-amz-date": "20260101T000000Z"}, {"x-amz-target": "AWSEvents.ListRules"}, {"host": "rebind.evil"},
        {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": ""},
    ],
    ids=str,
)  # fmt: skip
def test_only_requests_with_the_secret_of_the_run_are_accepted(tmp_path: Path, change: dict[str, str | None]) -> None:
    """A web page sends an Origin, and another user does not know the secret."""
    body = json.dumps({"Entries": [entry()]}).encode()
    with bus.running(tmp_path) as url:
        headers = signed(url, body) | change
        sent = {name: value for name, value in headers.items() if value is not None}
        answer = httpx.post(url, content=body, headers=sent)
        assert (answer.status_code, answer.json()["__type"]) == (403, "AccessDeniedException")
        assert everything(tmp_path) == []
        assert httpx.post(url, content=body, headers=signed(url, body)).status_code == 200


def test_another_secret_and_another_body_are_refused(tmp_path: Path) -> None:
    """The signature covers the body, and a signature in a trailer does not count."""
    body = json.dumps({"Entries": [entry()]}).encode()
    with bus.running(tmp_path) as url:
        assert httpx.post(url, content=body, headers=signed(url, body, "guessed")).status_code == 403
        assert httpx.post(url, content=body + b" ", headers=signed(url, body)).status_code == 403
        headers = signed(url, body)
        trailer = f"authorization: {headers.pop('authorization')}"
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
            client.sendall(f"POST / HTTP/1.1\r\n{head}transfer-encoding: chunked\r\n\r\n{len(body):x}\r\n".encode())
            client.sendall(body + f"\r\n0\r\n{trailer}\r\n\r\n".encode())
            assert client.recv(1000).startswith(b"HTTP/1.1 403 ")
    assert everything(tmp_path) == []


HEAD = b"POST / HTTP/1.1\r\nx-amz-target: AWSEvents.PutEvents\r\ncontent-length: 9999999\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "s_max"),
    [
        (b"", 0.2), (HEAD, 0.2), (HEAD + b" " * 600_000, 60.0),
        (b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 200_000, 60.0), (b"POST / HTTP/1.1\r\na: " + b"b" * 1_000_000, 60.0),
        (b"garbage\r\n\r\n", 60.0),
    ],
    ids=["nothing", "half", "too much", "too many headers", "too long a header", "garbage"],
)  # fmt: skip
def test_a_bad_or_incomplete_request_ends_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], sent: bytes, s_max: float
) -> None:
    """The bus neither waits for it nor prints anything."""
    monkeypatch.setattr(bus, "_IDLE_S_MAX", s_max)
    monkeypatch.setattr(bus, "_REQUEST_S_MAX", s_max)
    with bus.running(tmp_path) as url, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
        client.settimeout(5)
        with suppress(ConnectionResetError, BrokenPipeError):  # which is how it ends if data was left unread
            client.sendall(sent)
            assert not client.recv(1)
    assert everything(tmp_path) == []
    assert capfd.readouterr().err == ""


def test_other_operations_and_malformed_requests_are_refused(client: Any) -> None:
    """They are not silently ignored."""
    with pytest.raises(ClientError, match="PutEvents is supported here"):
        client.list_rules(EventBusName="EventBus")
    url = client.meta.endpoint_url
    for body in (b"{", b"[]", b'{"Entries": []}', b'{"Entries": [1]}', b'{"Entries": [{"Time": "x"}]}'):
        answer = httpx.post(url, content=body, headers=signed(url, body))
        assert answer.status_code in (200, 400)
        assert answer.is_client_error or answer.json()["FailedEntryCount"] == 1
