"""Notes: an event with several lanes has one settler at a time, and the other promoters only ask for it."""

from typing import Any

import pytest

import functions.follow.app
import functions.promote.app
import functions.sweep.app
from functions.announce.announcements import announcements
from harness.gateway import Context
from harness.meter import metered
from harness.office import Event, Office, clock_ahead
from shared.booking import note
from shared.model import TICKETS_PER_LANE
from shared.store import items
from tests.conftest import LogLines
from tests.protocol import filled

LANES = 2
TICKETS = TICKETS_PER_LANE + 2  # the fewest that are on two lanes, and even
MOMENT = "2026-05-01T18:00:00.000Z"
NO_TIME_S = 5.0  # shared.booking.background's reserve: no time is left for work


@pytest.fixture
def released(office: Office) -> Event:
    """Return an event of two lanes: anna and ben have returned tickets, for which cleo and dora wait."""
    booked = ["anna", "ben", *(f"user-{n}" for n in range(TICKETS - 2))]
    event = Event(filled.sold_out(office.database, LANES, booked, ["cleo", "dora"]).event_id, office.database)
    office.events.append(event)
    for user in ("anna", "ben"):
        event.cancels(user)
    return event


def _records(event: Event, *parts: str, **image: str) -> list[dict[str, Any]]:
    key = {"userId": {"S": "x"}}
    return [
        {
            "dynamodb": {
                "Keys": {"laneId": {"S": f"{event.event_id}#{part}"}, **key},
                "NewImage": {name: items.text(value) for name, value in image.items()},
                "SequenceNumber": str(number),
            }
        }
        for number, part in enumerate(parts)
    ]


def _promote(event: Event, *parts: str, time_left_s: float = 30, **image: str) -> list[str]:
    response = functions.promote.app.handler({"Records": _records(event, *parts, **image)}, Context(time_left_s))
    return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]


def test_a_record_of_a_booking_leaves_a_note_and_settles_nothing(released: Event) -> None:
    """One read and one write; for a promoter that finds the note, one read."""
    with metered() as meter:
        assert _promote(released, "0", "1") == []
    assert (meter.requests, meter.read_units, meter.write_units) == (["BatchGetItem", "UpdateItem"], 2, 1)
    with metered() as meter:
        assert _promote(released, "1") == []
    assert (meter.requests, meter.read_units, meter.write_units) == (["BatchGetItem"], 2, 0)
    assert released.check().waiting == ["cleo", "dora"]


def test_an_event_on_sale_needs_no_note(office: Office) -> None:
    """A cancellation during the sale costs one read: of the event, and of the note that is not there."""
    event = office.opens(tickets=TICKETS)
    event.books("anna")
    event.cancels("anna")
    with metered() as meter:
        assert _promote(event, "0") == []
    assert (meter.requests, meter.read_units, meter.write_units) == (["BatchGetItem"], 2, 0)


def test_the_record_of_the_note_clears_it_and_then_settles(released: Event) -> None:
    """P6: in this order. Records of bookings in the same batch leave no other note."""
    assert _promote(released, "0") == []
    with metered() as meter:
        assert _promote(released, "1", "note", "0") == []
    read = ["BatchGetItem"] * 2  # the event with the end of its list, then the lanes
    assert meter.requests == ["UpdateItem", *read, "Query", "TransactWriteItems", *read]
    assert {"cleo", "dora"} <= released.check(drained=True).confirmed


def test_the_record_of_a_note_that_is_gone_settles_as_well(released: Event) -> None:
    """P6, P8: a settler that died after it had cleared the note gets the record again."""
    released.promotes()
    released.cancels("cleo")
    released.books("emil")
    assert not released.has_note
    assert _promote(released, "note") == []
    assert "emil" in released.check(drained=True).confirmed


def test_a_note_that_could_not_be_left_or_cleared_in_time_fails_its_record(released: Event) -> None:
    """P6: Lambda repeats the record."""
    assert _promote(released, "0", time_left_s=NO_TIME_S) == ["0"]
    assert _promote(released, "0") == []
    assert _promote(released, "note", time_left_s=NO_TIME_S) == ["0"]
    assert released.has_note


def test_an_old_note_is_written_anew(released: Event) -> None:
    """Its record may have been lost. The new one has a record, too."""
    assert _promote(released, "0") == []
    asked_at = released.check().note["askedAt"]
    with clock_ahead(note.STALE_S - 5):
        assert _promote(released, "0") == []
    assert released.check().note["askedAt"] == asked_at
    with clock_ahead(note.STALE_S + 1):
        assert _promote(released, "0") == []
    assert released.check().note["askedAt"] > asked_at


def test_the_note_takes_the_oldest_release_to_the_settler(released: Event, log_lines: LogLines) -> None:
    """So the latency of a promotion includes the time until its settler comes."""
    moments = ["2026-05-01T18:00:01.000Z", "2026-05-01T18:00:00.000Z"]
    records = [one for moment in moments for one in _records(released, "0", cancelledAt=moment)]
    assert functions.promote.app.handler({"Records": records}, Context()) == {"batchItemFailures": []}
    released_at = released.check().note["releasedAt"]
    assert released_at == moments[1]
    assert _promote(released, "note", releasedAt=released_at) == []
    assert ["PromotionLatency" in line for line in log_lines() if "BookingPromoted" in line] == [True, False]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"status": "HELD", "reducedAt": MOMENT}, {"status": "CONFIRMED", "reducedAt": MOMENT}),
        ({"status": "WAITING", "atLeast": "2"}, {"status": "CANCELLED", "cancelledAt": MOMENT}),
        ({"status": "WAITING"}, {"status": "WAITING", "reducedAt": MOMENT}),
    ],
)
def test_a_record_that_released_no_ticket_has_no_moment(
    released: Event, before: dict[str, str], after: dict[str, str]
) -> None:
    """Otherwise the promotions that follow would seem to have taken days."""
    [record] = _records(released, "0", **after)
    record["dynamodb"]["OldImage"] = {name: items.text(value) for name, value in before.items()}
    assert functions.promote.app.handler({"Records": [record]}, Context()) == {"batchItemFailures": []}
    assert "releasedAt" not in released.check().note


def test_what_follows_a_change_asks_for_the_settler(released: Event) -> None:
    """Otherwise it would be a second one."""
    change = {"dynamodb": {"Keys": {"eventId": {"S": released.event_id}}, "SequenceNumber": "1"}}
    assert functions.follow.app.handler({"Records": [change]}, Context(900)) == {"batchItemFailures": []}
    assert released.has_note
    assert released.check().waiting == ["cleo", "dora"]


def test_an_event_with_one_lane_has_no_note(office: Office) -> None:
    """All its records come from one shard."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben"):
        event.books(user)
    event.cancels("anna")
    with metered() as meter:
        assert _promote(event, "0") == []
    assert meter.requests[0] == "BatchGetItem"
    event.follows()
    assert event.check(drained=True).note == {}


def test_a_note_is_no_booking(released: Event) -> None:
    """It is not announced, and no index or list shows it."""
    assert _promote(released, "0") == []
    [item] = released.database.query(
        TableName=items.BOOKINGS,
        KeyConditionExpression="laneId = :note",
        ExpressionAttributeValues={":note": items.text(f"{released.event_id}#note")},
    )["Items"]
    keys = {name: item[name] for name in ("laneId", "userId")}
    assert announcements({"dynamodb": {"Keys": keys, "NewImage": item}}) == []
    assert item.keys() == {"laneId", "userId", "askedAt"}
    assert "note" not in {one["userId"] for one in released.bookings().json["bookings"]}
