"""Filled events are as the office and the engine would have made them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench import around, filling, size
from harness.office import Event, Office
from shared.store import items

USERS = 120  # numbers of one, two and three digits, some ending in 0


def _rows(database: Path, table: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(f'SELECT * FROM "{table}" ORDER BY 1, 2').fetchall()  # noqa: S608
    return [tuple(json.loads(cell) if str(cell).startswith("{") else cell for cell in row) for row in rows]


def test_what_is_written_into_the_file_is_what_the_engine_writes(tmp_path: Path) -> None:
    """Every column of every row, but for the order of names within an item, which the engine shuffles."""
    event = filling.opened(lanes=11, total_tickets=USERS)
    puts = [
        *filling.on_sale(event, left_in_each_lane=0),
        *filling.others(10),
        *filling.confirmed(event, size.names("user", USERS)),
        *filling.waiting(event, size.names("waiting-ü", USERS), first_sequence=1),
    ]
    by_engine, by_us = tmp_path / "engine", tmp_path / "us"
    for folder in (by_engine, by_us):
        with around.office_on(folder):
            if folder == by_engine:
                filling.write(puts)
    filling.write_into(by_us / "tickets.db", puts)
    rows = {items.EVENTS: 11, items.LANES: 21, items.BOOKINGS: 2 * USERS, items.WAITING_LIST: USERS + 11}
    rows[f"{items.EVENTS}::gsi::{items.BY_CREATION_INDEX}"] = rows[items.EVENTS]
    rows[f"{items.BOOKINGS}::gsi::{items.BY_USER_INDEX}"] = rows[items.BOOKINGS]
    for table, expected in rows.items():
        written = _rows(by_engine / "tickets.db", table)
        assert len(written) == expected
        assert written == _rows(by_us / "tickets.db", table)


@pytest.mark.parametrize("lanes", [1, 6])
def test_a_filled_event_keeps_every_promise(office: Office, lanes: int) -> None:
    """P1 to P4: on sale, sold out, and with waiting users; the office continues with it."""
    event = filling.opened(lanes, total_tickets=20 + lanes)
    filling.write(filling.on_sale(event, left_in_each_lane=1))
    filling.write(filling.confirmed(event, size.names("holder", 20)))
    opened = Event(event.event_id, office.database)
    assert len(opened.check().confirmed) == 20
    first_sequence = size.sell_out(office.database, event.event_id)
    waiting = size.names("waiting", 30)
    filling.write(filling.waiting(event, waiting, first_sequence))
    filling.count_waiting(office.database, event, waiting)
    assert opened.check(drained=True).waiting[1:] == waiting
    opened.cancels("holder-0000000")
    opened.promotes()
    assert opened.check(drained=True).waiting == waiting
    assert opened.status("waiting-0000000").json["booking"]["position"] == 1
