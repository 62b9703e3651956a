"""What each record of a stream has to tell, and what it has not."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from functions.announce.announcements import Type, announcements
from harness.office import Event, Office
from local.database import Database
from local.feeder import STREAMS
from shared.model import DamagedItem
from shared.store import items
from tests.announce import schemas

TIMES = {"bookedAt": "2026-05-01T18:00:00.000Z", "joinedAt": "2026-05-01T18:00:01.000Z"}
LATER = {"promotedAt": "2026-05-01T18:00:02.000Z", "cancelledAt": "2026-05-01T18:00:03.000Z"}

Image = dict[str, Any]


def booking(status: str, generation: int = 1) -> Image:
    """Return the image of a user's n-th booking on an event, which has had all of its times."""
    item = {"laneId": "e#0", "userId": "anna", "eventId": "e", "bookingId": f"b-{generation}", "status": status}
    texts = {name: {"S": value} for name, value in (item | TIMES | LATER).items()}
    return texts | {"generation": {"N": str(generation)}, "sequence": {"N": "7"}}


def event(**more: str) -> Image:
    """Return the image of an event."""
    numbers = {"totalTickets": 5, "lanes": 1, "stripes": 1, "revision": 0}
    texts = {"eventId": "e", "name": "Concert", "createdAt": "2026-05-01T17:00:00.000Z", "requestFingerprint": "f"}
    item = {name: {"S": value} for name, value in (texts | more).items()}
    return item | {name: {"N": str(value)} for name, value in numbers.items()}


def record(old: Image | None, new: Image | None, table: str = "Bookings") -> dict[str, Any]:
    """Return the record of a change."""
    keys = {"laneId": {"S": "e#0"}, "userId": {"S": "anna"}} if table == "Bookings" else {"eventId": {"S": "e"}}
    images = {name: image for name, image in (("OldImage", old), ("NewImage", new)) if image}
    return {"dynamodb": {"Keys": keys, "ApproximateCreationDateTime": 1777658401.5, "SequenceNumber": "1", **images}}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (None, booking("CONFIRMED"), "booking.confirmed:b-1"),
        (None, booking("WAITING"), "waiting.joined:b-1"),
        (booking("WAITING"), booking("CONFIRMED"), "booking.promoted:b-1"),
        (booking("CONFIRMED"), booking("CANCELLED"), "booking.cancelled:b-1"),
        (booking("WAITING"), booking("CANCELLED"), "waiting.left:b-1"),
        # Who comes back writes over the booking that was.
        (booking("CANCELLED"), booking("CONFIRMED", generation=2), "booking.confirmed:b-2"),
        (booking("CANCELLED"), booking("WAITING", generation=2), "waiting.joined:b-2"),
        # Nothing happened to anybody.
        (booking("CONFIRMED"), booking("CONFIRMED"), None),
        (booking("WAITING"), booking("WAITING") | {"createdAt": {"S": "x"}}, None),
        (booking("CANCELLED"), booking("CANCELLED"), None),
        (booking("CANCELLED"), None, None),
        (booking("CONFIRMED"), None, None),
    ],
)
def test_a_change_of_a_booking_is_one_step_or_none(old: Image | None, new: Image | None, told: str | None) -> None:
    """By the bookingId it is told whether it is the same booking that went on."""
    assert [one.id for one in announcements(record(old, new))] == ([told] if told else [])


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (None, event(), ["event.opened:e"]),
        (event(), event(soldOutAt="t"), ["event.sold-out:e"]),
        (event(soldOutAt="t"), event(soldOutAt="t", cancelledAt="t"), ["event.cancelled:e"]),
        (event(), event() | {"revision": {"N": "1"}}, ["event.changed:e:1"]),
        (event() | {"revision": {"N": "1"}}, event() | {"revision": {"N": "2"}}, ["event.changed:e:2"]),
        (event(), event(emptiedAt="t"), []),
        (event(), None, []),
    ],
)
def test_a_change_of_an_event_is_told_once(old: Image | None, new: Image | None, told: list[str]) -> None:
    """Each change by an organiser has an id of its own; the rest happens to an event once."""
    assert [one.id for one in announcements(record(old, new, "Events"))] == told


@pytest.mark.parametrize("limit", [None, 3])
def test_a_changed_event_is_announced_as_it_is_now(limit: int | None) -> None:
    """With what it has of window and limit, at the time at which the stream took it."""
    window = {"opensAt": {"S": TIMES["bookedAt"]}} | ({"waitingListLimit": {"N": str(limit)}} if limit else {})
    [changed] = announcements(record(event(), event() | {"revision": {"N": "1"}} | window, "Events"))
    assert changed.time == "2026-05-01T18:00:01.500Z"
    assert changed.data == {"eventId": "e", "name": "Concert", "totalTickets": 5, "revision": 1} | {
        "opensAt": TIMES["bookedAt"],
        **({"waitingListLimit": limit} if limit else {}),
    }


@pytest.mark.parametrize(
    "damage",
    [
        {"status": {"S": "LOST"}},
        {"generation": {"S": "one"}},
        {"generation": {"NULL": True}},
        {"bookedAt": None},
        {"bookingId": None},
        {"status": None},
        {"promotedAt": {"BOOL": True}},
    ],
)
def test_a_record_that_lacks_what_is_to_be_told_cannot_be_read(damage: Image) -> None:
    """Rather than to announce half of it."""
    new = {name: value for name, value in (booking("CONFIRMED") | damage).items() if value}
    with pytest.raises((DamagedItem, KeyError)):
        announcements(record(None, new))


def test_an_event_that_lacks_what_is_to_be_told_cannot_be_read() -> None:
    """Nor one whose number is a text."""
    with pytest.raises(DamagedItem):
        announcements(record(None, event() | {"totalTickets": {"S": "5"}}, "Events"))


def test_every_type_has_a_schema_that_its_data_keep_to() -> None:
    """And there is no schema that nothing is announced by. A change of the data is a change of the schema."""
    told = [
        record(None, booking("CONFIRMED")),
        record(None, booking("WAITING")),
        record(booking("WAITING"), booking("CONFIRMED")),
        record(booking("CONFIRMED"), booking("CANCELLED")),
        record(booking("WAITING"), booking("CANCELLED")),
        record(None, event(), "Events"),
        record(event(), event(**TIMES, opensAt=TIMES["bookedAt"]) | {"revision": {"N": "1"}}, "Events"),
        record(event(), event(soldOutAt=TIMES["bookedAt"]), "Events"),
        record(event(), event(cancelledAt=TIMES["bookedAt"]), "Events"),
    ]
    found = [one.cloud_event() for each in told for one in announcements(each)]
    assert {one["type"] for one in found} == set(Type)
    assert {one["dataschema"] for one in found} == schemas.published().keys()
    for one in found:
        schemas.check(one)


def records_of(office: Office, table: str, opened: Event) -> Iterator[dict[str, Any]]:
    """Yield what the stream of a table has on an event, in its order."""
    streams = Database.embedded(office.database.meta.endpoint_url).wire(STREAMS)
    arn = office.database.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    for shard in streams.call("DescribeStream", {"StreamArn": arn})["StreamDescription"]["Shards"]:
        request = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        position = streams.call("GetShardIterator", request)["ShardIterator"]
        while (page := streams.call("GetRecords", {"ShardIterator": position}))["Records"]:
            for found in page["Records"]:
                if items.event_of_key(found["dynamodb"]["Keys"]) == opened.event_id:
                    yield found
            position = page["NextShardIterator"]
    streams.connection.close()


def test_a_life_is_told_step_by_step(office: Office) -> None:
    """The real stream of what the real functions wrote: each step once, in the order of each item, whoever repeats."""
    opened = office.opens(tickets=1)
    answers = {}
    for user in ("anna", "anna", "ben", "cleo"):
        answers[user] = opened.book(user).json["bookingId"]
    for user in ("cleo", "cleo", "anna"):
        opened.cancels(user)
    opened.promotes()
    opened.promotes()
    again = opened.book("anna").json["bookingId"]
    told = [one for each in records_of(office, items.BOOKINGS, opened) for one in announcements(each)]
    assert [(one.type.value, one.data["userId"], one.data["bookingId"], one.data["generation"]) for one in told] == [
        ("booking.confirmed", "anna", answers["anna"], 1),
        ("waiting.joined", "ben", answers["ben"], 1),
        ("waiting.joined", "cleo", answers["cleo"], 1),
        ("waiting.left", "cleo", answers["cleo"], 1),
        ("booking.cancelled", "anna", answers["anna"], 1),
        ("booking.promoted", "ben", answers["ben"], 1),
        ("waiting.joined", "anna", again, 2),
    ]
    told += [one for each in records_of(office, items.EVENTS, opened) for one in announcements(each)]
    assert [one.id for one in told[-2:]] == [f"event.opened:{opened.event_id}", f"event.sold-out:{opened.event_id}"]
    for one in told:
        schemas.check(one.cloud_event())
    assert not [pair for pair in itertools.combinations([one.id for one in told], 2) if len(set(pair)) == 1]
