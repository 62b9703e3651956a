"""Damage that a runbook sends operators to: each command names the item and what of it cannot be read, in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ops.settling
from harness.office import Event, Office
from shared import runtime
from shared.booking import catalog
from shared.model import Stuck
from shared.store import items
from shared.store.aws_client import RequestFailed
from shared.store.dynamodb import Deadline
from tests.ops.commands import Commands
from tests.ops.commands import ops as program
from tests.ops.test_redrive import document, record

KEPT, CANNOT = 1, 2

COMMANDS = {
    "audit": ("audit", "EVENT"),
    "settle": ("settle", "EVENT"),
    "settle --dry-run": ("settle", "EVENT", "--dry-run"),
    "history": ("history", "EVENT", "user-0"),
    "export": ("export", "EVENT"),
}


def damage(event: Event, table: str, key: Any, attribute: str, value: Any) -> None:
    """Write an attribute, or remove it where the value is None."""
    names = {"#attribute": attribute}
    change: dict[str, Any] = {"TableName": table, "Key": key, "ExpressionAttributeNames": names}
    if value is None:
        event.database.update_item(**change, UpdateExpression="REMOVE #attribute")
    else:
        values = {":value": value}
        event.database.update_item(
            **change, UpdateExpression="SET #attribute = :value", ExpressionAttributeValues=values
        )
    runtime.current.memory.clear()


def damage_event(event: Event, value: Any = None) -> None:
    """Take the number of an event's lanes away, or make it another thing."""
    damage(event, items.EVENTS, items.event_key(event.event_id), "lanes", value)


def key_of(event: Event, user: str) -> Any:
    """Return the key of a user's booking."""
    return items.booking_key(catalog.read_event(event.event_id, Deadline.after(5)), user)


@pytest.mark.parametrize("value", [None, {"S": "many"}, {"N": "1.5"}, {"NULL": True}], ids=str)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_event_is_named_in_one_line(damaged: Event, local: Commands, command: str, value: Any) -> None:
    """Nothing can be told of it: exit code 2, since 1 is a promise broken."""
    damage_event(damaged, value)
    done = local(*(damaged.event_id if word == "EVENT" else word for word in COMMANDS[command]))
    expected = f"the event {damaged.event_id} is damaged: its lanes cannot be read\n"
    assert (done.code, done.out, done.err) == (CANNOT, "", expected)


def test_the_program_says_it_as_well(damaged: Event, local: Commands) -> None:
    """No traceback, as an operator would see it."""
    damage_event(damaged)
    done = program("audit", damaged.event_id, *local.where)
    expected = f"the event {damaged.event_id} is damaged: its lanes cannot be read\n"
    assert (done.code, done.out, done.err) == (CANNOT, "", expected)


@pytest.mark.parametrize("command", ["audit", "history", "export"])
@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("bookingId", None),
        ("generation", {"S": "first"}),
        ("status", {"S": "LOST"}),
        ("status", None),
        ("bookedAt", {"N": "7"}),
        ("sequence", {"S": "7"}),
    ],
)
def test_a_damaged_booking_is_named_in_one_line(
    damaged: Event, local: Commands, command: str, attribute: str, value: Any
) -> None:
    """By its key, and by what of it cannot be read."""
    key = key_of(damaged, "user-0")
    damage(damaged, items.BOOKINGS, key, attribute, value)
    done = local(*(damaged.event_id if word == "EVENT" else word for word in COMMANDS[command]))
    lane = key["laneId"]["S"]
    expected = f"the booking {lane} user-0 is damaged: its {attribute} cannot be read\n"
    assert (done.code, done.err) == (CANNOT, expected)


@pytest.mark.parametrize("command", ["audit", "settle", "settle --dry-run", "export"])
def test_a_damaged_lane_is_named_in_one_line(damaged: Event, local: Commands, command: str) -> None:
    """Lanes hold the numbers; a letter among them is no number."""
    damage(damaged, items.LANES, items.lane_key(damaged.event_id, 1), "available", {"S": "x"})
    done = local(*(damaged.event_id if word == "EVENT" else word for word in COMMANDS[command]))
    expected = f"the lane {damaged.event_id}#1 is damaged: its available cannot be read\n"
    assert (done.code, done.err) == (CANNOT, expected)


@pytest.mark.parametrize("command", ["audit", "settle", "export"])
def test_a_damaged_entry_is_named_in_one_line(damaged: Event, local: Commands, command: str) -> None:
    """Settling stops at it, too: who stands there cannot be told."""
    damaged.cancels("user-0")
    entry = damaged.check().entries[0]
    stripe, sequence = entry["stripeId"], entry["sequence"]
    key = {"stripeId": items.text(stripe), "sequence": items.number(sequence)}
    damage(damaged, items.WAITING_LIST, key, "userId", None)
    done = local(*(damaged.event_id if word == "EVENT" else word for word in COMMANDS[command]))
    expected = f"the entry {stripe} {sequence} is damaged: its userId cannot be read\n"
    assert (done.code, done.err) == (CANNOT, expected)


def test_a_moment_that_is_none_is_named_in_one_line(damaged: Event, local: Commands) -> None:
    """The audit compares when people joined."""
    damaged.cancels("user-0")
    damaged.promotes()
    key = key_of(damaged, "user-60")
    damage(damaged, items.BOOKINGS, key, "sequence", {"N": "1000"})  # so that all who wait seem overtaken
    damage(damaged, items.BOOKINGS, key, "joinedAt", {"S": "yesterday"})
    done = local("audit", damaged.event_id)
    assert (done.code, done.err.count("\n")) == (CANNOT, 1)
    assert done.err.endswith(" of user-60 is damaged: its joinedAt cannot be read\n")


def test_one_damaged_event_does_not_keep_others_from_being_replayed(
    office: Office, damaged: Event, data: Path, local: Commands
) -> None:
    """Its file is reported and kept; that of the sound event, which is read later, is done."""
    first, sound = sorted((damaged, sold_out_with_a_free_ticket(damaged)), key=lambda event: event.event_id)
    damage_event(first)
    for name, event in (("a", first), ("b", sound)):
        (data / "failed-records" / f"{name}.json").write_text(document(record(event.event_id)))
    done = local("redrive")
    trouble = f"the event {first.event_id} is damaged: its lanes cannot be read"
    assert (done.code, done.err) == (KEPT, "")
    assert done.lines[-3:] == [
        f"kept a.json: the event {first.event_id} could not be settled ({trouble})",
        "removed b.json",
        "1 removed, 1 kept",
    ]
    assert [path.name for path in (data / "failed-records").iterdir()] == ["a.json"]
    sound.check(drained=True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Stuck("settle"), "settle"),
        (RequestFailed("GetItem", 400, "ValidationException", "of another\ntype"), "RequestFailed: GetItem: 400 Val"),
        (KeyError("N"), "KeyError: 'N'"),
    ],
)
def test_whatever_one_event_raises_keeps_its_file_only(
    damaged: Event, data: Path, local: Commands, monkeypatch: pytest.MonkeyPatch, *, error: Exception, said: str
) -> None:
    """One line for each file, whatever it was."""
    sound = sold_out_with_a_free_ticket(damaged)
    settle: Callable[[Any], int] = ops.settling.settle_all

    def fails(event: Any) -> int:
        if event.event_id == damaged.event_id:
            raise error
        return settle(event)

    monkeypatch.setattr(ops.settling, "settle_all", fails)
    for name, event in (("a", damaged), ("b", sound)):
        (data / "failed-records" / f"{name}.json").write_text(document(record(event.event_id)))
    done = local("redrive")
    assert (done.code, done.err, len(done.lines)) == (KEPT, "", 4)
    assert f"kept a.json: the event {damaged.event_id} could not be settled ({said}" in done.out
    assert done.lines[-2:] == ["removed b.json", "1 removed, 1 kept"]


def sold_out_with_a_free_ticket(event: Event) -> Event:
    """Return another event, on which a ticket is free and bob waits; what is forged in the first is its own."""
    other = Office(event.database).opens(tickets=1)
    for user in ("ada", "bob"):
        other.books(user)
    other.cancels("ada")
    return other
