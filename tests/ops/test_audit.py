"""audit EVENT: it shows each broken promise with its numbers, and does not report concurrent changes as violations."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import ops.audit
from harness import promises
from harness.office import Event, Office, clock_ahead
from shared.booking import catalog
from shared.runtime import Deadline
from shared.store import dynamodb, items
from tests.ops.commands import Commands, Done

BROKEN, INCONCLUSIVE = 1, 3
HOLD_S = 600


def verdicts(done: Done) -> dict[str, str]:
    """Return the verdict on each promise."""
    return {line.split()[0]: line.split()[1] for line in done.lines[1:10]}


def broken(done: Done) -> list[str]:
    """List the promises that are reported as broken."""
    return [promise for promise, verdict in verdicts(done).items() if verdict == "BROKEN"]


@contextmanager
def changed(event: Event, table: str, key: Any, expression: str, value: Any) -> Iterator[None]:
    """Forge one attribute during the block."""
    item = event.database.get_item(TableName=table, Key=key)["Item"]
    change(event, table, key, expression, value)
    yield
    event.database.put_item(TableName=table, Item=item)


def change(event: Event, table: str, key: Any, expression: str, value: Any, **names: str) -> None:
    """Forge one attribute."""
    request: dict[str, Any] = {"TableName": table, "Key": key, "UpdateExpression": expression}
    if value is not None:
        request["ExpressionAttributeValues"] = {":v": value}
    if names:
        request["ExpressionAttributeNames"] = {f"#{name}": attribute for name, attribute in names.items()}
    event.database.update_item(**request)


def booking_key(event: Event, user: str) -> Any:
    """Return the key of a user's booking."""
    return items.booking_key(catalog.read_event(event.event_id, Deadline.after(5)), user)


def entry_key(event: Event, place: int) -> Any:
    """Return the key of the n-th entry, counted from 0."""
    return promises.entry_key(event.check().entries[place])


def test_a_sound_event_is_shown_with_its_numbers(sold_out: Event, local: Commands) -> None:
    """Each promise has a line."""
    done = local("audit", sold_out.event_id)
    assert (done.code, done.err) == (0, "")
    sold_out_at = sold_out.check().event["soldOutAt"]
    assert done.lines == [
        f"{sold_out.event_id} The concert",
        "P1 holds   0 left + 60 confirmed + 0 held, of 60; 0 lanes below 0",
        "P2 holds   65 bookings, 0 on a wrong lane, 0 with facts that do not fit",
        "P3 holds   5 waiting, 5 entries, 5 counted",
        f"P4 holds   0 of 2 lanes open, 5 entries; sold out at {sold_out_at}",
        "P5 holds   0 users wait although a user who joined well after them was promoted",
        "P6 holds   5 wait beside 0 free tickets",
        "H3 holds   0 holds expired over 120 s ago and have not ended",
        "D1 holds   0 tickets checked in, 0 counted",
        (
            "O2 holds   60 tickets on the lanes, 60 by the event's count, 60 in its terms; "
            "0 lanes with another sale window; no change is under way"
        ),
        "All promises hold.",
    ]


def test_an_event_on_sale_is_sound(office: Office, local: Commands) -> None:
    """Lanes are open and no user waits. A cancelled booking counts for nothing."""
    event = office.opens(tickets=3)
    event.books("ada")
    event.books("bob")
    event.cancels("bob")
    done = local("audit", event.event_id)
    assert done.code == 0
    assert done.lines[1] == "P1 holds   2 left + 1 confirmed + 0 held, of 3; 0 lanes below 0"
    assert done.lines[4] == "P4 holds   1 of 1 lanes open, 0 entries; on sale"


def test_bookings_in_every_state_are_sound(sold_out: Event, local: Commands) -> None:
    """Users were promoted, left, cancelled and came back: the fields of their bookings fit."""
    for user in ("user-0", "user-64", "user-0"):
        sold_out.cancels(user)
        sold_out.promotes()
        sold_out.books(user)
    sold_out.cancels("user-60")  # promoted, and gave back
    sold_out.promotes()
    assert local("audit", sold_out.event_id).code == 0


def test_holds_and_offers_own_tickets(office: Office, local: Commands) -> None:
    """P1, P2: a hold counts until it ends, and a booking in any of its states has facts that fit."""
    event = office.opens(tickets=3, holdSeconds=HOLD_S)
    for user in ("anna", "ben", "cleo", "dora", "elia"):
        event.books(user)
    event.confirm("anna", event.status("anna").json["booking"]["bookingId"], reference="payment")
    event.cancels("ben")
    event.promotes()  # an offer for dora
    with clock_ahead(HOLD_S + 5):
        event.expires()
        done = local("audit", event.event_id)
    assert (done.code, broken(done)) == (BROKEN, ["P6"]), "elia waits beside the tickets of cleo and dora"
    assert done.lines[1] == "P1 holds   2 left + 1 confirmed + 0 held, of 3; 0 lanes below 0"
    event.promotes()
    done = local("audit", event.event_id)
    assert done.code == 0
    assert done.lines[1] == "P1 holds   1 left + 1 confirmed + 1 held, of 3; 0 lanes below 0"
    assert done.lines[2] == "P2 holds   5 bookings, 0 on a wrong lane, 0 with facts that do not fit"


def test_a_change_under_way_is_shown_and_breaks_nothing(
    office: Office, local: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lanes are between the old and the new total."""
    event = office.opens(tickets=60)
    commit, commits = dynamodb.commit, []

    def dies_at_the_last(transaction: Any, deadline: Deadline, **more: Any) -> Any:
        commits.append(transaction)
        assert len(commits) < 3, "it dies here"
        return commit(transaction, deadline, **more)

    with monkeypatch.context() as dying:
        dying.setattr(dynamodb, "commit", dies_at_the_last)
        assert event.change(totalTickets=65).status == 500
    done = local("audit", event.event_id)
    assert done.code == 0
    assert "65 tickets on the lanes, 65 by the event's count, 60 in its terms" in done.lines[9]
    assert "a change is under way since" in done.lines[9]


def test_a_change_during_the_count_makes_o2_unclear(sold_out: Event, local: Commands, during_each_count: Any) -> None:
    """Lanes and event were read at different moments."""
    totals = iter(range(61, 70))
    during_each_count(lambda: sold_out.changes(name=f"Concert {next(totals)}"))
    done = local("audit", sold_out.event_id)
    assert (done.code, verdicts(done)["O2"]) == (INCONCLUSIVE, "unclear")


MOMENT = "2030-05-01T18:00:00.000Z"
FORGERIES = [  # where, how, and the line of the broken promise; tests/protocol/test_audit.py has more
    ("lane", "ADD available :v", items.number(1), "P1 BROKEN  1 left + 60 confirmed + 0 held, of 60; 0 lanes below 0"),
    (
        "lane",
        "ADD available :v",
        items.number(-1),
        "P1 BROKEN  -1 left + 60 confirmed + 0 held, of 60; 1 lanes below 0",
    ),
    ("booking", "SET eventId = :v", items.text("x"), "P2 BROKEN  65 bookings, 1 on a wrong lane, 0 with facts"),
    ("lane", "ADD waiting :v", items.number(2), "P3 BROKEN  5 waiting, 5 entries, 7 counted"),
    ("entry", "SET userId = :v", items.text("x"), "P3 BROKEN  5 waiting, 5 entries, 5 counted; not the same people"),
    ("lane", "REMOVE closedAt", None, "P4 BROKEN  1 of 2 lanes open, 5 entries; sold out at "),
    ("event", "REMOVE soldOutAt", None, "P4 BROKEN  0 of 2 lanes open, 5 entries; on sale"),
    (
        "event",
        "SET totalTickets = :v",
        items.number(50),
        "O2 BROKEN  60 tickets on the lanes, 60 by the event's count, 50 ",
    ),
    (
        "lane",
        "SET closesAt = :v",
        items.text(MOMENT),
        "O2 BROKEN  60 tickets on the lanes, 60 by the event's count, 60 ",
    ),
]


def test_a_broken_promise_is_shown_with_its_numbers(damaged: Event, local: Commands) -> None:
    """Exit code 1. A free ticket beside waiting users also breaks P6."""
    places = {
        "event": (items.EVENTS, items.event_key(damaged.event_id)),
        "lane": (items.LANES, items.lane_key(damaged.event_id, 0)),
        "booking": (items.BOOKINGS, booking_key(damaged, "user-0")),
        "entry": (items.WAITING_LIST, entry_key(damaged, 0)),
    }
    for what, expression, value, line in FORGERIES:
        with changed(damaged, *places[what], expression, value):
            done = local("audit", damaged.event_id)
        assert (done.code, done.lines[-1]) == (BROKEN, "A promise is broken."), line
        assert set(broken(done)) - {"P6"} == {line[:2]}, line
        assert any(shown.startswith(line) for shown in done.lines), line


def test_a_booking_that_contradicts_itself_breaks_p2(damaged: Event, local: Commands) -> None:
    """The facts of a booking must fit its status."""
    damaged.cancels("user-1")
    damaged.promotes()
    for user, expression, value in (
        ("user-0", "REMOVE bookedAt", None),  # confirmed, but never booked
        ("user-0", "SET cancelledAt = :v", {"S": "2026-05-01T18:00:00.000Z"}),  # confirmed, and cancelled
        ("user-0", "SET generation = :v", {"N": "0"}),
        ("user-64", "SET cancelledAt = :v", {"S": "2026-05-01T18:00:00.000Z"}),  # waiting, and cancelled
        ("user-64", "SET bookedAt = :v", {"S": "2026-05-01T18:00:00.000Z"}),  # waiting, and booked
        ("user-64", "REMOVE joinedAt", None),  # waiting, but never joined
        ("user-64", "SET quantity = :v", {"N": "0"}),
        ("user-0", "SET expiresAt = :v", {"S": "2026-05-01T18:00:00.000Z"}),  # confirmed, and will expire
        ("user-64", "SET heldAt = :v", {"S": "2026-05-01T18:00:00.000Z"}),  # waiting, and held
        ("user-1", "REMOVE cancelledAt", None),  # cancelled, but when
        ("user-1", "SET expiredAt = :v", {"S": "2026-05-01T18:00:00.000Z"}),  # cancelled, and expired
    ):
        with changed(damaged, items.BOOKINGS, booking_key(damaged, user), expression, value):
            done = local("audit", damaged.event_id)
        wants_another = ["P3"] if "quantity" in expression else []  # than its entry
        assert (done.code, broken(done)) == (BROKEN, ["P2", *wants_another]), (user, expression)


def test_a_hold_that_contradicts_itself_breaks_p2(office: Office, local: Commands) -> None:
    """The same for a hold, before and after it has expired."""
    event = office.opens(tickets=2, holdSeconds=HOLD_S)
    event.books("hanna")
    key, has_expired = booking_key(event, "hanna"), False
    for expired, expression, value in (
        (False, "REMOVE heldAt", None),
        (False, "REMOVE expiresAt", None),  # it would never end
        (False, "SET bookedAt = :v", {"S": "2026-05-01T18:00:00.000Z"}),  # held, and confirmed
        (True, "REMOVE expiredAt", None),
        (True, "SET bookedAt = :v", {"S": "2026-05-01T18:00:00.000Z"}),  # confirmed, and expired (H2)
    ):
        if expired and not has_expired:
            with clock_ahead(HOLD_S + 5):
                event.expires()
            has_expired = True
        assert local("audit", event.event_id).code == 0
        with changed(event, items.BOOKINGS, key, expression, value):
            assert broken(local("audit", event.event_id)) == ["P2"], (expired, expression)


@pytest.mark.parametrize(("joined", "verdict"), [("2020-01-01T00:00:00.000Z", "BROKEN"), (None, "holds")])
def test_an_overtaken_user_breaks_p5(damaged: Event, local: Commands, joined: str | None, verdict: str) -> None:
    """Users who joined at about the same moment may be in either order: their numbers were drawn before."""
    last = damaged.check().entries[-1]
    key = promises.entry_key(last)
    if joined:
        change(damaged, items.WAITING_LIST, key, "SET joinedAt = :v", items.text(joined))
    change(damaged, items.BOOKINGS, booking_key(damaged, "user-0"), "SET promotedAt = :v", items.text("x"))
    change(damaged, items.BOOKINGS, booking_key(damaged, "user-0"), "SET #s = :v", items.number(99), s="sequence")
    now = items.text(last["joinedAt"])
    change(damaged, items.BOOKINGS, booking_key(damaged, "user-0"), "SET joinedAt = :v", now)
    done = local("audit", damaged.event_id)
    assert verdicts(done)["P5"] == verdict
    assert done.lines[5].split()[2] == ("1" if joined else "0")


def test_a_stranded_user_breaks_p6(damaged: Event, local: Commands) -> None:
    """A ticket is free, no promoter works, and nothing else happens."""
    damaged.cancels("user-0")
    done = local("audit", damaged.event_id)
    assert (done.code, broken(done)) == (BROKEN, ["P6"])
    assert done.lines[6] == "P6 BROKEN  5 wait beside 1 free tickets"
    assert local("settle", damaged.event_id).code == 0
    assert local("audit", damaged.event_id).code == 0


def test_a_promotion_on_its_way_is_no_violation(
    sold_out: Event, local: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promoter gets some time before a user counts as stranded."""
    waits: list[float] = []

    def promoter_comes(seconds: float) -> None:
        waits.append(seconds)
        sold_out.promotes()

    monkeypatch.setattr(ops.audit, "PATIENCE_S", 5.0)
    monkeypatch.setattr("time.sleep", promoter_comes)
    sold_out.cancels("user-0")
    done = local("audit", sold_out.event_id)
    assert (done.code, waits) == (0, [5.0])


def test_tickets_that_are_released_again_and_again_are_inconclusive(
    sold_out: Event, local: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each count finds another free ticket: the event is busy, and no user is stranded."""
    users = iter(range(60))

    def promoter_comes(_seconds: float) -> None:
        sold_out.promotes()
        sold_out.cancels(f"user-{next(users)}")

    monkeypatch.setattr("time.sleep", promoter_comes)
    promoter_comes(0)
    assert local("audit", sold_out.event_id).code == INCONCLUSIVE
    sold_out.promotes()


@pytest.fixture
def during_each_count(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Act between the two reads of the lanes, after a page of this table was read."""
    query = dynamodb.query

    def install(act: Callable[[], object], table: str = items.WAITING_LIST) -> None:
        def and_act(deadline: Deadline, **request: Any) -> Any:
            found = query(deadline, **request)
            if request["TableName"] == table:
                with monkeypatch.context() as calm:
                    calm.setattr(dynamodb, "query", query)
                    act()
            return found

        monkeypatch.setattr(dynamodb, "query", and_act)

    return install


def test_concurrent_changes_are_no_violation(sold_out: Event, local: Commands, during_each_count: Any) -> None:
    """Releases during the count make it wrong. The result and the exit code are inconclusive."""
    users = iter(range(60))
    during_each_count(lambda: sold_out.cancels(f"user-{next(users)}"))
    done = local("audit", sold_out.event_id)
    assert done.code == INCONCLUSIVE
    assert [verdicts(done)[promise] for promise in ("P1", "P3", "P6")] == ["unclear"] * 3
    assert done.lines[-1] == "Too much moved to tell: 1 changes during the last count. Try again."


def test_users_who_replace_each_other_in_the_list_are_no_violation(
    sold_out: Event, local: Commands, during_each_count: Any
) -> None:
    """One leaves and one joins during the count: the numbers agree, the users do not."""
    turns = iter([("user-60", "later-1"), *((f"later-{n}", f"later-{n + 1}") for n in range(1, 10))])

    def leave_and_join() -> None:
        leaver, joiner = next(turns)
        sold_out.cancels(leaver)
        sold_out.books(joiner)

    during_each_count(leave_and_join, items.BOOKINGS)
    done = local("audit", sold_out.event_id)
    assert (done.code, verdicts(done)["P3"]) == (INCONCLUSIVE, "unclear")
    assert " 4 changes " in done.lines[-1]  # two for each of the two lanes


def test_an_event_that_sells_out_during_the_count_keeps_p4(
    office: Office, local: Commands, during_each_count: Any
) -> None:
    """A user joins after the first read of the event, which was on sale then."""
    event = office.opens(tickets=1)

    def sell_out() -> None:
        for user in ("ada", "bob"):
            event.books(user)

    during_each_count(sell_out, items.BOOKINGS)
    assert local("audit", event.event_id).code == 0


def test_one_quiet_count_is_enough(sold_out: Event, local: Commands, during_each_count: Any) -> None:
    """It recounts before it gives up."""
    users = iter(["user-0"])

    def cancel_once() -> None:
        for user in users:
            sold_out.cancels(user)
            sold_out.promotes()

    during_each_count(cancel_once)
    assert local("audit", sold_out.event_id).code == 0
