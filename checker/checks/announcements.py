"""Announcements: every change is announced, and nothing else (docs/events.md)."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from checker.checks.story import ENDED, FIELDS, MOMENTS, OWNING, Rules, Sighting, Story, Violation

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"
ENDS = {"booking.cancelled", "booking.expired", "booking.transferred", "waiting.left"}
SHOWS = {  # the last announcement of a booking with this status
    "HELD": {"booking.held", "booking.offered"},
    "CONFIRMED": {"booking.confirmed"},
    "WAITING": {"waiting.joined"},
    "CANCELLED": {"booking.cancelled", "waiting.left"},
    "EXPIRED": {"booking.expired"},
    "TRANSFERRED": {"booking.transferred"},
}
REDUCED = {"booking.reduced": OWNING, "waiting.reduced": {"WAITING"}}  # and the status of the booking then
ACTORS = {  # what the `by` of an announcement is called in responses
    "booking.cancelled": "cancelledBy",
    "waiting.left": "cancelledBy",
    "booking.reduced": "reducedBy",
    "waiting.reduced": "reducedBy",
    "booking.transferred": "transferredBy",
    "booking.checked-in": "checkedInBy",
}
Told = dict[str, Any]


@cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((SCHEMAS / f"{kind}.1.json").read_text(encoding="utf-8")))


def check_stream(story: Story) -> Iterator[Violation]:
    """The stream is well formed and the same each time, and a client that reconnects with a place misses nothing."""
    by_id: dict[str, Told] = {}
    bad: dict[str, Violation] = {}
    for told in story.told(at_rest=False) + story.told(at_rest=True):
        if "bad" in told:
            bad[told["place"]] = Violation("stream", "", f"no announcement: {told['bad']}")
            continue
        detail = told["detail"]
        first = by_id.setdefault(detail["id"], detail)
        if first["data"] != detail["data"]:
            yield Violation("stream", detail["subject"], f"told twice, and differently: {first} and {detail}")
    for detail in by_id.values():
        try:
            _validator(detail["type"]).validate(detail["data"])
        except (jsonschema.ValidationError, OSError) as error:
            yield Violation("stream", detail["subject"], f"{detail['type']} is not by its schema: {error}")
    yield from bad.values()
    live = {told["detail"]["id"] for told in story.told(at_rest=False) if "bad" not in told}
    missed = set(story.announced) - live
    if live and missed:
        yield Violation("stream", "", f"a listener that came back missed {sorted(missed)[:5]}")
    lost = live - set(story.announced)
    if story.announced and lost:
        yield Violation("stream", "", f"the stream told and no longer tells {sorted(lost)[:5]}")


def check_announced(story: Story) -> Iterator[Violation]:
    """Each booking and event at rest has the announcements of its changes, and no other."""
    if not story.of("listen") or not any(one.at_rest for one in story.of("listen")):
        return
    by_event: dict[str, list[Told]] = defaultdict(list)
    for told in story.announced.values():
        by_event[told["data"].get("eventId", "")].append(told)
    unasked = [event for event in by_event if event not in story.opened]
    opened = [one for one in story.of("initialize") if one.is_open]
    if len(unasked) > len(opened):
        yield Violation("announced", "", f"announced are {unasked}, which were not opened")
    for event in story.opened:
        if story.last_status(event) is None or not story.at_rest("event-bookings", event):
            continue
        for judged in (_of_event, _of_sales, _of_changes, _of_bookings):
            yield from (Violation("announced", event, text) for text in judged(story, event, by_event[event]))


def _of_event(story: Story, event: str, told: list[Told]) -> list[str]:
    """`event.opened` and `event.cancelled` are announced exactly if they happened."""
    status = story.last_status(event) or {}
    facts = {"event.opened": True, "event.cancelled": "cancelledAt" in status}
    kinds = {one["type"] for one in told}
    return [
        f"{kind} is {'not ' if happened else ''}announced, and the event is {status}"
        for kind, happened in facts.items()
        if (kind in kinds) != happened
    ]


def _of_sales(story: Story, event: str, told: list[Told]) -> Iterator[str]:
    """Each end of a sale is announced once, and each new sale: in turn, up to the one of the event at rest."""
    ends = [one["data"]["soldOutAt"] for one in told if one["type"] == "event.sold-out"]
    ended, begun = (
        sorted(one["data"]["sale"] for one in told if one["type"] == kind)
        for kind in ("event.sold-out", "event.back-on-sale")
    )
    shown = {row["soldOutAt"] for row in _events_shown(story, event) if row.get("soldOutAt")}
    last = (story.last_status(event) or {}).get("soldOutAt")
    if ended != list(range(1, len(ended) + 1)) or begun != list(range(2, len(begun) + 2)):
        yield f"ends of the sales {ended} are announced, and the begins of {begun}"
    if shown - set(ends):
        yield f"sold out at {sorted(shown - set(ends))}, and announced is {sorted(ends)}"
    if len(ended) - len(begun) != (last is not None):
        yield f"ends of the sales {ended} are announced, and the begins of {begun}; at rest soldOutAt is {last}"


def _events_shown(story: Story, event: str) -> list[Told]:
    """Return the event as responses showed it."""
    rows = [one.response for one in story.of("status", event) if one.is_done]
    return rows + [
        row for page in story.of("events") if page.is_done for row in page.response["events"] if row["eventId"] == event
    ]


def _of_changes(story: Story, event: str, told: list[Told]) -> Iterator[str]:
    """Each acknowledged change is announced, a refused one is not, and the last one matches the event."""
    changes = sorted((one for one in told if one["type"] == "event.changed"), key=lambda one: one["data"]["revision"])
    asked = [one for one in story.of("change", event) if not one.is_refused]
    if len(changes) > len(asked):
        yield f"{len(changes)} changes are announced, where at most {len(asked)} were not refused"
    for name in FIELDS:
        allowed = story.possible(event, name, -math.inf, math.inf, refused=False)
        shown = [one["data"].get(name) for one in changes]
        strange = [value for value in shown if value not in allowed]
        if strange:
            yield f"changes with {name} {strange[:5]} are announced, where no such change was made"
        for one in asked:
            known = [story.opened[event].body.get(name), *shown]
            if one.is_done and name in one.body and one.body[name] not in known:
                yield f"the change of {name} to {one.body[name]!r} is not announced"
    status = story.last_status(event) or {}
    if changes and "cancelledAt" not in status:
        last = {name: changes[-1]["data"].get(name) for name in FIELDS}
        now = {name: status.get(name) for name in FIELDS}
        if last != now:
            yield f"the last change announced is {last}, and the event is {now}"


def _of_bookings(story: Story, event: str, told: list[Told]) -> Iterator[str]:
    """Each user's bookings are announced step by step; the last one matches the booking at rest."""
    yield from _lost_transfers(told)
    by_user: dict[str, dict[str, dict[str, Told]]] = defaultdict(lambda: defaultdict(dict))
    reduced: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for one in told:
        data = one["data"]
        if one["type"] in REDUCED:
            reduced[data["userId"], data["bookingId"]].append(one)
        elif "bookingId" in data:
            by_user[data["userId"]][data["bookingId"]][one["type"]] = data
    rows = {row["userId"]: row for row in story.last_rows(event)}
    for user in by_user.keys() | rows.keys():
        yield from [f"{user}: {text}" for text in _of_user(story, event, user, by_user[user], rows.get(user))]
    for (user, booking), tellings in reduced.items():
        yield from [f"{user}: {text}" for text in _invented(story, event, by_user[user][booking], tellings)]
    for booking, seen in story.bookings_of(event):
        user = seen[0].user
        yield from _quantities(by_user[user].get(booking, {}), reduced[user, booking], seen)
    announced = {booking for bookings in by_user.values() for booking in bookings}
    for booking, seen in story.bookings_of(event):
        if booking not in announced:
            yield f"{seen[0].user}: {booking} is not announced"


def _lost_transfers(told: list[Told]) -> Iterator[str]:
    """Judge transfers: for each booking that was given away, another user got one with as many tickets (T1)."""
    given = Counter(
        (one["data"]["userId"], one["data"]["transferredTo"], one["data"]["quantity"])
        for one in told
        if one["type"] == "booking.transferred"
    )
    got = Counter(
        (one["data"]["transferredFrom"], one["data"]["userId"], one["data"]["quantity"])
        for one in told
        if "transferredFrom" in one["data"]
    )
    for user, to, quantity in given.keys() | got.keys():
        gave, has = given[user, to, quantity], got[user, to, quantity]
        if gave != has:
            yield f"{user} gave {gave} bookings with {quantity} tickets to {to}, who got {has}"


def _of_user(story: Story, event: str, user: str, bookings: dict[str, dict[str, Told]], row: Told | None) -> list[str]:
    found = []
    order = sorted(bookings, key=lambda booking: min(data["generation"] for data in bookings[booking].values()))
    claims = [sorted({data["generation"] for data in bookings[booking].values()}) for booking in order]
    if claims != [[number] for number in range(1, len(order) + 1)]:
        found.append(f"bookings are announced with the numbers {claims}")
    unanswered = sum(one.is_open for one in story.by_user[event, user] if one.op != "confirm")
    given = {booking for booking in order if "transferredFrom" in bookings[booking].get("booking.confirmed", {})}
    unseen = [booking for booking in order if (event, booking) not in story.sightings and booking not in given]
    if len(unseen) > unanswered:
        found.append(f"{unseen} are announced, where {unanswered} requests to book or cancel were not answered")
    for booking in order:
        kinds = set(bookings[booking])
        if kinds not in chains(Rules(None, None, None) if booking in given else story.rules(event)):
            found.append(f"{booking} is announced as {sorted(kinds)}")
        found += _wrong_actors(story, event, user, bookings[booking])
        if booking != order[-1] and not kinds & ENDS:
            found.append(f"the end of {booking} is not announced, and there is a later booking")
        for seen in story.sightings.get((event, booking), []):
            found += _differences(bookings[booking], seen)
    if row is None or not order or order[-1] != row["bookingId"]:
        found.append(f"the last booking announced is {order[-1:]}, and at rest it is {row and row['bookingId']}")
    elif ("booking.checked-in" in bookings[order[-1]]) != bool(row["checkedInAt"]):
        found.append(
            f"announced is {sorted(bookings[order[-1]])}, and at rest it was checked in at {row['checkedInAt']}"
        )
    elif not _is_last(set(bookings[order[-1]]) - {"booking.checked-in"}, row["status"]):
        found.append(f"announced is {sorted(bookings[order[-1]])}, and at rest the booking is {row['status']}")
    return sorted(set(found))


def _invented(story: Story, event: str, steps: dict[str, Told], reduced: list[Told]) -> Iterator[str]:
    """Judge what is announced of a booking with fewer tickets: each was asked for, and once for each number."""
    for kind, statuses in REDUCED.items():
        told = [one["data"] for one in reduced if one["type"] == kind]
        numbers = [data["quantity"] for data in told]
        if len(set(numbers)) < len(numbers):
            yield f"{kind} is announced several times with the same number: {told}"
        if told and not steps.keys() & set().union(*(SHOWS[status] for status in statuses)):
            yield f"{kind} is announced, and of the booking only {sorted(steps)}"
        for data in told:
            asked = [one for one in story.by_user[event, data["userId"]] if one.op == "cancel" and not one.is_refused]
            if data["quantity"] not in {one.body.get("keep") for one in asked}:
                yield f"{kind} was announced, but no request asked for it: {data}"


def _quantities(steps: dict[str, Told], reduced: list[Told], seen: list[Sighting]) -> Iterator[str]:
    """Compare the number of tickets that responses show with those announced while the booking had that status."""
    for status in ("WAITING", "HELD", "CONFIRMED", *ENDED):
        shown = {one.quantity for one in seen if one.status == status}
        kinds = SHOWS["HELD"] | SHOWS["CONFIRMED"] if status in OWNING else SHOWS[status]
        told = {data["quantity"] for kind, data in steps.items() if kind in kinds}
        told |= {one["data"]["quantity"] for one in reduced if status in REDUCED[one["type"]]}
        if shown - told:
            yield f"{seen[0].booking} was {status} with {sorted(shown)} tickets, and announced is {sorted(told)}"


@cache
def chains(rules: Rules) -> frozenset[frozenset[str]]:
    """Return all that may be announced of one booking, by the steps that docs/events.md allows."""
    held = {"booking.confirmed", "booking.expired", "booking.cancelled"}
    after = {
        "": {"booking.held" if rules.hold_s else "booking.confirmed", "waiting.joined"},
        "waiting.joined": {"booking.offered" if rules.offer_s else "booking.confirmed", "waiting.left"},
        "booking.held": held,
        "booking.offered": held,
        "booking.confirmed": {"booking.checked-in", "booking.transferred", "booking.cancelled"},
        "booking.checked-in": {"booking.cancelled"},
    }
    found: set[frozenset[str]] = set()
    pending = [("", frozenset[str]())]
    while pending:
        last, steps = pending.pop()
        for step in after.get(last, set()):
            found.add(steps | {step})
            pending.append((step, steps | {step}))
    return frozenset(found)


def _is_last(kinds: set[str], status: str) -> bool:
    """Tell whether the last of these announcements is the one of that status."""
    later = {"WAITING": set(), "HELD": SHOWS["WAITING"], "CONFIRMED": SHOWS["HELD"] | SHOWS["WAITING"]}
    allowed = later.get(status, kinds)
    return bool(kinds & SHOWS[status]) and kinds <= allowed | SHOWS[status]


def _wrong_actors(story: Story, event: str, user: str, told: dict[str, Told]) -> Iterator[str]:
    """Judge who acted: without tokens the buyer cancels and asks for fewer, or the event ends; the door checks in."""
    for kind, data in told.items():
        by = data.get("by")
        cancels = [one for one in story.by_user[event, user] if one.op == "cancel" and not one.is_refused]
        is_possible = {"buyer": bool(cancels), "event": story.cancelled_from(event) < math.inf}
        if kind == "booking.transferred":
            asked = [one for one in story.by_user[event, user] if one.op == "transfer"]
            is_possible = {"buyer": any(not one.is_refused for one in asked)}
        if kind == "booking.checked-in":
            is_possible = {"door": any(not one.is_refused for one in story.of("check-in", event, user))}
        if by is not None and not is_possible.get(by, False):
            yield f"{kind} of {data['bookingId']} names {by}, who did not ask for it"


def _differences(told: dict[str, Told], seen: Sighting) -> Iterator[str]:
    """Compare the announcements of a booking with one response that showed it."""
    row, names = seen.row, sorted(told)
    shown = f"{seen.booking} was {seen.status} {seen.was}".rstrip()
    if any(not SHOWS[status] & set(told) for status in {seen.status, seen.was} - {""}):
        yield f"{shown} in a response, and announced is {names}"
    if seen.exchange.op == "book" and seen.exchange.status == 201 and "waiting.joined" in told:
        yield f"{seen.booking} was answered 201, and announced as waiting"
    for name in (*MOMENTS, "reference", *dict.fromkeys(ACTORS.values())):
        values = {
            data[told_as]
            for kind, data in told.items()
            if (told_as := "by" if ACTORS.get(kind) == name else name) in data
        }
        if row.get(name) and values and row[name] not in values:
            yield f"{name} of {seen.booking} is {row[name]} in a response, and announced is {sorted(values)}"
