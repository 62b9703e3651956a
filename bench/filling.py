"""Writes events with many bookings, without making these one by one: the items that the office would have left.

They are written through the engine or, if there are millions, into its file while it is stopped. The rows equal those
that the engine writes, and a test compares them; there are no stream records, as after 24 hours.
"""

import hashlib
import json
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from local.template import load
from shared import runtime
from shared.model import Booking, Entry, Event, Lane, Status, Terms, stripes_for
from shared.store import dynamodb, items
from shared.store.items import Item

BATCH_WRITE_MAX = 25  # items, DynamoDB's limit for one BatchWriteItem
ROWS_AT_ONCE = 10_000
_DIGITS = 40  # of a number in a sort key, as the engine writes it: sign, exponent, digits

_COLUMNS = "(pk, sk, item_json, item_size, hash_prefix)"
_COLUMNS_OF_INDEX = "(gsi_pk, gsi_sk, table_pk, table_sk, item_json)"

Put = tuple[str, Item]  # a table, and an item of it


def opened(lanes: int, total_tickets: int) -> Event:
    """Return a new event with this number of lanes, not that of the rule for its size."""
    return Event(
        event_id=str(uuid.uuid4()),
        terms=Terms("The concert", total_tickets),
        lanes=lanes,
        stripes=stripes_for(lanes),
        created_at=runtime.current.now(),
        request_fingerprint="0" * 64,
        tickets_in_lanes=total_tickets,
    )


def on_sale(event: Event, left_in_each_lane: int) -> Iterator[Put]:
    """Yield an event, its list's tail and its lanes, with all other tickets sold."""
    yield items.EVENTS, items.event_item(event)
    yield items.WAITING_LIST, items.tail_item(event)
    share, rest = divmod(event.terms.total_tickets, event.lanes)
    for number in range(event.lanes):
        tickets = share + (number < rest)
        changed = event.event_id if tickets > left_in_each_lane else None
        lane = Lane(event.event_id, number, tickets, left_in_each_lane, waiting=0, changes=0, sweep_id=changed)
        yield items.LANES, items.lane_item(lane)


def confirmed(event: Event, users: Iterable[str]) -> Iterator[Put]:
    """Yield the bookings of users with a ticket."""
    moment = runtime.current.now()
    for user in users:
        yield items.BOOKINGS, items.booking_item(event, _booking(event, user, Status.CONFIRMED, booked_at=moment))


def waiting(event: Event, users: Iterable[str], first_sequence: int) -> Iterator[Put]:
    """Yield bookings and entries of waiting users, in this order."""
    moment = runtime.current.now()
    for sequence, user in enumerate(users, first_sequence):
        booking = _booking(event, user, Status.WAITING, sequence=sequence, joined_at=moment)
        yield items.BOOKINGS, items.booking_item(event, booking)
        entry = Entry(event.event_id, sequence, user, booking.booking_id, joined_at=moment)
        yield items.WAITING_LIST, items.entry_item(event, entry)


def count_waiting(client: Any, event: Event, users: Iterable[str]) -> None:
    """Count waiting users as the office does: on their home lanes, and by the last number drawn."""
    on_lane = Counter(map(event.home_lane, users))
    for lane, count in on_lane.items():
        _add(client, items.LANES, items.lane_key(event.event_id, lane), {"waiting": count, "changes": count})
    _add(client, items.WAITING_LIST, items.tail_key(event), {"lastSequence": on_lane.total()})


def others(count: int) -> Iterator[Put]:
    """Yield so many other events of one lane, each with its lane."""
    for _ in range(count):
        yield from on_sale(opened(lanes=1, total_tickets=1), left_in_each_lane=1)


def write(puts: Iterable[Put]) -> None:
    """Write items through the engine, by the office's own client: boto3's takes five times as long."""
    for some in _batches(puts, BATCH_WRITE_MAX):
        requests: dict[str, list[Any]] = {}
        for table, item in some:
            requests.setdefault(table, []).append({"PutRequest": {"Item": item}})
        answer = dynamodb.client().call("BatchWriteItem", {"RequestItems": requests})
        assert not answer["UnprocessedItems"]


def write_into(database: Path, puts: Iterable[Put]) -> None:
    """Write items into the file of an engine that does not run."""
    tables = {table.name: table.arguments for table in load().tables}
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # after a power cut it is filled again
        for some in _batches(puts, ROWS_AT_ONCE):
            rows: dict[str, list[tuple[Any, ...]]] = {}
            for table, item in some:
                rows.setdefault(f'"{table}" {_COLUMNS}', []).append(_row(tables[table], item))
                for index in tables[table].get("GlobalSecondaryIndexes", []):
                    if item.keys() >= set(_key_names(index)):
                        of_index = rows.setdefault(f'"{table}::gsi::{index["IndexName"]}" {_COLUMNS_OF_INDEX}', [])
                        of_index.append(_row_of_index(index, tables[table], item))
            for place, of_place in rows.items():
                command = f"INSERT INTO {place}"
                connection.executemany(f"{command} VALUES (?, ?, ?, ?, ?)", of_place)
            connection.commit()


def _batches(puts: Iterable[Put], length: int) -> Iterator[list[Put]]:
    remaining = iter(puts)
    while some := list(islice(remaining, length)):
        yield some


def _row(table: Mapping[str, Any], item: Item) -> tuple[Any, ...]:
    names = _key_names(table)
    return *_keys(names, item), json.dumps(item, separators=(",", ":")), _bytes(item), _place(item[names[0]]["S"])


def _row_of_index(index: Mapping[str, Any], table: Mapping[str, Any], item: Item) -> tuple[Any, ...]:
    """Return what an index has of an item: the keys only."""
    of_index, of_table = _key_names(index), _key_names(table)
    projected = {name: value for name, value in item.items() if name in {*of_index, *of_table}}
    return *_keys(of_index, item), *_keys(of_table, item), json.dumps(projected, separators=(",", ":"))


def _key_names(keyed: Mapping[str, Any]) -> list[str]:
    """Return the names of the key of a table, or of an index."""
    return [key["AttributeName"] for key in keyed["KeySchema"]]


def _keys(names: list[str], item: Item) -> tuple[str, str]:
    return _key(item[names[0]]), _key(item[names[1]]) if len(names) > 1 else ""


def _place(partition: str) -> str:
    """Return where a partition belongs: the engine scans tables in this order, as DynamoDB itself does."""
    return hashlib.md5(f"Outliers{partition}".encode(), usedforsecurity=False).hexdigest()[:6]


def _key(value: Mapping[str, str]) -> str:
    ((kind, text),) = value.items()
    if kind == "S":
        return f"S:{text}"
    sign, exponent = (2, 5000 + len(text)) if text != "0" else (1, "0000")
    return f"N:{sign}{exponent}{text:0<{_DIGITS}}"  # whole numbers from 0 on


def _bytes(item: Item) -> int:
    """Return the size that DynamoDB counts: names, strings, and for a number half of its significant digits, and one.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    size = 0
    for name, value in item.items():
        ((kind, text),) = value.items()
        size += len(name) + (len(text.encode()) if kind == "S" else _bytes_of_number(text))
    return size


def _bytes_of_number(text: str) -> int:
    return 1 if text == "0" else (len(text.rstrip("0")) + 1) // 2 + 1


def _booking(event: Event, user: str, status: Status, **facts: Any) -> Booking:
    return Booking(event.event_id, user, str(uuid.uuid4()), generation=1, status=status, **facts)


def _add(client: Any, table: str, key: Mapping[str, Any], numbers: Mapping[str, int]) -> None:
    client.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="ADD " + ", ".join(f"{name} :{name}" for name in numbers),
        ExpressionAttributeValues={f":{name}": items.number(count) for name, count in numbers.items()},
    )
