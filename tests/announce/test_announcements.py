"""Which stream records announce something, and what."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from functions.announce.announcements import Type, announcements
from harness.office import Event, Office, clock_ahead
from local.database import Database
from local.feeder import STREAMS
from shared.model import DamagedItem
from shared.store import items
from tests.announce import schemas

TIMES = {"bookedAt": "2026-05-01T18:00:00.000Z", "joinedAt": "2026-05-01T18:00:01.000Z"}
LATER = {
    "promotedAt": "2026-05-01T18:00:02.000Z",
    "heldAt": "2026-05-01T18:00:02.000Z",
    "expiresAt": "2026-05-01T18:10:02.000Z",
    "cancelledAt": "2026-05-01T18:00:03.000Z",
    "expiredAt": "2026-05-01T18:11:00.000Z",
    "transferredAt": "2026-05-01T18:12:00.000Z",
    "reducedAt": "2026-05-01T18:00:02.500Z",
}
MORE = {
    "cancelledBy": "shop",
    "reducedBy": "shop",
    "reference": "payment-1",
    "transferredBy": "shop",
    "transferredTo": "b",
    "transferredFrom": "c",
}
CHECKED_IN = {"checkedInAt": "2026-05-01T20:00:00.000Z", "checkedInBy": "door"}
HOLD_S = 600

Image = dict[str, Any]


def booking(status: str, generation: int = 1, quantity: int = 3, *, used: bool = False) -> Image:
    """Return the image of a user's booking with this generation, with everything that may have happened to it."""
    item = {"laneId": "e#0", "userId": "anna", "eventId": "e", "bookingId": f"b-{generation}", "status": status}
    texts = {name: {"S": value} for name, value in (item | TIMES | LATER | MORE | (CHECKED_IN if used else {})).items()}
    numbers = {"generation": generation, "sequence": 7, "quantity": quantity, "atLeast": 2}
    return texts | {name: {"N": str(value)} for name, value in numbers.items()}


def event(**more: str) -> Image:
    """Return the image of an event."""
    numbers = {"totalTickets": 5, "ticketsInLanes": 5, "lanes": 1, "stripes": 1, "revision": 0, "steps": 0, "sale": 1}
    texts = {"eventId": "e", "name": "Concert", "createdAt": "2026-05-01T17:00:00.000Z", "requestFingerprint": "f"}
    item = {name: {"S": value} for name, value in (texts | more).items()}
    return item | {name: {"N": str(value)} for name, value in numbers.items()}


REQUESTED = {
    "requestedAt": {"S": "2026-05-01T18:00:00.000Z"},
    "change": {"M": {"number": {"N": "0"}, "name": {"S": "Concert"}, "totalTickets": {"N": "4"}}},
    "steps": {"N": "1"},
}


SECOND_SALE = {"sale": {"N": "2"}}


def record(old: Image | None, new: Image | None, table: str = "Bookings") -> dict[str, Any]:
    """Return the record of a change."""
    keys = {"laneId": {"S": "e#0"}, "userId": {"S": "anna"}} if table == "Bookings" else {"eventId": {"S": "e"}}
    images = {name: image for name, image in (("OldImage", old), ("NewImage", new)) if image}
    return {"dynamodb": {"Keys": keys, "ApproximateCreationDateTime": 1777658401.5, "SequenceNumber": "1", **images}}


@pytest.mark.parametrize(
    ("old", "new", "announced"),
    [
        (None, booking("CONFIRMED"), "booking.confirmed:b-1"),
        (None, booking("WAITING"), "waiting.joined:b-1"),
        (None, booking("HELD"), "booking.held:b-1"),
        (booking("WAITING"), booking("CONFIRMED"), "booking.confirmed:b-1"),
        (booking("WAITING"), booking("HELD"), "booking.offered:b-1"),
        (booking("HELD"), booking("CONFIRMED"), "booking.confirmed:b-1"),
        (booking("HELD"), booking("EXPIRED"), "booking.expired:b-1"),
        (booking("HELD"), booking("CANCELLED"), "booking.cancelled:b-1"),
        (booking("CONFIRMED"), booking("CANCELLED"), "booking.cancelled:b-1"),
        (booking("WAITING"), booking("CANCELLED"), "waiting.left:b-1"),
        (booking("CONFIRMED"), booking("CONFIRMED", used=True), "booking.checked-in:b-1"),
        (booking("CONFIRMED"), booking("TRANSFERRED"), "booking.transferred:b-1"),
        (booking("TRANSFERRED"), booking("HELD", generation=2), "booking.held:b-2"),
        (booking("CONFIRMED", used=True), booking("CANCELLED", used=True), "booking.cancelled:b-1"),
        (booking("HELD"), booking("HELD", quantity=2), "booking.reduced:b-1:2"),
        (booking("CONFIRMED"), booking("CONFIRMED", quantity=1), "booking.reduced:b-1:1"),
        (booking("WAITING"), booking("WAITING", quantity=2), "waiting.reduced:b-1:2"),
        (booking("WAITING"), booking("CONFIRMED", quantity=2), "booking.confirmed:b-1"),
        # A user who books again replaces the booking.
        (booking("CANCELLED"), booking("CONFIRMED", generation=2), "booking.confirmed:b-2"),
        (booking("CANCELLED"), booking("WAITING", generation=2), "waiting.joined:b-2"),
        (booking("EXPIRED"), booking("HELD", generation=2), "booking.held:b-2"),
        (booking("CANCELLED"), booking("HELD", generation=2, quantity=1), "booking.held:b-2"),
        # Nothing happens to a user.
        (booking("CONFIRMED"), booking("CONFIRMED"), None),
        (booking("HELD"), booking("HELD"), None),
        (booking("EXPIRED"), booking("EXPIRED"), None),
        (booking("WAITING"), booking("WAITING") | {"createdAt": {"S": "x"}}, None),
        (booking("CANCELLED"), booking("CANCELLED"), None),
        (booking("CANCELLED"), None, None),
        (booking("CONFIRMED"), None, None),
    ],
)
def test_a_changed_booking_announces_one_step_or_none(
    old: Image | None, new: Image | None, announced: str | None
) -> None:
    """The bookingId tells whether it is still the same booking."""
    assert [one.id for one in announcements(record(old, new))] == ([announced] if announced else [])


@pytest.mark.parametrize(
    ("old", "new", "announced"),
    [
        (None, event(), ["event.opened:e"]),
        (event(), event(soldOutAt="t"), ["event.sold-out:e:1"]),
        (event(soldOutAt="t"), event() | SECOND_SALE, ["event.back-on-sale:e:2"]),
        (event() | SECOND_SALE, event(soldOutAt="t") | SECOND_SALE, ["event.sold-out:e:2"]),
        (event(soldOutAt="t"), event(soldOutAt="t", cancelledAt="t"), ["event.cancelled:e"]),
        (event(), event() | {"revision": {"N": "1"}}, ["event.changed:e:1"]),
        (event(), event() | REQUESTED, []),
        (event() | REQUESTED, event() | REQUESTED | {"steps": {"N": "2"}, "refusals": {"M": {"0": {"N": "5"}}}}, []),
        (event() | {"revision": {"N": "1"}}, event() | {"revision": {"N": "2"}}, ["event.changed:e:2"]),
        (event(), event(emptiedAt="t"), []),
        (event(), None, []),
    ],
)
def test_a_changed_event_announces_each_step_once(old: Image | None, new: Image | None, announced: list[str]) -> None:
    """Each change by an organiser has its own id, and so has each sale; every other step happens once."""
    assert [one.id for one in announcements(record(old, new, "Events"))] == announced


@pytest.mark.parametrize("limit", [None, 3])
def test_a_changed_event_is_announced_as_it_is_now(limit: int | None) -> None:
    """With its window and limit, if it has them, and with the moment of the record."""
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
def test_a_record_with_missing_or_damaged_attributes_cannot_be_read(damage: Image) -> None:
    """An incomplete announcement would be worse."""
    new = {name: value for name, value in (booking("CONFIRMED") | damage).items() if value}
    with pytest.raises((DamagedItem, KeyError)):
        announcements(record(None, new))


def test_an_event_with_a_damaged_attribute_cannot_be_read() -> None:
    """For example, a number that is stored as text."""
    with pytest.raises(DamagedItem):
        announcements(record(None, event() | {"totalTickets": {"S": "5"}}, "Events"))


def test_the_data_of_every_type_match_its_schema() -> None:
    """Every schema belongs to a type. Data that change need a changed schema."""
    rules = {"holdSeconds": {"N": "600"}, "offerSeconds": {"N": "3600"}, "ticketsPerBooking": {"N": "6"}}
    changes = [
        record(None, booking("CONFIRMED")),
        record(None, booking("WAITING")),
        record(None, booking("HELD")),
        record(booking("WAITING"), booking("HELD")),
        record(booking("HELD"), booking("EXPIRED")),
        record(booking("CONFIRMED"), booking("CANCELLED")),
        record(booking("WAITING"), booking("CANCELLED")),
        record(booking("CONFIRMED"), booking("CONFIRMED", used=True)),
        record(booking("CONFIRMED"), booking("TRANSFERRED")),
        record(booking("HELD"), booking("HELD", quantity=2)),
        record(booking("WAITING"), booking("WAITING", quantity=2)),
        record(None, event(confirmedBy="buyer") | rules, "Events"),
        record(event(), event(**TIMES, opensAt=TIMES["bookedAt"]) | {"revision": {"N": "1"}}, "Events"),
        record(event(), event(soldOutAt=TIMES["bookedAt"]), "Events"),
        record(event(soldOutAt=TIMES["bookedAt"]), event() | SECOND_SALE, "Events"),
        record(event(), event(cancelledAt=TIMES["bookedAt"]), "Events"),
    ]
    found = [one.cloud_event() for each in changes for one in announcements(each)]
    assert {one["type"] for one in found} == set(Type)
    assert {one["dataschema"] for one in found} == schemas.published().keys()
    for one in found:
        schemas.check(one)


def records_of(office: Office, table: str, opened: Event) -> Iterator[dict[str, Any]]:
    """Yield the records that a table's stream has of an event, in order."""
    streams = Database.embedded(office.database.meta.endpoint_url).aws_client(STREAMS)
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


def test_each_step_of_a_booking_is_announced_once(office: Office) -> None:
    """From the real stream after real requests: in order for each item, even if requests are repeated."""
    opened = office.opens(tickets=1)
    booking_ids = {}
    for user in ("anna", "anna", "ben", "cleo"):
        booking_ids[user] = opened.book(user).json["bookingId"]
    for user in ("cleo", "cleo", "anna"):
        opened.cancels(user)
    opened.promotes()
    opened.promotes()
    again = opened.book("anna").json["bookingId"]
    announced = [one for each in records_of(office, items.BOOKINGS, opened) for one in announcements(each)]
    assert [
        (one.type.value, one.data["userId"], one.data["bookingId"], one.data["generation"]) for one in announced
    ] == [
        ("booking.confirmed", "anna", booking_ids["anna"], 1),
        ("waiting.joined", "ben", booking_ids["ben"], 1),
        ("waiting.joined", "cleo", booking_ids["cleo"], 1),
        ("waiting.left", "cleo", booking_ids["cleo"], 1),
        ("booking.cancelled", "anna", booking_ids["anna"], 1),
        ("booking.confirmed", "ben", booking_ids["ben"], 1),
        ("waiting.joined", "anna", again, 2),
    ]
    announced += [one for each in records_of(office, items.EVENTS, opened) for one in announcements(each)]
    assert [one.id for one in announced[-2:]] == [
        f"event.opened:{opened.event_id}",
        f"event.sold-out:{opened.event_id}:1",
    ]
    for one in announced:
        schemas.check(one.cloud_event())
    assert not [pair for pair in itertools.combinations([one.id for one in announced], 2) if len(set(pair)) == 1]


def told(office: Office, opened: Event) -> list[tuple[str, Any, dict[str, Any]]]:
    """Return what is announced of an event's bookings: type, user and data. Each matches its schema."""
    found = [one for each in records_of(office, items.BOOKINGS, opened) for one in announcements(each)]
    for one in found:
        schemas.check(one.cloud_event())
    return [(one.type.value, one.data["userId"], dict(one.data)) for one in found]


def test_each_step_of_a_hold_is_announced_with_its_times(office: Office) -> None:
    """A hold that expires, the offer that follows, its confirmation with a reference, and its return."""
    opened = office.opens(tickets=1, holdSeconds=HOLD_S)
    opened.books("anna")
    opened.books("ben")
    with clock_ahead(HOLD_S + 5):
        opened.expires()
        opened.promotes()
        booking_id = opened.status("ben").json["booking"]["bookingId"]
        opened.confirm("ben", booking_id, reference="payment-1")
        opened.cancels("ben")
    held, _, expired, offered, confirmed, cancelled = (data for _, _, data in told(office, opened))
    assert [one[:2] for one in told(office, opened)] == [
        ("booking.held", "anna"),
        ("waiting.joined", "ben"),
        ("booking.expired", "anna"),
        ("booking.offered", "ben"),
        ("booking.confirmed", "ben"),
        ("booking.cancelled", "ben"),
    ]
    assert held["expiresAt"] < expired["expiredAt"] < offered["expiresAt"]
    assert "promotedAt" not in expired
    assert offered["heldAt"] == offered["promotedAt"] == confirmed["promotedAt"]
    assert (confirmed["reference"], cancelled["reference"], cancelled["by"]) == ("payment-1", "payment-1", "buyer")


@pytest.mark.parametrize(("rules", "type_"), [({}, "booking.confirmed"), ({"holdSeconds": HOLD_S}, "booking.held")])
def test_a_user_who_gets_a_ticket_at_once_is_never_announced_as_waiting(
    office: Office, rules: dict[str, Any], type_: str
) -> None:
    """The bus agrees with the response: 201, although the event had sold out before."""
    opened = office.opens(tickets=1, **rules)
    for user in ("anna", "ben"):
        opened.books(user)
    for user in ("ben", "anna"):
        opened.cancels(user)
    assert opened.books("cleo") == 201
    assert [(type_, user) for type_, user, _ in told(office, opened) if user == "cleo"] == [(type_, "cleo")]
    assert opened.check(drained=True).tickets_left == 0


def test_each_reduction_is_announced_with_what_is_kept(office: Office) -> None:
    """Once for each, whatever is repeated; and a promotion to fewer tickets is none."""
    opened = office.opens(tickets=6, ticketsPerBooking=6)
    opened.book("anna", quantity=6)
    opened.book("ben", quantity=5, atLeast=2)
    for keep in (4, 4, 3):
        opened.cancel("ben", keep=keep)
        opened.cancel("anna", keep=keep)
    opened.promotes()
    quantities = [(type_, user, data["quantity"]) for type_, user, data in told(office, opened)]
    assert quantities == [
        ("booking.confirmed", "anna", 6),
        ("waiting.joined", "ben", 5),
        ("waiting.reduced", "ben", 4),
        ("booking.reduced", "anna", 4),
        ("waiting.reduced", "ben", 3),
        ("booking.reduced", "anna", 3),
        ("booking.confirmed", "ben", 3),
    ]


def test_each_sale_of_an_event_is_announced(office: Office) -> None:
    """It sells out, is back on sale with more tickets, and sells out again."""
    opened = office.opens(tickets=1)
    opened.books("anna")
    opened.books("ben")
    opened.cancels("ben")
    opened.changes(totalTickets=2)
    opened.books("cleo")
    opened.books("dora")
    announced = [one for each in records_of(office, items.EVENTS, opened) for one in announcements(each)]
    for one in announced:
        schemas.check(one.cloud_event())
    steps = [(one.type.value, one.data["sale"]) for one in announced if "sale" in one.data]
    assert steps == [("event.sold-out", 1), ("event.back-on-sale", 2), ("event.sold-out", 2)]


def test_a_cancelled_event_announces_its_bookings_as_cancelled_by_the_event(office: Office) -> None:
    """Waiting users, too: they did not leave by themselves."""
    opened = office.opens(tickets=1)
    for user in ("anna", "ben"):
        opened.books(user)
    opened.cancels_event()
    opened.follows()
    ended = {(type_, user): data["by"] for type_, user, data in told(office, opened) if "cancelledAt" in data}
    assert ended == {("booking.cancelled", "anna"): "event", ("waiting.left", "ben"): "event"}
