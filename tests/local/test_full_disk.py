"""A full disk is like a stopped engine: 503 while it lasts; then the office goes on, and nothing is lost."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import cast

import httpx
import pytest

from local import announcements, batches, folder
from local.announcements import Writer
from local.database import Database
from local.errors import StartError
from local.lifeline import Log
from tests.local.disks import files_of_at_most, small_disk
from tests.local.programs import PARTS, Program, happens, opened, post, sold_out, status_of_bob
from tests.local.test_announcements import everything
from tests.local.test_feeder import STREAM, Bench, FakeStream, Promoter, run

ANNOUNCING_S = 2.5  # within so long what happened before is announced
LINES = [b'{"n": %d}' % n for n in range(4)]


class Buyers:
    """Buyers who book one after the other; what they are told is kept."""

    def __init__(self, program: Program, event_id: str) -> None:
        self.statuses: set[int] = set()
        self.told: dict[str, str] = {}  # user to bookingId
        self.leave = threading.Event()
        self._program, self._event_id = program, event_id

    def book(self, name: str) -> None:
        """Book for one user after the other until it is time to leave."""
        with httpx.Client(base_url=self._program.url, timeout=20) as client:
            number = 0
            while not self.leave.is_set():
                number += 1
                user = f"{name}-{number}"
                answer = client.post("/book", content=json.dumps({"userId": user, "eventId": self._event_id}))
                self.statuses.add(answer.status_code)
                if answer.is_success:
                    self.told[user] = answer.json()["bookingId"]


def test_a_full_disk_costs_time_and_nothing_else(tmp_path: Path) -> None:
    """What was acknowledged is stored, and announced once the disk has space; no part and no record is given up.

    The engine is killed meanwhile, so it also starts on a full disk.
    """
    with (
        small_disk(tmp_path) as disk,
        opened("--data", str(disk.path / "data"), "--workers", "2") as program,
        ThreadPoolExecutor() as threads,
    ):
        waiting_list = sold_out(program)
        event_id = post(program, "/initialize", name="Concert", totalTickets=5000).json()["eventId"]
        buyers = Buyers(program, event_id)
        booking = [threads.submit(buyers.book, name) for name in ("ada", "ben")]
        happens(lambda: len(buyers.told) > 50)
        cancelled = threads.submit(post, program, "/cancel", userId="ada", eventId=waiting_list)
        with disk.full(program):
            time.sleep(ANNOUNCING_S)
            program.kill("dynoxide")
            happens(lambda: 503 in buyers.statuses)
            acknowledged = len(buyers.told)
        happens(lambda: len(buyers.told) > acknowledged + 50)
        buyers.leave.set()
        for one in booking:
            one.result()

        assert buyers.statuses == {201, 503}
        assert cancelled.result().json()["was"] == "CONFIRMED"
        happens(lambda: status_of_bob(program, waiting_list) == "CONFIRMED")
        with httpx.Client(base_url=program.url, timeout=20) as client:
            for user, booking_id in buyers.told.items():
                answer = client.get(f"/status/{event_id}?userId={user}")
                assert answer.json()["booking"]["bookingId"] == booking_id
        happens(lambda: announced(disk.path / "data" / "announcements") >= set(buyers.told.values()))
        assert list((disk.path / "data" / "failed-records").iterdir()) == []
        happens(lambda: len(program.pids()) == PARTS + 1)


def announced(kept: Path) -> set[str]:
    """Return the bookings that were announced, by their ids."""
    details = [json.loads(line)["detail"]["data"] for line in everything(kept)]
    return {detail["bookingId"] for detail in details if "bookingId" in detail}


def test_an_append_that_is_cut_short_leaves_whole_lines_to_readers(tmp_path: Path) -> None:
    """What was announced stays, the rest is written again, and no reader ever gets half a line."""
    writer = Writer(tmp_path)
    writer.append(LINES[:1])
    end = announcements.end(tmp_path)
    with files_of_at_most(2 * end + 4):
        for _ in range(2):  # the second time not even one whole line fits
            with pytest.raises(OSError, match="File too large"):
                writer.append(LINES[1:3])
            [file] = tmp_path.iterdir()
            assert file.stat().st_size == 2 * end + 4
            assert everything(tmp_path) == LINES[:2]
            assert announcements.end(tmp_path) == 2 * end
    writer.append(LINES[2:])
    assert everything(tmp_path) == LINES
    assert everything(tmp_path, 2 * end + 3) == LINES[3:]  # a place that was never given out


def test_a_file_that_cannot_be_begun_is_begun_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is its place, so it must not move on with every try."""
    monkeypatch.setattr(announcements, "FILE_BYTES_MAX", 1)
    writer = Writer(tmp_path)
    writer.append(LINES[:1])
    for _ in range(2):
        with files_of_at_most(0), pytest.raises(OSError, match="File too large"):
            writer.append(LINES[1:2])
    writer.append(LINES[1:2])
    assert everything(tmp_path) == LINES[:2]
    assert sorted(int(file.stem) for file in tmp_path.iterdir()) == [0, len(LINES[0]) + 1]


def test_a_log_line_that_is_cut_short_does_not_spoil_the_next(tmp_path: Path) -> None:
    """Lines are lost while the disk is full, and never stop the process that writes them."""
    log = tmp_path / "worker.log"
    with log.open("ab") as file, Log.text(file.fileno()) as stream:
        print("before", file=stream)
        with files_of_at_most(10):
            for _ in range(3):
                print("meanwhile", file=stream)
        print("after", file=stream)
    assert log.read_text().splitlines() == ["before", "mea", "after"]


def test_records_that_cannot_be_written_down_are_not_given_up(tmp_path: Path) -> None:
    """They are tried again, and leave no half file."""
    stream = replace(STREAM, retries=0)
    failed = tmp_path / "failed"
    failed.mkdir()

    def fail(_records: list[batches.Record]) -> None:
        raise RuntimeError("as the test wants it")

    def give_up(given_up: batches.GivenUp) -> None:
        batches.write_failed(failed, given_up, "shard", "stream", "function")

    held = batches.Batches(stream, fail, give_up)
    held.add([{"dynamodb": {"SequenceNumber": "1", "ApproximateCreationDateTime": 0}}])
    for _ in range(2):
        with files_of_at_most(10), pytest.raises(OSError, match="File too large"):
            held.advance()
        assert list(failed.iterdir()) == []
        assert held.done is None
    held.advance()
    assert held.done == "1"
    [file] = failed.iterdir()
    assert json.loads(file.read_text())["DDBStreamBatchInfo"]["batchSize"] == 1


@pytest.mark.usefixtures("capsys")  # what is printed goes to no file
def test_a_checkpoint_that_cannot_be_saved_is_saved_later(tmp_path: Path) -> None:
    """Without another record, and without the old one being read again."""
    stream, promoter = FakeStream(), Promoter()
    stream.add("shard-1", None, 1, 2, open_=True)
    path = tmp_path / "checkpoint.json"
    feeder = Bench(cast("Database", stream), tmp_path).feeder(promoter)
    with files_of_at_most(10):
        run(feeder, lambda: bool(promoter.payloads))
        assert feeder.turn() > 0
        assert not path.exists()
    run(feeder, path.exists)
    assert '"sequence": "2"' in path.read_text()
    assert promoter.seen() == [["1", "2"]]


def test_a_full_disk_uses_up_no_retries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No function could do its work, so none is called."""
    stream, promoter = FakeStream(), Promoter()
    stream.add("shard-1", None, 1, 2, open_=True)
    feeder = Bench(cast("Database", stream), tmp_path).feeder(promoter)
    with monkeypatch.context() as patch:
        patch.setattr(folder, "_FREE_BYTES_MIN", 2**80)
        pauses = [feeder.turn() for _ in range(5)]
    assert pauses == sorted(pauses)
    assert promoter.payloads == []
    run(feeder, lambda: promoter.seen() == [["1", "2"]])


def test_a_start_on_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything else fails for it with a message of its own."""
    monkeypatch.setattr(folder, "_FREE_BYTES_MIN", 2**80)
    with pytest.raises(StartError, match="cannot be used: No space left on device"), folder.opened(tmp_path / "data"):
        pass
