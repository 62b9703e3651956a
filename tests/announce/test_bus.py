"""From records to the bus: batches, order, failures, and the rules of a real EventBridge."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from moto import mock_aws

import functions.announce.app
from functions.announce import announcing, bus
from functions.announce.announcements import announcements
from harness.gateway import Context
from shared.model import ID_LENGTH_MAX, NAME_LENGTH_MAX, DamagedItem
from shared.store.aws_client import CALL_TIMEOUT_S, NoResponse, RequestFailed
from tests.announce import schemas
from tests.announce.test_announcements import Image, booking, event, record
from tests.artifact import emulator
from tests.conftest import LogLines

NO_TIME_S = 2.0

Entry = dict[str, Any]
Refuse = Callable[[Entry], str | None]


class FakeBus:
    """A client of EventBridge that handles PutEvents, with the errors that a test sets."""

    def __init__(self) -> None:
        self.calls: list[list[Entry]] = []
        self.refuse: Refuse = lambda _: None
        self.troubles: Iterator[Exception | None] = repeat(None)  # the next requests raise these

    def call(self, operation: str, request: dict[str, list[Entry]]) -> Any:
        """Accept entries."""
        assert operation == "PutEvents"
        entries = request["Entries"]
        self.calls.append(entries)
        if trouble := next(self.troubles, None):
            self.calls[-1] = []
            raise trouble
        codes = [self.refuse(entry) for entry in entries]
        results = [{"ErrorCode": code} if code else {"EventId": "x"} for code in codes]
        return {"FailedEntryCount": sum(map(bool, codes)), "Entries": results}

    @property
    def accepted(self) -> list[str]:
        """Return the ids of the accepted announcements, in order."""
        entries = [entry for call in self.calls for entry in call if not self.refuse(entry)]
        return [json.loads(entry["Detail"])["id"] for entry in entries]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeBus:
    """Replace the bus with a fake, without pauses between tries."""
    found = FakeBus()
    monkeypatch.setattr(bus, "_client", lambda: found)
    monkeypatch.setattr(bus, "PAUSE_S_MAX", 0.0)
    return found


def numbered(number: int, new: Image) -> dict[str, Any]:
    """Return a record with a sequence number."""
    found = record(None, new)
    found["dynamodb"]["SequenceNumber"] = str(number)
    return found


def confirmed(count: int) -> list[dict[str, Any]]:
    """Return the records of `count` new bookings, numbered from 1."""
    return [numbered(number, booking("CONFIRMED", generation=number)) for number in range(1, count + 1)]


def announce(records: list[dict[str, Any]], time_left_s: float = 60) -> list[str]:
    """Call the function and return the sequence numbers that it reports as failed."""
    response = functions.announce.app.handler({"Records": records}, Context(time_left_s))
    return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]


def ids(count: int) -> list[str]:
    """Return the ids of the announcements of `confirmed(count)`."""
    return [f"booking.confirmed:b-{number}" for number in range(1, count + 1)]


def test_a_batch_is_announced_in_order_ten_at_a_time(fake: FakeBus, log_lines: LogLines) -> None:
    """PutEvents takes at most ten. Records that announce nothing do not count."""
    records = confirmed(23)
    records.insert(4, record(booking("CANCELLED"), booking("CANCELLED")))
    assert announce(records) == []
    assert [len(call) for call in fake.calls] == [10, 10, 3]
    assert fake.accepted == ids(23)
    assert fake.calls[0][0]["Time"] == 1777658400  # the moment of the booking, in seconds as the SDK sends it
    assert [line["Announced"] for line in log_lines() if "Announced" in line] == [23]


def test_only_the_entries_that_the_bus_refuses_are_sent_again(fake: FakeBus) -> None:
    """So short throttling does not duplicate the other announcements."""
    refused = iter(["ThrottlingException"])
    fake.refuse = lambda entry: next(refused, None) if "b-3" in entry["Detail"] else None
    assert announce(confirmed(12)) == []
    assert [len(call) for call in fake.calls] == [10, 1, 2]


def test_a_record_that_stays_refused_fails_with_all_later_records(fake: FakeBus, log_lines: LogLines) -> None:
    """No later batch is sent. The repeated announcements have the same ids."""
    fake.refuse = lambda entry: "InternalFailure" if "b-3" in entry["Detail"] else None
    records = confirmed(15)
    assert announce(records) == ["3"]
    assert len(fake.calls) == bus.TRIES_MAX
    assert fake.accepted == [*ids(10)[:2], *ids(10)[3:]]
    assert [line["AnnouncementsFailed"] for line in log_lines() if "AnnouncementsFailed" in line] == [13]

    fake.refuse, fake.calls = lambda _: None, []
    assert announce(records[2:]) == []
    assert fake.accepted == ids(15)[2:]


def test_an_unreachable_bus_fails_all_records(fake: FakeBus) -> None:
    """After a bounded number of tries."""
    fake.troubles = repeat(NoResponse("PutEvents", "ConnectionRefusedError"))
    assert announce(confirmed(12)) == ["1"]
    assert len(fake.calls) == bus.TRIES_MAX
    assert fake.accepted == []


@pytest.mark.parametrize(
    "trouble",
    [
        NoResponse("PutEvents", "TimeoutError"),
        RequestFailed("PutEvents", 400, "ThrottlingException"),
        RequestFailed("PutEvents", 500, "InternalException"),
        RequestFailed("PutEvents", 503, "503"),
        NoCredentialsError(),
    ],
    ids=str,
)
def test_a_short_failure_is_retried(fake: FakeBus, log_lines: LogLines, trouble: Exception) -> None:
    """A timeout, throttling, a fault of the service, or missing credentials."""
    fake.troubles = iter([trouble] * (bus.TRIES_MAX - 1))
    assert announce(confirmed(12)) == []
    assert fake.accepted == ids(12)
    assert len([line for line in log_lines() if line["message"] == "not announced"]) == bus.TRIES_MAX - 1


def test_no_call_begins_that_cannot_end_in_time(fake: FakeBus) -> None:
    """Lambda would end the invocation and repeat it, with the same call."""
    assert announce(confirmed(2), time_left_s=NO_TIME_S + bus.CALL_S_MAX - 0.5) == ["1"]
    assert fake.calls == []
    assert announce(confirmed(2), time_left_s=NO_TIME_S + bus.CALL_S_MAX + 0.5) == []


@pytest.mark.parametrize("place", [0, 2])
def test_an_unreadable_record_is_kept_and_the_others_are_announced(
    fake: FakeBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """It holds up nothing, and a repetition of the batch keeps it once."""
    monkeypatch.setenv("FAILED_RECORDS", str(tmp_path))
    poison = numbered(3, {"laneId": {"S": "e#0"}, "userId": {"S": "anna"}})
    records = confirmed(4)
    records.insert(place, poison)
    for _ in range(2):
        assert announce(records) == []
    assert fake.accepted == ids(4) * 2
    [kept] = tmp_path.iterdir()
    document = json.loads(kept.read_text())
    assert json.loads(document["payload"])["Records"] == [poison]
    assert "AnnounceFunction" in document["requestContext"]["functionArn"]


@pytest.mark.parametrize("code", sorted(bus.REJECTED))
def test_a_record_that_the_bus_will_never_accept_is_kept_and_the_others_are_announced(
    fake: FakeBus, log_lines: LogLines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """It would hold up its shard for an hour. A redrive keeps its file instead."""
    monkeypatch.setenv("FAILED_RECORDS", str(tmp_path))
    fake.refuse = lambda entry: code if '"b-3"' in entry["Detail"] else None
    records = confirmed(14)
    assert announce(records) == []
    assert [len(call) for call in fake.calls] == [10, 4]
    assert fake.accepted == [one for one in ids(14) if one != "booking.confirmed:b-3"]
    [kept] = tmp_path.iterdir()
    assert json.loads(json.loads(kept.read_text())["payload"])["Records"] == [records[2]]
    assert [line["Announced"] for line in log_lines() if "Announced" in line] == [13]
    assert announcing.announce(records, 60.0) == "3"


def test_a_rejected_record_behind_one_that_fails_is_kept_again_when_the_batch_is_repeated(
    fake: FakeBus, log_lines: LogLines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, since the file's name follows from the record. What was not announced is not counted."""
    monkeypatch.setenv("FAILED_RECORDS", str(tmp_path))
    codes = {"b-3": "ThrottlingException", "b-5": "MalformedDetail"}
    fake.refuse = lambda entry: next((code for name, code in codes.items() if f'"{name}"' in entry["Detail"]), None)
    records = confirmed(6)
    assert announce(records) == ["3"]
    del codes["b-3"]
    assert announce(records[2:]) == []
    assert len(list(tmp_path.iterdir())) == 1
    assert [line["Announced"] for line in log_lines() if "Announced" in line] == [2, 3]


@mock_aws
def test_an_unreadable_record_is_kept_in_the_bucket(fake: FakeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """On AWS; if the bucket refuses it, the batch is repeated."""
    monkeypatch.setenv("FAILED_RECORDS", "kept")
    poison = numbered(1, {"laneId": {"S": "e#0"}, "userId": {"S": "anna"}})
    with pytest.raises(ClientError):
        announce([poison])
    make: Any = boto3.client
    make("s3").create_bucket(Bucket="kept")
    assert announce([poison]) == []
    assert make("s3").list_objects_v2(Bucket="kept")["KeyCount"] == 1


def test_a_redrive_announces_what_it_can_read_up_to_a_record_that_it_cannot(fake: FakeBus) -> None:
    """It keeps the file then, so it need not keep the record."""
    poison = numbered(3, {"laneId": {"S": "e#0"}, "userId": {"S": "anna"}})
    records = [*confirmed(2), poison]
    assert announcing.announce(records, 60.0) == "3"
    assert fake.accepted == ids(2)
    with pytest.raises(DamagedItem):
        announcing.announce(records[2:], 60.0)


def test_ten_of_the_largest_entries_fit_into_one_call() -> None:
    """EventBridge takes 256 KB. Names and ids have the most bytes if JSON escapes all their characters."""
    large = event() | {"name": {"S": "\N{PERFORMING ARTS}" * NAME_LENGTH_MAX}}
    user = {"userId": {"S": "\N{PERFORMING ARTS}" * ID_LENGTH_MAX}, "bookingId": {"S": "b" * 36}}
    for largest in (record(None, large, "Events"), record(None, booking("CONFIRMED") | user)):
        [one] = announcements(largest)
        entry = bus.entry(one)
        assert bus.ENTRIES_MAX * (len(entry["Detail"]) + len(entry["DetailType"]) + 100) < bus.BYTES_MAX


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[emulator.Emulator]:
    """Yield an emulator of AWS whose EventBridge has our bus. The function uses it."""
    with emulator.running(tmp_path) as found:
        found.client("events").create_event_bus(Name=os.environ["EVENT_BUS"])
        monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", found.url)
        bus._client.cache_clear()  # noqa: SLF001  # the next client uses this endpoint
        yield found
    bus._client().connection.close()  # noqa: SLF001
    bus._client.cache_clear()  # noqa: SLF001


def test_a_rule_on_a_type_gets_only_that_type(aws: emulator.Emulator) -> None:
    """As a rule for mail about offers would."""
    sqs, eventbridge = aws.client("sqs"), aws.client("events")
    queue = sqs.create_queue(QueueName="offers")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": [bus.SOURCE], "detail-type": ["booking.offered"]}
    eventbridge.put_rule(Name="offers", EventBusName=os.environ["EVENT_BUS"], EventPattern=json.dumps(pattern))
    eventbridge.put_targets(Rule="offers", EventBusName=os.environ["EVENT_BUS"], Targets=[{"Id": "1", "Arn": arn}])

    records = confirmed(12)
    images = {"OldImage": booking("WAITING", generation=12), "NewImage": booking("HELD", generation=12)}
    records[11]["dynamodb"].update(images)
    assert announce(records) == []

    [message] = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
    delivered = json.loads(message["Body"])
    assert (delivered["source"], delivered["detail-type"]) == (bus.SOURCE, "booking.offered")
    assert delivered["detail"]["id"] == "booking.offered:b-12"
    schemas.check(delivered["detail"])


def test_a_silent_bus_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call ends within the time that an invocation must have left for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(bus, "TRIES_MAX", 1)
        bus._client.cache_clear()  # noqa: SLF001  # the next client uses this endpoint
        began_s = time.monotonic()
        assert announce(confirmed(1)) == ["1"]
        assert CALL_TIMEOUT_S < time.monotonic() - began_s < bus.CALL_S_MAX
        bus._client.cache_clear()  # noqa: SLF001


def test_announcing_loads_no_sdk() -> None:
    """Neither at the start nor with the first announcement: it costs 280 ms of a cold start, and 1 ms per call."""
    program = """
import json, sys
from types import SimpleNamespace
from functions.announce import app, bus
from shared.store.aws_client import Client

class Context(SimpleNamespace):
    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "x"

    def get_remaining_time_in_millis(self):
        return 30_000

requests = []
Client.call = lambda client, *request: requests.append(request) or {"Entries": [{"EventId": "x"}]}
assert app.handler({"Records": [json.loads(sys.argv[1])]}, Context()) == {"batchItemFailures": []}
assert len(requests) == 1
print(*sys.modules, sep="\\n", file=sys.stderr)
"""
    command = [sys.executable, "-c", program, json.dumps(confirmed(1)[0])]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stderr.split()
    assert "shared.store.aws_client" in loaded
    assert not {"boto3", "botocore.session"} & set(loaded)
