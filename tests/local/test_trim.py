"""Stream records are deleted once every reader has passed them, and not one earlier."""

import pickle
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from harness.running import PROJECT, client_of
from local import engine, trim
from local.checkpoint import Checkpoint
from local.database import Database
from local.folder import Folder
from tests.local.programs import happens, post, sold_out, started, status_of_bob
from tests.local.test_feeder import STREAM, SYSTEM, Bench, Promoter, order, run

READERS = (STREAM, replace(STREAM, name="GThings", function="G"))
TWO_READERS = replace(SYSTEM, streams=READERS)
ITEMS = [str(number) for number in range(10)]


class Place:
    """An engine on a data folder, and the readers' checkpoints in it."""

    def __init__(self, data: Path, endpoint: str) -> None:
        self.database = Database.embedded(endpoint)
        self.folder = Folder.__new__(Folder)  # its lock is the engine's
        self.folder.database = data / "tickets.db"
        self.folder.checkpoints = data / "checkpoints"

    def read(self, function: str, count: int) -> list[str]:
        """Read so many records for a function that was stopped and goes on; return the items."""
        stream = replace(next(one for one in READERS if one.function == function), batch_size=1)
        promoter = Promoter()
        bench = Bench(self.database, self.folder.checkpoints)
        with closing(bench):
            run(
                bench.feeder(promoter, stream, Checkpoint(self.folder.checkpoint(function))),
                lambda: len(promoter.payloads) == count,
            )
        return order(promoter)

    def put(self, items: list[str]) -> None:
        """Write items, each of which makes a record."""
        Bench(self.database, self.folder.checkpoints).put(*items)

    def kept(self) -> list[int]:
        """Return the sequence numbers that are there."""
        with closing(sqlite3.connect(self.folder.database)) as connection:
            query = "SELECT CAST(sequence_number AS INTEGER) FROM _stream_records ORDER BY 1"
            return [number for (number,) in connection.execute(query)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Start an engine whose stream has the records 1 to 10."""
    with engine.running(tmp_path, TWO_READERS) as endpoint:
        place = Place(tmp_path, endpoint)
        place.put(ITEMS)
        yield place


def trim_all(place: Place) -> None:
    """Delete batch after batch."""
    while trim.trim(TWO_READERS, place.folder):
        pass


def test_a_record_is_deleted_when_the_last_reader_has_passed_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is slow, or was never there before, keeps what it has not read."""
    monkeypatch.setattr(trim, "KEPT", 1)
    monkeypatch.setattr(trim, "BATCH", 3)
    place.read("F", 8)
    trim_all(place)
    assert place.kept() == list(range(1, 11))  # G has read none

    assert place.read("G", 5) == ITEMS[:5]
    trim_all(place)
    assert place.kept() == list(range(6, 11))
    assert place.read("F", 2) == ITEMS[8:]
    assert place.read("G", 5) == ITEMS[5:]


def test_the_newest_records_are_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools may look back, and a new reader begins with them."""
    monkeypatch.setattr(trim, "KEPT", 4)
    for function in "FG":
        place.read(function, 10)
    trim_all(place)
    assert place.kept() == [7, 8, 9, 10]
    place.folder.checkpoint("G").unlink()
    assert place.read("G", 4) == ITEMS[6:]
    trim_all(place)
    place.folder.checkpoint("G").unlink()
    place.put(["more"])
    trim_all(place)
    assert place.kept() == [7, 8, 9, 10, 11]


def test_sequence_numbers_go_on_after_a_deletion_and_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else readers would take new records for old ones."""
    monkeypatch.setattr(trim, "KEPT", 1)
    with engine.running(tmp_path, TWO_READERS) as endpoint:
        place = Place(tmp_path, endpoint)
        place.put(ITEMS)
        for function in "FG":
            place.read(function, 10)
        trim_all(place)
    with engine.running(tmp_path, TWO_READERS) as endpoint:
        place = Place(tmp_path, endpoint)
        place.put(["more"])
        assert place.kept() == [10, 11]
        assert place.read("F", 1) == ["more"]


def test_the_space_of_deleted_records_is_used_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file stays as large as what is kept needs it."""
    monkeypatch.setattr(trim, "KEPT", 5)
    client = client_of(place.database.endpoint)
    sizes = []
    for _ in range(6):
        for number in range(60):
            client.put_item(
                TableName="Things", Item={"id": {"S": "same"}, "n": {"N": str(number)}, "x": {"S": "x" * 2000}}
            )
        for function in "FG":
            place.read(function, 60)
        trim_all(place)
        with closing(sqlite3.connect(place.folder.database)) as connection:
            sizes.append(connection.execute("PRAGMA page_count").fetchone()[0])
    assert sizes[-1] == sizes[1]


TRIMMING = """
import pickle, sys
from local import trim
trim.KEPT, trim.BATCH = 1, 7
system, folder = pickle.load(sys.stdin.buffer)
print("begun", flush=True)
while True:
    trim.trim(system, folder)
"""


def test_no_reader_misses_a_record_though_deleting_is_killed_again_and_again(place: Place) -> None:
    """Records are written, read and deleted at the same time."""
    items = [f"item-{number}" for number in range(300)]
    seen: dict[str, list[str]] = {}
    threads = [
        threading.Thread(target=place.put, args=[items]),
        *(threading.Thread(target=lambda f=f: seen.update({f: place.read(f, 310)})) for f in "FG"),
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with subprocess.Popen(
            [sys.executable, "-c", TRIMMING], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as trimming:
            assert trimming.stdin
            assert trimming.stdout
            pickle.dump((TWO_READERS, place.folder), trimming.stdin)
            trimming.stdin.flush()
            assert trimming.stdout.readline() == b"begun\n"
            time.sleep(0.05)
            trimming.kill()
    assert seen == {"F": [*ITEMS, *items], "G": [*ITEMS, *items]}
    assert place.kept()[0] > 1


def test_a_running_office_deletes_records(tmp_path: Path) -> None:
    """And what happens to its users goes on as ever."""
    code = """if True:
        import sys
        from local import supervisor, trim
        from local.__main__ import main
        trim.KEPT, supervisor.TRIM_S = 3, 0.1
        sys.exit(main())
    """
    with started("--port", "0", "--data", str(tmp_path), "--workers", "1", program=("-c", code)) as program:
        program.wait_until_open()
        for _ in range(2):
            event_id = sold_out(program)
            post(program, "/cancel", userId="ada", eventId=event_id)
            happens(lambda event_id=event_id: status_of_bob(program, event_id) == "CONFIRMED")  # type: ignore[misc]

        def kept() -> int:
            with closing(sqlite3.connect(tmp_path / "tickets.db")) as connection:
                count: int = connection.execute("SELECT COUNT(*) FROM _stream_records").fetchone()[0]
                return count

        happens(lambda: kept() == 2 * 3)  # of the bookings, and of the events
