"""export EVENT writes every row as CSV, with any ids, in bounded memory, and never half a file."""

import csv
import io
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

import ops.rows
from bench import filling
from harness import office
from harness.office import Office, clock_ahead
from ops.export import COLUMNS
from shared.model import Event
from tests.ops.commands import PROJECT, Commands, Done, announced
from tests.ops.commands import ops as program

ROWS = 20_000
PEAK_MB_MAX = 10  # additional memory for ROWS rows; measured 7, and 12 to 26 if all rows are kept
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1", "＋1", "－1", "＠1", "-")  # noqa: RUF001
HARMLESS = ('a,"b"', "Zoë 🎟", "a=1", "'=1", "1-1", "ben@example.org")

# Run a command, then write the maximum of its memory in kB to stderr. (On Linux, ru_maxrss is the parent's.)
MEASURED = """
import re, sys
from ops import program
code = program.run(sys.argv[1:])
sys.stderr.write(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
sys.exit(code)
"""


def rows(text: str) -> list[dict[str, str]]:
    """Read the CSV."""
    return list(csv.DictReader(io.StringIO(text)))


def test_every_booking_and_entry_is_a_row(sold_out: office.Event, local: Commands) -> None:
    """With the values in the tables, ended bookings too; the waiting list in order with positions."""
    sold_out.cancels("user-60")
    sold_out.cancels("user-0")
    sold_out.promotes()
    done = local("export", sold_out.event_id)
    assert (done.code, done.err) == (0, "")
    found = sold_out.check(drained=True)
    names = set(COLUMNS) - {"row", "position"}
    written = rows(done.out)
    bookings = [row for row in written if row["row"] == "booking"]
    expected = {one["userId"]: {name: str(one.get(name, "")) for name in names} for one in found.bookings}
    assert {row["userId"]: {name: row[name] for name in names} for row in bookings} == expected
    entries = [row for row in written if row["row"] == "waiting-list"]
    positions = [("1", "user-62"), ("2", "user-63"), ("3", "user-64")]
    assert [(row["position"], row["userId"]) for row in entries] == positions
    for row, entry in zip(entries, found.entries, strict=True):
        for name in ("bookingId", "joinedAt", "sequence", "quantity"):
            assert row[name] == str(entry[name])
    assert len(bookings) + len(entries) == len(written) == 68


def test_holds_are_exported_with_their_times_and_references(office: Office, local: Commands) -> None:
    """A shop reconciles its payments with these columns."""
    event = office.opens(tickets=3, holdSeconds=60)
    for user in ("anna", "ben"):
        event.books(user)
    event.confirm("ben", event.status("ben").json["booking"]["bookingId"], reference="payment-1")
    with clock_ahead(65):
        event.expires()
    event.books("cleo")
    found = {one["userId"]: one for one in event.check().bookings}
    written = {row["userId"]: row for row in rows(local("export", event.event_id).out)}
    assert {user: row["status"] for user, row in written.items()} == {
        "anna": "EXPIRED", "ben": "CONFIRMED", "cleo": "HELD",
    }  # fmt: skip
    for user, row in written.items():
        assert {name: row[name] for name in COLUMNS if name in found[user]} == {
            name: str(found[user][name]) for name in COLUMNS if name in found[user]
        }
    assert (written["ben"]["reference"], written["ben"]["confirmedBy"]) == ("payment-1", "shop")
    assert written["cleo"]["expiresAt"]
    assert written["anna"]["expiredAt"]


@pytest.mark.parametrize(("only", "kinds"), [("bookings", {"booking"}), ("waiting-list", {"waiting-list"})])
def test_bookings_and_waiting_list_can_be_exported_alone(
    sold_out: office.Event, local: Commands, only: str, kinds: set[str]
) -> None:
    """The columns stay the same."""
    assert {row["row"] for row in rows(local("export", sold_out.event_id, "--only", only).out)} == kinds


def test_pages_follow_each_other_without_a_gap(
    sold_out: office.Event, local: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row is lost or repeated at the end of a page, and positions continue."""
    whole = local("export", sold_out.event_id).out
    monkeypatch.setattr(ops.rows, "PAGE_ROWS", 2)
    assert local("export", sold_out.event_id).out == whole


def test_an_event_without_bookings_is_a_header(office: Office, local: Commands) -> None:
    """It is still a CSV file."""
    assert local("export", office.opens(tickets=1).event_id).out == ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize("for_excel", [False, True], ids=["plain", "for Excel"])
def test_ids_are_exported_as_they_are_or_neutralised_for_excel(
    office: Office, local: Commands, for_excel: bool
) -> None:
    """In UTF-8, whatever the terminal uses. For Excel, with a byte order mark and no cell that is a formula."""
    event = office.opens(tickets=1)
    joined = [user for user in (*HARMLESS, *FORMULAS) if event.books(user) in {201, 202}]  # the API may refuse a tab
    assert {"=1+1", "-1", *HARMLESS} <= set(joined)
    encoding: dict[str, Any] = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = program("export", event.event_id, *local.where, *(["--for-excel"] if for_excel else []), **encoding)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("\ufeff") is for_excel
    written = rows(done.out.removeprefix("\ufeff"))
    expected = [f"'{user}" if for_excel and user in FORMULAS else user for user in joined]
    assert {row["userId"] for row in written if row["row"] == "booking"} == set(expected)
    assert [row["userId"] for row in written if row["row"] == "waiting-list"] == expected[1:]


def test_a_file_is_complete_or_not_there(
    sold_out: office.Event, local: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that is interrupted leaves the older file unchanged."""
    file = tmp_path / "out.csv"
    done = local("export", sold_out.event_id, "--output", str(file))
    assert (done.code, done.out, done.err) == (0, "", f"70 rows in {file}\n")
    whole = file.read_text("utf-8")
    assert len(rows(whole)) == 70

    def interrupted(_event: Any) -> Any:
        yield []
        raise KeyboardInterrupt

    monkeypatch.setattr(ops.rows, "entries", interrupted)
    with pytest.raises(KeyboardInterrupt):
        local("export", sold_out.event_id, "--output", str(file))
    assert file.read_text("utf-8") == whole
    assert [path.name for path in tmp_path.glob("out.csv*")] == ["out.csv"]


def test_a_file_that_cannot_be_written_is_reported_in_one_line(
    sold_out: office.Event, local: Commands, tmp_path: Path
) -> None:
    """And an unknown event leaves no file."""
    done = local("export", sold_out.event_id, "--output", str(tmp_path / "none" / "out.csv"))
    assert (done.code, done.err) == (2, f"{tmp_path}/none/out.csv.part: No such file or directory\n")
    assert local("export", "nowhere", "--output", str(tmp_path / "out.csv")).code == 2
    assert not (tmp_path / "out.csv").exists()


def test_a_terminal_shows_a_progress_bar_and_a_file_does_not(sold_out: office.Event, local: Commands) -> None:
    """The bar is on stderr, the rows are on stdout."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    command = [sys.executable, "-m", "ops", "export", sold_out.event_id, *local.where]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=True)
    shown = os.read(ours, 100_000).decode()
    os.close(theirs)
    os.close(ours)
    assert "export:" in shown
    assert "/70 [" in shown
    assert len(rows(done.stdout.decode())) == 70
    assert local("export", sold_out.event_id).err == ""


def test_the_bar_ends_at_its_total(sold_out: office.Event, local: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lanes count all rows but ended bookings, which are added when they are read."""
    sold_out.cancels("user-64")
    bars = []

    def progress(total: int, doing: str) -> Any:
        bars.append(tqdm(total=total, desc=doing, file=io.StringIO()))
        return bars[-1]

    monkeypatch.setattr(ops.rows, "progress", progress)
    written = rows(local("export", sold_out.event_id).out)
    assert (bars[0].n, bars[0].total) == (len(written), len(written))


def test_a_closed_pipe_ends_it_quietly(many: Event, tmp_path: Path) -> None:
    """As every program in a pipeline does."""
    with announced(tmp_path / "data"):
        where = f"--local --data {tmp_path / 'data'}"
        script = f"set -o pipefail; {sys.executable} -m ops export {many.event_id} {where} | head -1"
        done = subprocess.run(
            ["bash", "-c", script], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.stdout.startswith("row,userId")
    assert (done.returncode, done.stderr) == (141, "")


def test_many_rows_take_no_more_memory_than_few(many: Event, office: Office, tmp_path: Path) -> None:
    """A page is in memory at a time, so a million rows take as much as 20,000."""
    few = office.opens(tickets=1)
    few.books("ada")
    _, few_mb = measured(few.event_id, tmp_path / "data")
    done, many_mb = measured(many.event_id, tmp_path / "data")
    assert len(done.lines) == ROWS + 1
    assert many_mb - few_mb < PEAK_MB_MAX


@pytest.fixture(scope="module")
def many(database: Any) -> Event:
    """Return an event with ROWS rows: half are waiting bookings, half their entries."""
    event = filling.opened(lanes=4, total_tickets=4)
    users = [f"user-{n:032}" for n in range(ROWS // 2)]
    filling.write([*filling.on_sale(event, left_in_each_lane=1), *filling.waiting(event, users, first_sequence=1)])
    filling.count_waiting(database, event, users)
    return event


def measured(event_id: str, data: Path) -> tuple[Done, int]:
    """Export in a process of its own; return what it did and its maximum memory in MB."""
    with announced(data):
        command = [sys.executable, "-c", MEASURED, "export", event_id, "--local", "--data", str(data)]
        ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True)
    return Done(0, ran.stdout, ""), int(ran.stderr) // 1024
