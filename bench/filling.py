"""Events as they are after many bookings, without making these one by one: the items that the office would have left.

They are written through the engine, or, where there are millions, into its file while it is stopped. The rows are then
those that the engine itself writes, but for its stream, which is as if its 24 hours were over: a test compares them.
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
from shared import items
from shared.items import Item
from shared.model import Booking, Entry, Event, Lane, Status, now, stripes_for

BATCH_WRITE_MAX = 25  # items, DynamoDB's limit for one BatchWriteItem
ROWS_AT_ONCE = 10_000
_DIGITS = 40  # of a number in a sort key, as the engine writes it: sign, exponent, digits

Put = tuple[str, Item]  # a table, and an item of it


def opened(lanes: int, total_tickets: int) -> Event:
    """Return a new event with so many lanes, whatever its size would have it have."""
    return Event(
        event_id=str(uuid.uuid4()),
        name="The concert",
        total_tickets=total_tickets,
        lanes=lanes,
        stripes=stripes_for(lanes),
        created_at=now(),
        request_fingerprint="0" * 64,
    )


def on_sale(event: Event, left_in_each_lane: int) -> Iterator[Put]:
    """Yield an event and its lanes, with all other tickets sold."""
    yield items.EVENTS, items.event_item(event)
    share, rest = divmod(event.total_tickets, event.lanes)
    for number in range(event.lanes):
        tickets = share + (number < rest)
        yield (
            items.LANES,
            items.lane_item(Lane(event.event_id, number, tickets, left_in_each_lane, waiting=0, changes=0)),
        )


def confirmed(event: Event, users: Iterable[str]) -> Iterator[Put]:
    """Yield the bookings of users who have got a ticket."""
    moment = now()
    for user in users:
        yield items.BOOKINGS, items.booking_item(event, _booking(event, user, Status.CONFIRMED, booked_at=moment))


def waiting(event: Event, users: Iterable[str], first_sequence: int) -> Iterator[Put]:
    """Yield bookings and entries of users who wait, in this order."""
    moment = now()
    for sequence, user in enumerate(users, first_sequence):
        booking = _booking(event, user, Status.WAITING, sequence=sequence, joined_at=moment)
        yield items.BOOKINGS, items.booking_item(event, booking)
        entry = Entry(event.event_id, sequence, user, booking.booking_id, joined_at=moment)
        yield items.WAITING_LIST, items.entry_item(event, entry)


def count_waiting(client: Any, event: Event, users: Iterable[str]) -> None:
    """Count those who wait where the office does: on their home lanes, and by the last number drawn."""
    on_lane = Counter(map(event.home_lane, users))
    for lane, count in on_lane.items():
        _add(client, items.LANES, items.lane_key(event.event_id, lane), {"waiting": count, "changes": count})
    _add(client, items.EVENTS, items.event_key(event.event_id), {"lastSequence": on_lane.total()})


def others(count: int) -> Iterator[Put]:
    """Yield so many other events of one lane, each with its lane."""
    for _ in range(count):
        yield from on_sale(opened(lanes=1, total_tickets=1), left_in_each_lane=1)


def write(client: Any, puts: Iterable[Put]) -> None:
    """Write items through the engine."""
    for some in _batches(puts, BATCH_WRITE_MAX):
        requests: dict[str, list[Any]] = {}
        for table, item in some:
            requests.setdefault(table, []).append({"PutRequest": {"Item": item}})
        answer = client.batch_write_item(RequestItems=requests)
        assert not answer["UnprocessedItems"]


def write_into(database: Path, puts: Iterable[Put]) -> None:
    """Write items into the file of an engine that does not run."""
    keys = {table.name: [key["AttributeName"] for key in table.arguments["KeySchema"]] for table in load().tables}
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # what a power cut spoils is filled anew
        for some in _batches(puts, ROWS_AT_ONCE):
            rows: dict[str, list[tuple[Any, ...]]] = {}
            for table, item in some:
                rows.setdefault(table, []).append(_row(keys[table], item))
            for table, of_table in rows.items():
                command = f'INSERT INTO "{table}" (pk, sk, item_json, item_size, hash_prefix)'
                connection.executemany(f"{command} VALUES (?, ?, ?, ?, ?)", of_table)
            connection.commit()


def _batches(puts: Iterable[Put], length: int) -> Iterator[list[Put]]:
    remaining = iter(puts)
    while some := list(islice(remaining, length)):
        yield some


def _row(keys: list[str], item: Item) -> tuple[Any, ...]:
    partition, sort = _key(item[keys[0]]), _key(item[keys[1]]) if len(keys) > 1 else ""
    return partition, sort, json.dumps(item, separators=(",", ":")), _bytes(item), _place(item[keys[0]]["S"])


def _place(partition: str) -> str:
    """Return where a partition belongs: the engine scans tables in this order, as DynamoDB itself does."""
    return hashlib.md5(f"Outliers{partition}".encode(), usedforsecurity=False).hexdigest()[:6]


def _key(value: Mapping[str, str]) -> str:
    ((kind, text),) = value.items()
    if kind == "S":
        return f"S:{text}"
    return f"N:2{5000 + len(text)}{text:0<{_DIGITS}}"  # whole numbers from 1 on


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
    return Booking(event.event_id, user, str(uuid.uuid4()), claim=1, status=status, **facts)


def _add(client: Any, table: str, key: Mapping[str, Any], numbers: Mapping[str, int]) -> None:
    client.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="ADD " + ", ".join(f"{name} :{name}" for name in numbers),
        ExpressionAttributeValues={f":{name}": items.number(count) for name, count in numbers.items()},
    )
