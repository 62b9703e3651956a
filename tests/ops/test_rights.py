"""docs/operations-tools.md lists exactly the IAM actions that each command needs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from harness.office import Office
from harness.privileges import Privilege, noted
from local import bus
from local.template import TEMPLATE
from shared import runtime
from tests.docs import pages
from tests.ops.aws import BUCKET, BUS, STACK
from tests.ops.commands import Commands
from tests.ops.test_redrive import document, record, told

PAGE = "docs/operations-tools.md"
NAMES = {STACK: "the stack", BUS: "EventBus", BUCKET: "FailedRecordsBucket", f"{BUCKET}/*": "FailedRecordsBucket/*"}

# By row of the page: the commands to run, and what they print if they did all they can. On the event STRANDED a ticket
# is free while users wait; OFF is cancelled and not emptied.
ROWS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "audit": {"audit STRANDED": ("1 wait beside 1 free",), "audit OFF": ("O3 holds   2 tickets or places",)},
    "settle": {"settle STRANDED": ("promoted 1;",), "settle OFF": ("cancelled 2 bookings;",)},
    "settle --dry-run": {
        "settle STRANDED --dry-run": ("would promote 1;",),
        "settle OFF --dry-run": ("would cancel 2 bookings;",),
    },
    "redrive": {"redrive": (": 1 promoted", ": 2 cancelled", ": 1 records announced", "3 removed, 0 kept")},
    "redrive --dry-run": {
        "redrive --dry-run": (": 1 to promote", ": 2 to cancel", ": 1 records to announce", "3 to remove, 0 kept")
    },
    "events": {"events": ("sold out   The concert",)},
    "history": {
        "history STRANDED anna": ("got a ticket directly",),
        "history STRANDED ben": ("position   1",),
        "history OFF ada": ("cancelled at",),
    },
    "export": {
        "export STRANDED": ("\nbooking,anna,", "\nwaiting-list,ben,"),
        "export OFF": ("\nbooking,ada,", "\nwaiting-list,bob,"),
    },
}

BEFORE_A_SALE: Final = ("preflight", "warm", "warm --dry-run")  # their test is in test_on_sale.py


@pytest.fixture
def events(office: Office) -> dict[str, str]:
    """Return the ids of the two events by their names in ROWS."""
    stranded, off = office.opens(tickets=2), office.opens(tickets=1)
    for user in ("zoe", "anna", "ben"):
        stranded.books(user)
    stranded.cancels("zoe")
    for user in ("ada", "bob"):
        off.books(user)
    off.cancels_event()
    return {"STRANDED": stranded.event_id, "OFF": off.event_id}


@pytest.fixture
def on_aws(
    events: dict[str, str],
    s3: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    new_client: None,
) -> Iterator[Commands]:
    """Yield commands on a stack with failed records of each function; its bus is on this machine."""
    change = {"dynamodb": {"Keys": {"eventId": {"S": events["OFF"]}}, "SequenceNumber": "1"}}
    failed = {"promote": document(record(events["STRANDED"])), "follow": document(change), "announce": told("anna")}
    with bus.running(tmp_path) as url:
        monkeypatch.setenv(bus.BUS_VARIABLE, url)
        for name, content in failed.items():
            s3.put_object(Bucket=BUCKET, Key=name, Body=content.encode())
        yield Commands(("--stack", STACK), capsys)


def listed() -> dict[str, set[Privilege]]:
    """Return the page's table: the privileges that each command needs."""
    [table] = [table for table in pages.tables(PAGE) if table[0][0] == "command"]
    head, *rows = [[cell.replace("`", "") for cell in row] for row in table]
    found: dict[str, set[Privilege]] = {}
    for command, *cells in rows:
        assert command not in found
        assert len(cells) == len(head) - 1
        found[command] = {
            (f"{service}:{action}", resource)
            for (service, _, resource), cell in zip((name.partition(": ") for name in head[1:]), cells, strict=True)
            for action in filter(None, cell.split(", "))
        }
    return found


@pytest.mark.parametrize("row", ROWS)
def test_a_command_needs_what_the_page_lists_and_nothing_more(
    row: str, on_aws: Commands, events: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too few stops an operator during an incident; one too many is a risk."""
    needed: set[Privilege] = set()
    for arguments, said in ROWS[row].items():
        runtime.current.memory.clear()  # a program knows nothing when it begins
        with noted() as requests:
            done = on_aws(*(events.get(word, word) for word in arguments.split()))
        assert [text for text in said if text not in done.out] == [], done
        needed |= requests
    assert {(action, NAMES.get(resource, resource)) for action, resource in needed} == listed()[row]


def test_every_command_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """And another one if it has --dry-run."""
    command = Commands((), capsys)
    names = re.findall(r"^    (\w+)(?: |$)", command("--help").out, re.MULTILINE)
    asked = [f"{name} --dry-run" for name in names if "--dry-run" in command(name, "--help").out]
    assert set(listed()) == {*ROWS, *BEFORE_A_SALE} == {*names, *asked}


def test_no_key_of_our_own_needs_more_privileges() -> None:
    """AWS's own keys need no privileges beyond those for the table or the bucket."""
    assert re.findall(r"AWS::KMS::\w+|kms\w*key\w*", TEMPLATE.read_text(), re.IGNORECASE) == []
