"""Damaged items: a command names the item and its attribute in one line, and never ends in a traceback."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import ops.export
import ops.settling
from harness.office import Event, Office
from ops.program import UNEXPECTED
from shared import runtime
from shared.booking import catalog
from shared.model import LANES_MAX, STRIPES_MAX, Stuck
from shared.runtime import Deadline
from shared.store import items
from shared.store.aws_client import RequestFailed
from tests.ops.commands import Commands
from tests.ops.test_audit import booking_key, change
from tests.ops.test_redrive import document, record

WRONG, CANNOT = 1, 2
COMMANDS = {
    "audit": ("audit", "EVENT"),
    "settle": ("settle", "EVENT"),
    "settle --dry-run": ("settle", "EVENT", "--dry-run"),
    "history": ("history", "EVENT", "anna"),
    "export": ("export", "EVENT"),
}
READING = COMMANDS.keys() - {"settle"}
REMOVED = None
VALUES: tuple[dict[str, Any] | None, ...] = (
    REMOVED, {"NULL": True}, {"S": ""}, {"S": "x"}, {"N": "0"}, {"N": "-1"}, {"N": "1.5"}, {"N": "1E+30"},
    {"N": "1000000000000"}, {"L": []},
)  # fmt: skip
OPTIONAL: dict[str, set[str]] = {  # attributes that an item may have
    "event": {
        "opensAt", "waitingListLimit", "soldOutAt", "cancelledAt", "emptiedAt", "holdSeconds", "offerSeconds",
        "confirmedBy",
    },
    "lane": {"opensAt", "closedAt", "cancelledAt"},
    "confirmed booking": {"sequence", "joinedAt", "promotedAt", "cancelledAt", "heldAt", "expiresAt", "expiredAt"},
    "waiting booking": {"bookedAt", "cancelledAt", "heldAt", "reference", "confirmedBy", "cancelledBy"},
    "entry": set(),
}  # fmt: skip


@pytest.fixture
def small(office: Office) -> Iterator[Event]:
    """Yield an event whose one ticket anna has and for which ben waits; what a test damages is not checked again."""
    event = office.opens(tickets=1)
    event.books("anna")
    event.books("ben")
    yield event
    office.events.clear()


def keys(event: Event) -> dict[str, tuple[str, Any]]:
    """Return table and key of one item of each kind."""
    found = catalog.read_event(event.event_id, Deadline.after(5))
    entry = event.check().entries[0]
    sequence = {"stripeId": items.text(entry["stripeId"]), "sequence": items.number(entry["sequence"])}
    return {
        "event": (items.EVENTS, items.event_key(event.event_id)),
        "lane": (items.LANES, items.lane_key(event.event_id, 0)),
        "confirmed booking": (items.BOOKINGS, items.booking_key(found, "anna")),
        "waiting booking": (items.BOOKINGS, items.booking_key(found, "ben")),
        "entry": (items.WAITING_LIST, sequence),
    }


def damage(event: Event, kind: str, attribute: str, value: Any) -> None:
    """Write an attribute of an item, or remove it; the functions forget the event."""
    table, key = keys(event)[kind]
    item = event.database.get_item(TableName=table, Key=key)["Item"]
    item.pop(attribute, None)
    event.database.put_item(TableName=table, Item=item if value is REMOVED else item | {attribute: value})
    runtime.current.memory.clear()


def run(command: str, event: Event, commands: Callable[..., Any]) -> Any:
    """Run a command on an event."""
    return commands(*(event.event_id if word == "EVENT" else word for word in COMMANDS[command]))


@pytest.mark.parametrize("kind", OPTIONAL)
def test_no_value_of_any_attribute_causes_a_traceback(small: Event, local: Commands, kind: str) -> None:
    """Each attribute with each value: the command does its work, or says in one line why it cannot."""
    table, key = keys(small)[kind]
    item = small.database.get_item(TableName=table, Key=key)["Item"]
    for attribute in sorted((item.keys() - key.keys()) | OPTIONAL[kind]):
        for value in VALUES:
            changed = {name: its for name, its in item.items() if name != attribute}
            try:
                small.database.put_item(
                    TableName=table, Item=changed if value is REMOVED else changed | {attribute: value}
                )
            except ClientError:
                continue  # DynamoDB itself refuses this type, in the key of an index
            runtime.current.memory.clear()
            for command in READING:
                done = run(command, small, local)
                assert UNEXPECTED not in done.err, (command, attribute, value, done.err)
                assert done.code in {0, 1, 2, 3}, (command, attribute, value)
                assert done.err.count("\n") == 1 or done.code != CANNOT, (command, attribute, value, done.err)
    small.database.put_item(TableName=table, Item=item)
    assert run("audit", small, local).code == 0


def test_an_unknown_event_is_reported_in_one_line(local: Commands) -> None:
    """Exit code 2: the command could not be run."""
    for command, words in COMMANDS.items():
        done = local(*("nowhere" if word == "EVENT" else word for word in words))
        assert (done.code, done.out, done.err) == (CANNOT, "", "there is no event nowhere here\n"), command


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("lanes", value) for value in (None, {"S": "many"}, {"N": "1.5"}, {"NULL": True}, {"N": "0"}, {"N": "-1"})]
    + [("lanes", {"N": str(LANES_MAX + 1)}), ("stripes", {"N": "0"}), ("stripes", {"N": str(STRIPES_MAX + 1)})],
    ids=str,
)
def test_a_damaged_event_is_named_in_one_line(small: Event, local: Commands, attribute: str, value: Any) -> None:
    """Exit code 2, because 1 means a broken promise."""
    damage(small, "event", attribute, value)
    expected = f"the event {small.event_id} is damaged: its {attribute} cannot be read\n"
    for command in COMMANDS:
        done = run(command, small, local)
        assert (done.code, done.out, done.err) == (CANNOT, "", expected), command


@pytest.mark.parametrize(
    ("kind", "attribute", "value"),
    [
        ("confirmed booking", "bookingId", None),
        ("confirmed booking", "generation", {"S": "first"}),
        ("confirmed booking", "status", {"S": "LOST"}),
        ("confirmed booking", "bookedAt", {"N": "7"}),
        ("lane", "available", {"S": "x"}),
        ("entry", "userId", None),
    ],
)
def test_other_damaged_items_are_named_by_their_keys(
    small: Event, local: Commands, kind: str, attribute: str, value: Any
) -> None:
    """The operator repairs the item under this key."""
    _, key = keys(small)[kind]
    damage(small, kind, attribute, value)
    name = " ".join([kind.rpartition(" ")[2], *(next(iter(part.values())) for part in key.values())])
    readers = {"lane": ("audit", "settle", "settle --dry-run"), "entry": ("audit",)}.get(kind, ("audit", "history"))
    for command in readers:
        done = run(command, small, local)
        assert (done.code, done.err) == (CANNOT, f"the {name} is damaged: its {attribute} cannot be read\n"), command


def test_settling_stops_at_a_damaged_entry(small: Event, local: Commands) -> None:
    """It cannot tell which user is first in line."""
    small.cancels("anna")
    damage(small, "entry", "userId", None)
    done = run("settle", small, local)
    assert done.code == CANNOT
    assert done.err.endswith(" is damaged: its userId cannot be read\n")


def test_a_damaged_time_is_named_in_one_line(sold_out: Event, office: Office, local: Commands) -> None:
    """The audit compares when users joined."""
    sold_out.cancels("user-0")
    sold_out.promotes()
    key = booking_key(sold_out, "user-60")
    change(sold_out, items.BOOKINGS, key, "SET #s = :v", {"N": "1000"}, s="sequence")
    change(sold_out, items.BOOKINGS, key, "SET joinedAt = :v", {"S": "yesterday"})
    office.events.clear()
    done = local("audit", sold_out.event_id)
    assert (done.code, done.err.count("\n")) == (CANNOT, 1)
    assert done.err.endswith(" of user-60 is damaged: its joinedAt cannot be read\n")


@pytest.mark.parametrize("damaged_rows", [1, 2])
def test_an_export_leaves_out_damaged_rows_and_says_so(
    small: Event, local: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged_rows: int
) -> None:
    """Each is named up to a bound; all other rows are there, positions too, and a damaged lane costs no row."""
    monkeypatch.setattr(ops.export, "REPORTED_MAX", 1)
    small.books("cleo")
    small.books("dora")
    damage(small, "confirmed booking", "status", {"S": "LOST"})
    if damaged_rows > 1:  # an entry between the first and the second, since a key can be any number
        event = {"TableName": items.EVENTS, "Key": items.event_key(small.event_id)}
        two = {":two": {"N": "2"}}
        small.database.update_item(**event, UpdateExpression="SET stripes = :two", ExpressionAttributeValues=two)
        key = {"stripeId": items.text(items.stripe_id(small.event_id, 1)), "sequence": {"N": "1.5"}}
        small.database.put_item(TableName=items.WAITING_LIST, Item=key)
    damage_lane = {"TableName": items.LANES, "Key": items.lane_key(small.event_id, 0)}
    small.database.update_item(**damage_lane, UpdateExpression="REMOVE tickets")
    done = local("export", small.event_id, "--output", str(tmp_path / "rows.csv"))
    assert done.code == WRONG
    named = f"left out: the booking {small.event_id}#0 anna is damaged: its status cannot be read"
    assert done.err.splitlines()[0] == named
    assert done.err.splitlines()[-1] == f"{damaged_rows} damaged rows were left out"
    assert done.err.count("left out:") == 1
    written = [line.split(",") for line in (tmp_path / "rows.csv").read_text("utf-8").splitlines()[1:]]
    entries = [(row[1], row[8]) for row in written if row[0] == "waiting-list"]
    assert entries == [("ben", "1"), ("cleo", f"{1 + damaged_rows}"), ("dora", f"{2 + damaged_rows}")]
    assert [row[1] for row in written if row[0] == "booking"] == ["ben", "cleo", "dora"]


def test_an_unforeseen_error_is_one_line_with_its_place(
    small: Event, local: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2: a traceback would end with 1, which means a broken promise."""

    def fails(_: Any) -> Any:
        raise ZeroDivisionError("of\nlanes")

    monkeypatch.setattr(ops.settling, "promotable", fails)
    done = local("settle", small.event_id, "--dry-run")
    assert done.code == CANNOT
    assert done.err.startswith(f"{UNEXPECTED} (test_damage.py:")
    assert done.err.endswith("): ZeroDivisionError: of lanes\n")


def test_a_damaged_event_does_not_keep_others_from_being_redriven(
    office: Office, strands: Callable[[], Event], data: Path, local: Commands
) -> None:
    """Its file is kept; the file of the sound event, which is read later, is processed."""
    damaged, sound = sorted((strands(), strands()), key=lambda event: event.event_id)
    key = items.event_key(damaged.event_id)
    damaged.database.update_item(TableName=items.EVENTS, Key=key, UpdateExpression="REMOVE lanes")
    for name, event in (("a", damaged), ("b", sound)):
        (data / "failed-records" / f"{name}.json").write_text(document(record(event.event_id)))
    done = local("redrive")
    trouble = f"the event {damaged.event_id} is damaged: its lanes cannot be read"
    assert (done.code, done.err) == (WRONG, "")
    assert done.lines[-3:] == [
        f"kept a.json: the event {damaged.event_id} could not be settled ({trouble})",
        "removed b.json",
        "1 removed, 1 kept",
    ]
    sound.check(drained=True)
    office.events.clear()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Stuck("settle"), "settle"),
        (RequestFailed("GetItem", 400, "ValidationException", "of another\ntype"), "RequestFailed: GetItem: 400 Val"),
        (KeyError("N"), "KeyError: 'N'"),
    ],
)
def test_any_error_of_an_event_keeps_only_its_own_file(
    strands: Callable[[], Event],
    data: Path,
    local: Commands,
    monkeypatch: pytest.MonkeyPatch,
    *,
    error: Exception,
    said: str,
) -> None:
    """One line for each file."""
    bad, sound = strands(), strands()
    settle: Callable[[Any], int] = ops.settling.settle_all

    def fails(event: Any) -> int:
        if event.event_id == bad.event_id:
            raise error
        return settle(event)

    monkeypatch.setattr(ops.settling, "settle_all", fails)
    for name, event in (("a", bad), ("b", sound)):
        (data / "failed-records" / f"{name}.json").write_text(document(record(event.event_id)))
    done = local("redrive")
    assert (done.code, done.err, len(done.lines)) == (WRONG, "", 4)
    assert f"kept a.json: the event {bad.event_id} could not be settled ({said}" in done.out
    assert done.lines[-2:] == ["removed b.json", "1 removed, 1 kept"]


def test_unreadable_files_are_reported_and_kept(data: Path, local: Commands) -> None:
    """An operator must look at them."""
    contents = [
        "", "{", "[]", "{}", '"x"', "7", "null", '{"payload": "{"}', '{"payload": 1}', '{"payload": null}',
        '{"payload": "{\\"Records\\": 1}"}', '{"payload": {"Records": null}}', "[" * 5_000,
        json.dumps({"requestContext": None, "payload": "{}"}),
        json.dumps({"requestContext": [], "payload": {"Records": []}}),
        json.dumps({"requestContext": {"functionArn": 7}, "payload": {"Records": []}}),
    ]  # fmt: skip
    files = [data / "failed-records" / f"{number:02}.json" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_text(content)
    done = local("redrive")
    assert done.code == WRONG
    kept = [f"kept {file.name}: it is not a file of failed records as Lambda writes it" for file in files]
    assert done.lines == [*kept, f"0 removed, {len(files)} kept"]
    assert [file.read_text() for file in files] == contents
