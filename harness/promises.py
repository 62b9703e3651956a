"""The promises P1 to P4, P6, O2, O3, H2, H3 and D1 as checks over the tables, run after every test that touches them.

Written against the tables as docs/guarantees.md describes them, with none of the office's own code, so that a
mistake in shared/ cannot hide itself here. P5, P7 and P8 are about histories: the tests that make a history check
them, P5 with `order_violations`.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Item = dict[str, Any]


@dataclass
class Snapshot:
    """Everything that the tables hold of one event. To be taken while nothing moves."""

    event: Item
    lanes: list[Item]
    bookings: list[Item]
    entries: list[Item]
    tail: Item  # of the waiting list: the last place that was handed out, and how many may wait
    note: Item  # to the settler; empty if there never was one

    @classmethod
    def of(cls, event: Item, lanes: list[Item], bookings: list[Item], waiting_list: list[Item]) -> "Snapshot":
        """Tell entries from the list's tail, which hands out the places, and bookings from the note."""
        entries = [one for one in waiting_list if "bookingId" in one]
        [tail] = [one for one in waiting_list if "bookingId" not in one]
        note = next((one for one in bookings if one["laneId"].endswith("#note")), {})
        bookings = [one for one in bookings if one is not note]
        return cls(event, lanes, bookings, sorted(entries, key=lambda one: int(one["sequence"])), tail, note)

    @property
    def confirmed(self) -> set[str]:
        """Return the users whose booking is confirmed."""
        return {one["userId"] for one in self.bookings if one["status"] == "CONFIRMED"}

    @property
    def held(self) -> set[str]:
        """Return the users who hold a ticket that is not confirmed."""
        return {one["userId"] for one in self.bookings if one["status"] == "HELD"}

    @property
    def tickets_owned(self) -> int:
        """Return the number of tickets that are held or confirmed."""
        return sum(one.get("quantity", 1) for one in self.bookings if one["status"] in {"HELD", "CONFIRMED"})

    @property
    def waiting(self) -> list[str]:
        """Return the users who wait, in the order of the list."""
        return [one["userId"] for one in sorted(self.entries, key=lambda one: one["sequence"])]

    @property
    def tickets_left(self) -> int:
        """Return the number of tickets in all lanes."""
        return sum(int(lane["available"]) for lane in self.lanes)


def read(client: Any, event_id: str) -> Snapshot:
    """Read an event from the tables of template.yaml, named as on one machine; consistent, page by page."""
    [event] = _query(client, "EventsTable", "eventId", event_id)
    lanes = [
        lane
        for number in range(event["lanes"])
        for lane in _query(client, "LanesTable", "laneId", f"{event_id}#{number}")
    ]
    bookings = [
        booking
        for part in (*range(event["lanes"]), "note")
        for booking in _query(client, "BookingsTable", "laneId", f"{event_id}#{part}")
    ]
    waiting_list = [
        one
        for part in (*range(event["stripes"]), "tail")
        for one in _query(client, "WaitingListTable", "stripeId", f"{event_id}#{part}")
    ]
    return Snapshot.of(event, lanes, bookings, waiting_list)


def violations(found: Snapshot, *, drained: bool, expired_until: str = "") -> list[str]:
    """List every promise that the tables break; P6, and parts of O2 and O3, only once the streams are `drained`.

    H3 needs to know up to which moment all due holds have been expired.
    """
    always = [*_p1(found), *_p2(found), *_p3(found), *_p4(found), *_o2(found), *_o3(found, drained=drained)]
    always += [*_h3(found, expired_until), *_d1(found)]
    return [*always, *([*_p6(found), *_unfinished(found), *_unread(found)] if drained else [])]


def check(client: Any, event_id: str, *, drained: bool = False) -> Snapshot:
    """Assert that an event keeps every promise; return what the tables hold of it."""
    found = read(client, event_id)
    assert violations(found, drained=drained) == []
    return found


def unlisted(client: Any, found: Snapshot) -> list[str]:
    """List each booking of an event that the index by user does not have once, with the time of its booking."""
    pages = client.get_paginator("scan").paginate(TableName="BookingsTable", IndexName="byUser")
    rows: dict[tuple[str, str], list[str]] = {}
    for row in (plain(item) for page in pages for item in page["Items"]):
        rows.setdefault((row["laneId"], row["userId"]), []).append(row["createdAt"])
    return [
        f"{one['userId']} created at {created_at}, the index has {listed}"
        for one in found.bookings
        if (listed := rows.get((one["laneId"], one["userId"]), []))
        != [created_at := one.get("joinedAt") or one.get("heldAt") or one.get("bookedAt")]
    ]


def _p1(found: Snapshot) -> Iterable[str]:
    """No oversell: free tickets + held and confirmed ones = all tickets of the lanes, and no lane is ever below 0."""
    total = sum(lane["tickets"] for lane in found.lanes)
    if found.tickets_left + found.tickets_owned != total:
        yield f"P1: {found.tickets_left} left + {found.tickets_owned} held or confirmed != {total}"
    for lane in found.lanes:
        if lane["available"] < 0:
            yield f"P1: lane {lane['laneId']} has {lane['available']}"
    if len(found.lanes) != found.event["lanes"]:
        yield f"P1: {len(found.lanes)} lanes of {found.event['lanes']}"


def _p2(found: Snapshot) -> Iterable[str]:
    """One active booking per user: one booking item each, on the home lane, with facts that fit its status (H2)."""
    for user, count in Counter(one["userId"] for one in found.bookings).items():
        if count > 1:
            yield f"P2: {user} has {count} bookings"
    only_if_held, ends = {"expiresAt", "holdShard"}, {"cancelledAt", "expiredAt", "transferredAt"}
    most = found.event["ticketsPerBooking"]
    facts: dict[str, Callable[[set[str]], bool]] = {
        "HELD": lambda has: {"heldAt", *only_if_held} <= has and not {"bookedAt", *ends} & has,
        "CONFIRMED": lambda has: "bookedAt" in has and not (ends | only_if_held) & has,
        "WAITING": lambda has: (
            {"sequence", "joinedAt"} <= has and not {"bookedAt", "heldAt", *ends, *only_if_held} & has
        ),
        "CANCELLED": lambda has: "cancelledAt" in has and not {"expiredAt", "transferredAt", *only_if_held} & has,
        "EXPIRED": lambda has: (
            {"heldAt", "expiredAt"} <= has and not {"bookedAt", "cancelledAt", "transferredAt", *only_if_held} & has
        ),
        "TRANSFERRED": lambda has: (
            {"bookedAt", "transferredAt", "transferredTo", "transferredBy"} <= has
            and not {"cancelledAt", "expiredAt", "checkedInAt", *only_if_held} & has
        ),
    }
    for one in found.bookings:
        if ("checkedInAt" in one) != ("checkedInBy" in one) or ("checkedInAt" in one and "bookedAt" not in one):
            yield f"D1: {one['userId']} is {one['status']} with {sorted(one)}"
        home = zlib.crc32(one["userId"].encode()) % found.event["lanes"]
        if one["laneId"] != f"{found.event['eventId']}#{home}" or one["eventId"] != found.event["eventId"]:
            yield f"P2: {one['userId']} is on lane {one['laneId']}"
        insists = one.get("atLeast", 1)
        is_possible = 1 <= insists <= one["quantity"] <= most and (insists == 1 or one["status"] in _NEVER_OWNED)
        if not facts[one["status"]](set(one)) or one["generation"] < 1 or not is_possible:
            yield f"P2: {one['userId']} is {one['status']} with {sorted(one)}"


def _p3(found: Snapshot) -> Iterable[str]:
    """A WAITING booking has exactly one entry, and the count of those waiting is exact."""
    booked, listed = Counter(map(_place, _waiting(found))), Counter(map(_place, found.entries))
    if booked != listed:
        yield f"P3: waiting without entry {booked - listed}, entries without booking {listed - booked}"
    counted = sum(lane["waiting"] for lane in found.lanes)
    if counted != len(found.entries):
        yield f"P3: {counted} counted, {len(found.entries)} in the list"
    for one in found.entries:
        if one["stripeId"] != f"{found.event['eventId']}#{one['sequence'] % found.event['stripes']}":
            yield f"P3: entry {one['sequence']} lies in {one['stripeId']}"
        if not 1 <= one["sequence"] <= found.tail["lastSequence"]:
            yield f"P3: entry {one['sequence']} beyond the last number drawn, {found.tail['lastSequence']}"


def _p4(found: Snapshot) -> Iterable[str]:
    """No queue jumping: while somebody is in the list every lane is closed, and closed lanes sell nothing.

    Whoever reads that the event is sold out joins the list, so then as well every lane of that sale is closed.
    """
    sales = {one["sale"] for one in (found.event, *found.lanes)}
    if len(sales) > 1:
        yield f"P4: lanes and event are in the sales {sorted(sales)}"
    if "soldOutAt" in found.event and not all("closedAt" in lane for lane in found.lanes):
        yield "P4: an event is sold out, and not all its lanes are closed"
    if found.entries:
        for lane in found.lanes:
            if "closedAt" not in lane:
                yield f"P4: lane {lane['laneId']} is open beside a waiting list of {len(found.entries)}"
        if "soldOutAt" not in found.event:
            yield "P4: a waiting list of an event that is not sold out, which no sweep would find"


def _h3(found: Snapshot, expired_until: str) -> Iterable[str]:
    """No ticket is lost in a hold: no hold is left that was due when holds were last expired."""
    for one in found.bookings:
        if one["status"] == "HELD" and (expires_at := one.get("expiresAt", "")) <= expired_until:
            yield f"H3: the hold of {one['userId']} expired at {expires_at}"


def _d1(found: Snapshot) -> Iterable[str]:
    """Checked in once and counted: the lanes count the tickets of checked-in bookings, which only their event ends."""
    used = [one for one in found.bookings if "checkedInAt" in one]
    counted, tickets = (
        sum(lane.get("checkedIn", 0) for lane in found.lanes),
        sum(one.get("quantity", 1) for one in used),
    )
    if counted != tickets:
        yield f"D1: {counted} tickets counted as checked in, and {tickets} are"
    for one in used:
        if one["status"] != "CONFIRMED" and one.get("cancelledBy") != "event":
            yield f"D1: {one['userId']} was checked in and is {one['status']}"


def _p6(found: Snapshot) -> Iterable[str]:
    """No user is stranded: the head of the list waits for more tickets than are free. Not in a cancelled event."""
    enough = found.entries and found.tickets_left >= found.entries[0].get("atLeast", 1)
    if enough and "cancelledAt" not in found.event:
        yield f"P6: {len(found.entries)} wait beside {found.tickets_left} free tickets"


def _unread(found: Snapshot) -> Iterable[str]:
    """No note is left unread: while there is one, no promoter leaves another."""
    if "askedAt" in found.note:
        yield f"P6: the note of {found.note['askedAt']} is still there"


def _o2(found: Snapshot) -> Iterable[str]:
    """An acknowledged change holds, exactly: the lanes have the event's tickets and its sale window.

    While a change is under way, the lanes' tickets are between the old and the new total, each lane has the old or the
    new window, and the new one only once the tickets are the new total.
    """
    event, total = found.event, sum(lane["tickets"] for lane in found.lanes)
    if total != event["ticketsInLanes"]:
        yield f"O2: {total} tickets on the lanes, which the event counts as {event['ticketsInLanes']}"
    wanted = event["change"] if "requestedAt" in event else event
    least, most = sorted((event["totalTickets"], wanted["totalTickets"]))
    if not least <= total <= most:
        yield f"O2: {total} tickets on the lanes, and {least} to {most} by the event's terms"
    limits = event.get("waitingListLimit"), found.tail.get("waitingListLimit")
    if len(set(limits)) > 1:
        yield f"O2: {limits[0]} may wait by the event, {limits[1]} by its list"
    windows = [_window(event), *([_window(wanted)] if total == wanted["totalTickets"] else [])]
    for lane in found.lanes:
        if _window(lane) not in windows:
            yield f"O2: lane {lane['laneId']} is on sale {_window(lane)}, the event {windows}"


def _unfinished(found: Snapshot) -> Iterable[str]:
    """A change that was requested is done or refused, unless the event was cancelled."""
    if "requestedAt" in found.event and "cancelledAt" not in found.event:
        yield f"O2: the change {found.event['change']} is neither done nor refused"


def _window(of: Item) -> tuple[Any, Any]:
    return of.get("opensAt"), of.get("closesAt")


def _o3(found: Snapshot, *, drained: bool) -> Iterable[str]:
    """Cancelled is cancelled: an event that is emptied, or was cancelled and is `drained`, has no active booking."""
    event = found.event
    active = [one["userId"] for one in found.bookings if one["status"] not in {"CANCELLED", "EXPIRED", "TRANSFERRED"}]
    if active and ("emptiedAt" in event or (drained and "cancelledAt" in event)):
        yield f"O3: {active} have bookings of a cancelled event"
    if "emptiedAt" in event and any("cancelledAt" not in one for one in (event, *found.lanes)):
        yield "O3: an event is emptied that is not cancelled"
    if any("cancelledAt" in lane for lane in found.lanes) and "cancelledAt" not in event:
        yield "O3: a lane is cancelled whose event is not: nobody would empty it"
    if drained and "cancelledAt" in event and "emptiedAt" not in event:
        yield "O3: nobody has emptied a cancelled event"


@dataclass
class Request:
    """One request of a history, with the moments it was sent and answered, on one clock."""

    user: str
    asked_s: float
    answered_s: float
    outcome: str  # CONFIRMED, WAITING, CANCELLED; what the answer said
    facts: dict[str, Any] = field(default_factory=dict)


def order_violations(bookings: Sequence[Request], ticket_at_s: dict[str, float]) -> list[str]:
    """P5: if A was told "waiting" before B asked, A gets a ticket before B.

    `bookings` are the book requests of users who made one booking each and never cancelled; `ticket_at_s` says when
    each of them that has a ticket got it, by the database's order or a clock that does not run backwards.
    """
    broken = []
    waiters = [one for one in bookings if one.outcome == "WAITING"]
    never = float("inf")
    for waiter in waiters:
        got = ticket_at_s.get(waiter.user, never)
        for other in bookings:
            later = other.asked_s > waiter.answered_s and other.user in ticket_at_s
            if later and ticket_at_s[other.user] < got:
                broken.append(f"P5: {other.user} asked after {waiter.user} was told to wait, and got a ticket before")
    return broken


def queue_jumps(changes: Sequence[Item]) -> list[str]:
    """P4: once somebody has joined the waiting list, tickets come from it only.

    `changes` are all states that bookings took, in the database's own order.
    """
    broken, joined, owners = [], False, set()
    for booking in changes:
        joined = joined or booking["status"] == "WAITING"
        if booking["status"] not in {"HELD", "CONFIRMED"} or booking["bookingId"] in owners:
            continue
        owners.add(booking["bookingId"])
        if joined and "sequence" not in booking and "transferredFrom" not in booking:
            broken.append(f"P4: {booking['userId']} got a ticket without a place, after a user had joined the list")
    return broken


_NEVER_OWNED = {"WAITING", "CANCELLED"}  # it may have been cancelled while it waited


def _place(of: Item) -> tuple[Any, ...]:
    return of["userId"], of["sequence"], of["bookingId"], of["quantity"], of.get("atLeast", 1)


def _waiting(found: Snapshot) -> list[Item]:
    return [one for one in found.bookings if one["status"] == "WAITING"]


def _query(client: Any, table: str, key: str, value: str) -> list[Item]:
    request = {
        "TableName": table,
        "KeyConditionExpression": "#key = :value",
        "ExpressionAttributeNames": {"#key": key},
        "ExpressionAttributeValues": {":value": {"S": value}},
        "ConsistentRead": True,
    }
    pages = client.get_paginator("query").paginate(**request)
    return [plain(item) for page in pages for item in page["Items"]]


def entry_key(entry: Item) -> Item:
    """Return the key of an entry that was read."""
    return {"stripeId": {"S": entry["stripeId"]}, "sequence": {"N": str(entry["sequence"])}}


def plain(item: Item) -> Item:
    """Turn DynamoDB's low-level item into plain strings, whole numbers and maps of them."""
    return {name: _plain(value) for name, value in item.items()}


def _plain(value: dict[str, Any]) -> Any:
    if "M" in value:
        return plain(value["M"])
    return int(value["N"]) if "N" in value else value["S"]
