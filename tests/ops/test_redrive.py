"""redrive processes failed records of folder and bucket, and removes no file before its work is done."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ops.failed_records
import ops.redrive
import ops.settling
from harness.office import Event
from local import batches, engine
from local.bus import BUS_VARIABLE
from shared.booking.settle import settle
from shared.model import TryAgain
from tests.local.test_announcements import everything
from tests.ops.aws import BUCKET, BUS, STACK
from tests.ops.commands import Commands

KEPT = 1


class Folder:
    """The failed records on one machine."""

    def __init__(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.command = Commands(("--local", "--data", str(data)), capsys)
        self._folder = data / "failed-records"

    def put(self, name: str, content: str) -> None:
        """Write a file."""
        (self._folder / name).write_text(content)

    @property
    def names(self) -> list[str]:
        """Return the names of the files that are there."""
        return sorted(path.name for path in self._folder.iterdir())


class Bucket:
    """The failed records on AWS."""

    def __init__(self, s3: Any, capsys: pytest.CaptureFixture[str]) -> None:
        self.command = Commands(("--stack", STACK), capsys)
        self._s3 = s3

    def put(self, name: str, content: str) -> None:
        """Write an object."""
        self._s3.put_object(Bucket=BUCKET, Key=name, Body=content.encode())

    def empty(self) -> None:
        """Remove all objects."""
        for name in self.names:
            self._s3.delete_object(Bucket=BUCKET, Key=name)

    @property
    def names(self) -> list[str]:
        """Return the keys that are there."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return sorted(found["Key"] for page in pages for found in page.get("Contents", ()))


@pytest.fixture(params=["folder", "bucket"])
def failed(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[Folder | Bucket]:
    """Yield the failed records of each of the two places."""
    if request.param == "folder":
        yield Folder(request.getfixturevalue("data"), capsys)
        return
    bucket = Bucket(request.getfixturevalue("s3"), capsys)
    yield bucket
    bucket.empty()


in_a_folder = pytest.mark.parametrize("failed", ["folder"], indirect=True)  # where the place makes no difference


def record(event_id: str, number: int = 1) -> dict[str, Any]:
    """Return the parts of a stream record that redrive reads."""
    keys = {"laneId": {"S": f"{event_id}#0"}, "userId": {"S": "user-0"}}
    change = {"Keys": keys, "SequenceNumber": str(number), "ApproximateCreationDateTime": 1.0}
    return {"eventName": "MODIFY", "dynamodb": change}


def document(*records: Any) -> str:
    """Return a file as Lambda writes it."""
    return json.dumps({"version": "1.0", "payload": json.dumps({"Records": records})})


@pytest.fixture
def stranded(strands: Callable[[], Event]) -> Event:
    """Return an event with a free ticket beside bob, who waits, because the promoter gave up."""
    return strands()


def test_the_event_of_a_failed_record_is_settled_and_its_file_removed(failed: Folder | Bucket, stranded: Event) -> None:
    """The ticket goes to the head of the list (P6). No failed records are no error."""
    failed.put("one.json", document(record(stranded.event_id)))
    done = failed.command("redrive")
    assert (done.code, done.err) == (0, "")
    assert done.lines == [f"event {stranded.event_id}: 1 promoted", "removed one.json", "1 removed, 0 kept"]
    assert failed.names == []
    assert stranded.check(drained=True).confirmed == {"bob"}
    done = failed.command("redrive")
    assert (done.code, done.lines) == (0, ["0 removed, 0 kept"])


def told(*users: str) -> str:
    """Return a file as Lambda writes it for AnnounceFunction: the bookings of these users."""
    records = []
    for number, user in enumerate(users, 1):
        texts = {"laneId": "e#0", "userId": user, "eventId": "e", "bookingId": f"b-{user}", "status": "CONFIRMED"}
        image = {name: {"S": text} for name, text in (texts | {"bookedAt": "2026-05-01T18:00:00.000Z"}).items()}
        records.append(record("e", number))
        records[-1]["dynamodb"]["NewImage"] = image | {name: {"N": "1"} for name in ("generation", "quantity")}
    arn = "arn:aws:lambda:us-east-1:000000000000:function:tickets-AnnounceFunction-1A2B3C"
    return json.dumps({"requestContext": {"functionArn": arn}, "payload": json.dumps({"Records": records})})


def test_a_failed_announcement_is_made_and_its_file_removed(data: Path, local: Commands, new_client: None) -> None:
    """On the bus of the running office; no event is settled."""
    (data / "failed-records" / "a.json").write_text(told("anna", "ben"))
    done = local("redrive", "--dry-run")
    assert done.lines == ["a.json: 2 records to announce", "would remove a.json", "1 to remove, 0 kept"]
    assert everything(data / "announcements") == []
    done = local("redrive")
    assert (done.code, done.lines) == (0, ["a.json: 2 records announced", "removed a.json", "1 removed, 0 kept"])
    ids = [json.loads(line)["detail"]["id"] for line in everything(data / "announcements")]
    assert ids == ["booking.confirmed:b-anna", "booking.confirmed:b-ben"]
    assert not list((data / "failed-records").iterdir())


def test_it_is_announced_even_if_the_office_is_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], new_client: None
) -> None:
    """The office's folder keeps the announcement for the next listener."""
    with engine.running(tmp_path):
        pass
    (tmp_path / "failed-records" / "a.json").write_text(told("anna"))
    assert Commands(("--local", "--data", str(tmp_path)), capsys)("redrive").code == 0
    assert len(everything(tmp_path / "announcements")) == 1


def test_a_stack_announces_on_its_own_bus(
    s3: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the name in the stack's outputs and AWS's address, whatever the environment says."""
    monkeypatch.setenv("EVENT_BUS", "of another")
    asked: list[tuple[str, str, int]] = []

    def announce(records: list[Any], _: float) -> None:
        asked.append((os.environ["EVENT_BUS"], os.environ[BUS_VARIABLE], len(records)))

    monkeypatch.setattr(ops.redrive, "announce", announce)
    on_aws = Bucket(s3, capsys)
    on_aws.put("a.json", told("anna"))
    assert on_aws.command("redrive").code == 0
    assert on_aws.names == []
    assert asked == [(BUS, "https://events.us-east-1.amazonaws.com", 1)]


def test_a_refused_or_unreadable_announcement_is_kept(
    data: Path, local: Commands, new_client: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line says from which record on, or which item is damaged."""
    monkeypatch.setattr(ops.redrive, "announce", lambda records, _: records[1]["dynamodb"]["SequenceNumber"])
    (data / "failed-records" / "a.json").write_text(told("anna", "ben"))
    assert local("redrive").lines == ["kept a.json: its records from 2 on could not be announced", "0 removed, 1 kept"]
    monkeypatch.undo()
    (data / "failed-records" / "a.json").write_text(told("anna").replace("CONFIRMED", "LOST"))
    done = local("redrive")
    assert done.code == KEPT
    assert done.lines[0].startswith("kept a.json: its records could not be announced (the booking e#0 anna is damaged")


@in_a_folder
@pytest.mark.parametrize("broken", [{}, {"dynamodb": None}, "text", record(""), {"dynamodb": {"Keys": {"laneId": 1}}}])
def test_an_unreadable_record_keeps_its_file_and_the_other_records_are_processed(
    failed: Folder | Bucket, stranded: Event, broken: Any
) -> None:
    """A bad record must hold up neither the rest of its batch nor other files."""
    failed.put("a.json", document(broken, record(stranded.event_id)))
    failed.put("b.json", document(record(stranded.event_id)))
    done = failed.command("redrive")
    assert done.code == KEPT
    assert "kept a.json: 1 of its 2 records name no event" in done.lines
    assert failed.names == ["a.json"]
    stranded.check(drained=True)


def test_a_file_is_removed_only_after_its_event_was_settled(
    failed: Folder | Bucket, strands: Callable[[], Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be settled stays for the next run, and other events are not held up."""
    stranded, other = strands(), strands()
    failed.put("bad.json", document(record(stranded.event_id), record(other.event_id)))
    failed.put("good.json", document(record(other.event_id)))

    def busy(event: Any, *arguments: Any, **more: Any) -> int:
        assert "good.json" in failed.names
        if event.event_id == stranded.event_id:
            raise TryAgain("ThrottlingException")
        return settle(event, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(ops.settling, "settle", busy)
        done = failed.command("redrive")
    assert done.code == KEPT
    assert f"kept bad.json: the event {stranded.event_id} could not be settled (ThrottlingException)" in done.lines
    assert failed.names == ["bad.json"]
    other.check(drained=True)
    assert failed.command("redrive").code == 0
    assert failed.names == []
    stranded.check(drained=True)


def test_a_crash_in_the_middle_loses_nothing(
    failed: Folder | Bucket, stranded: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it stops between settling and removing, the file is processed again, which is harmless (P7, P8)."""
    failed.put("one.json", document(record(stranded.event_id)))

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ops.failed_records.Files, "remove", killed)
        patch.setattr(ops.failed_records.Bucket, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            failed.command("redrive")
    assert failed.names == ["one.json"]
    assert failed.command("redrive").lines[0] == f"event {stranded.event_id}: 0 promoted"


def test_a_file_that_another_redrive_processed_is_skipped(
    failed: Folder | Bucket, stranded: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two operators run it at once."""
    failed.put("one.json", document(record(stranded.event_id)))
    kind = type(failed).__name__.replace("Folder", "Files")
    read = getattr(ops.failed_records, kind).read

    def after_the_other(place: Any, name: str) -> Any:
        place.remove(name)
        return read(place, name)

    monkeypatch.setattr(f"ops.failed_records.{kind}.read", after_the_other)
    assert failed.command("redrive").lines == ["0 removed, 0 kept"]
    stranded.promotes()


def test_a_file_that_another_redrive_removes_at_the_same_time_is_no_error(
    failed: Folder | Bucket, stranded: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both settled its event."""
    failed.put("one.json", document(record(stranded.event_id)))
    kind = type(failed).__name__.replace("Folder", "Files")
    remove = getattr(ops.failed_records, kind).remove

    def twice(place: Any, name: str) -> None:
        remove(place, name)
        remove(place, name)

    monkeypatch.setattr(f"ops.failed_records.{kind}.remove", twice)
    assert failed.command("redrive").lines[-1] == "1 removed, 0 kept"


@in_a_folder
def test_a_record_of_an_unknown_event_is_discarded(failed: Folder | Bucket) -> None:
    """There is nothing to settle; the promoter decides the same."""
    failed.put("one.json", document(record("nowhere")))
    done = failed.command("redrive")
    assert done.code == 0
    assert done.lines[0] == "event nowhere: no such event, so nothing to do"
    assert failed.names == []


def test_more_files_than_fit_a_page_are_all_processed(
    failed: Folder | Bucket, stranded: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page settles an event once."""
    monkeypatch.setattr(ops.failed_records, "PAGE_MAX", 2)
    settled: list[str] = []
    settle_all = ops.settling.settle_all

    def counting(event: Any) -> int:
        settled.append(event.event_id)
        return settle_all(event)

    monkeypatch.setattr(ops.settling, "settle_all", counting)
    for number in range(3):
        failed.put(f"{number}.json", document(record(stranded.event_id)))
    done = failed.command("redrive")
    assert done.lines[-1] == "3 removed, 0 kept"
    assert failed.names == []
    assert settled == [stranded.event_id] * 2


def test_files_of_the_local_office_can_be_processed(data: Path, local: Commands, strands: Callable[[], Event]) -> None:
    """They have Lambda's format, with the payload as text; it may be an object where an operator has edited it."""
    stranded, edited = strands(), strands()
    given_up = batches.GivenUp([record(stranded.event_id)], "RetryAttemptsExhausted", 11, raised=False)
    path = batches.write_failed(data / "failed-records", given_up, "shard", "arn:stream", "arn:function")
    assert local("redrive").lines[:2] == [f"event {stranded.event_id}: 1 promoted", f"removed {path.name}"]
    assert not path.exists()
    path.write_text(json.dumps({"payload": {"Records": [record(edited.event_id)]}}))
    assert local("redrive").code == 0
    edited.check(drained=True)
