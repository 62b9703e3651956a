"""Lists, one page at a time: a user's bookings, the events, an event's bookings, and an event's waiting list.

A page is not a snapshot, and rows that change between two pages may be on both or on neither. Each row is read strongly
consistent, with its page. The lists that use an index learn a moment late which rows there are.
"""

from typing import Any, Generic, NamedTuple, TypeVar

from shared.booking import waiting_list
from shared.model import LANES_MAX, Booking, Entry, Event, EventNotFound, Position, Standing, Status
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import BATCH_GET_MAX
from shared.store.items import Item

POSITIONS_MAX = 10  # counted for one page: each reads up to POSITION_EXACT_MAX entries of a list
QUERIES_MAX = LANES_MAX  # for one page of an event's bookings: without a status, they fill the page or read all lanes
_ROWS_AT_ONCE = BATCH_GET_MAX // 2  # bookings in one BatchGetItem, each with its event

Row = TypeVar("Row")
Place = TypeVar("Place")

ByTime = tuple[str, str]  # the order of an index: when the row was created, and the id of its lane or event
OnLanes = tuple[int, str]  # a lane's number, and the last user read on it, or ""
InLine = tuple[int, int]  # the last sequence number, and how many entries have been counted so far


class Page(NamedTuple, Generic[Row, Place]):
    """Some rows of a list, and where the next page begins; None on the last page."""

    rows: list[Row]
    next: Place | None


class NamedBooking(NamedTuple):
    """A booking, with its event."""

    event: Event
    standing: Standing


def booking_of_user(user_id: str, event_id: str, deadline: Deadline) -> Page[NamedBooking, ByTime]:
    """Read a user's booking of one event, if there is one, without the index. Raises EventNotFound; TryAgain."""
    found = dynamodb.get_all(deadline, {items.EVENTS: [items.event_key(event_id)]})
    if not found[items.EVENTS]:
        raise EventNotFound(event_id)
    event = items.to_event(found[items.EVENTS][0])
    bookings = dynamodb.get_all(deadline, {items.BOOKINGS: [items.booking_key(event, user_id)]})[items.BOOKINGS]
    return Page([_named(event, items.to_booking(item), deadline) for item in bookings], None)


def bookings_of_user(
    user_id: str, page_size: int, after: ByTime | None, deadline: Deadline
) -> Page[NamedBooking, ByTime]:
    """Read a user's bookings of all events, newest first, with the positions of waiting ones.

    A page ends early rather than have more than POSITIONS_MAX positions. Raises TryAgain.
    """
    request = _by_index(items.BOOKINGS, items.BY_USER_INDEX, "userId", user_id, page_size)
    if after and all(after):  # a forged cursor may have an empty key, which DynamoDB refuses
        request["ExclusiveStartKey"] = items.by_user_key(user_id, *after)
    keys = dynamodb.query(deadline, **request)["Items"]
    rows: list[NamedBooking] = []
    positions, place = 0, after
    for key, event, booking in _bookings(keys[:page_size], deadline):
        positions += booking.status is Status.WAITING
        if positions > POSITIONS_MAX:
            return Page(rows, place)
        rows.append(_named(event, booking, deadline))
        place = (key["createdAt"]["S"], key["laneId"]["S"])
    return Page(rows, place if len(keys) > page_size else None)


def events_opened(page_size: int, after: ByTime | None, deadline: Deadline) -> Page[Event, ByTime]:
    """Read the events, newest first. Raises TryAgain."""
    request = _by_index(items.EVENTS, items.BY_CREATION_INDEX, "kind", items.KIND, page_size)
    if after and all(after):  # as above
        created_at, event_id = after
        request["ExclusiveStartKey"] = items.by_creation_key(event_id, created_at)
    keys = dynamodb.query(deadline, **request)["Items"]
    if not keys:
        return Page([], None)
    found = dynamodb.get_all(deadline, {items.EVENTS: [{"eventId": key["eventId"]} for key in keys[:page_size]]})
    by_id = {event.event_id: event for event in map(items.to_event, found[items.EVENTS])}
    rows = [by_id[key["eventId"]["S"]] for key in keys[:page_size]]
    return Page(rows, (rows[-1].created_at, rows[-1].event_id) if len(keys) > page_size else None)


def bookings_of_event(
    event: Event, status: Status | None, page_size: int, after: OnLanes | None, deadline: Deadline
) -> Page[Booking, OnLanes]:
    """Read an event's bookings, including cancelled ones, lane by lane; with a status, only bookings that have it.

    With a status, any page may be short or empty. Raises TryAgain.
    """
    lane, last_user = after or (0, "")
    rows: list[Booking] = []
    for _ in range(QUERIES_MAX):
        if lane >= event.lanes:
            return Page(rows, None)
        page = dynamodb.query(deadline, **_on_lane(event, lane, last_user, status), Limit=page_size)
        rows += map(items.to_booking, page["Items"])
        if len(rows) > page_size:
            return Page(rows[:page_size], (lane, rows[page_size - 1].user_id))
        last_key = page.get("LastEvaluatedKey")
        lane, last_user = (lane, last_key["userId"]["S"]) if last_key else (lane + 1, "")
        if len(rows) == page_size:
            break
    return Page(rows, (lane, last_user) if lane < event.lanes else None)


def waiting_for(
    event: Event, page_size: int, after: InLine | None, deadline: Deadline
) -> Page[tuple[Entry, Position], InLine]:
    """Read the waiting users in the order of the list, with their positions. Raises TryAgain.

    Positions on the first page are exact. Later pages still count users who have left since their page was read.
    """
    last, counted = after or (0, 0)
    entries = waiting_list.entries_after(event, last, page_size + 1, deadline)
    rows = [
        (entry, Position(position, is_estimate=counted > 0))
        for position, entry in enumerate(entries[:page_size], counted + 1)
    ]
    return Page(rows, (rows[-1][0].sequence, counted + page_size) if len(entries) > page_size else None)


def _by_index(table: str, index: str, key: str, value: str, page_size: int) -> dict[str, Any]:
    """Return the Query for the newest rows of an index: the page, and one more row to tell whether a page follows."""
    request = items.partition(table, key, value) | {
        "IndexName": index,
        "ScanIndexForward": False,
        "Limit": page_size + 1,
    }
    del request["ConsistentRead"]  # an index cannot be read consistently
    return request


def _bookings(keys: list[Item], deadline: Deadline) -> list[tuple[Item, Event, Booking]]:
    """Read the bookings that these keys of the index lead to, and their events, in the order of the keys.

    After a user books again, the index may for a moment have two keys of the booking: the old one and the new one.
    """
    by_lane: dict[str, Item] = {}
    for key in keys:
        by_lane.setdefault(key["laneId"]["S"], key)
    bookings: dict[str, Booking] = {}
    events: dict[str, Event] = {}
    for begin in range(0, len(by_lane), _ROWS_AT_ONCE):
        some = list(by_lane.items())[begin : begin + _ROWS_AT_ONCE]
        wanted = {
            items.BOOKINGS: [{"laneId": key["laneId"], "userId": key["userId"]} for _, key in some],
            items.EVENTS: [items.event_key(items.event_of(lane)) for lane, _ in some],
        }
        found = dynamodb.get_all(deadline, wanted)
        bookings |= {item["laneId"]["S"]: items.to_booking(item) for item in found[items.BOOKINGS]}
        events |= {event.event_id: event for event in map(items.to_event, found[items.EVENTS])}
    return [(key, events[items.event_of(lane)], bookings[lane]) for lane, key in by_lane.items()]


def _named(event: Event, booking: Booking, deadline: Deadline) -> NamedBooking:
    return NamedBooking(event, waiting_list.standing(event, booking, deadline))


def _on_lane(event: Event, lane: int, last_user: str, status: Status | None) -> dict[str, Any]:
    """Return the Query for the bookings on a lane that come after a user."""
    lane_id = items.lane_id(event.event_id, lane)
    request = items.partition(items.BOOKINGS, "laneId", lane_id)
    if last_user:
        request["ExclusiveStartKey"] = {"laneId": items.text(lane_id), "userId": items.text(last_user)}
    if status:
        request["FilterExpression"] = "#status = :status"
        request["ExpressionAttributeNames"] = {"#status": "status"}
        request["ExpressionAttributeValues"][":status"] = items.text(status)
    return request
