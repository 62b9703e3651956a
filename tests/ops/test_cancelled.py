"""What the tools show of a cancelled event, and do with it."""

import pytest

from harness.office import Event
from shared.store import items
from tests.ops.commands import Commands
from tests.ops.test_audit import booking_key, change

BROKEN = 1


@pytest.fixture
def cancelled(sold_out: Event) -> Event:
    """Return an event that was cancelled with a free ticket and waiting users, and is not emptied."""
    sold_out.cancels("user-0")
    sold_out.cancels_event()
    return sold_out


def test_settle_cancels_the_bookings_of_a_cancelled_event(cancelled: Event, local: Commands) -> None:
    """O3: FollowFunction's work by hand; a repetition does nothing (P7)."""
    planned = local("settle", cancelled.event_id, "--dry-run")
    assert (planned.code, planned.out) == (0, "would cancel 64 bookings; now 1 tickets free, 5 waiting\n")
    assert cancelled.check().waiting
    done = local("settle", cancelled.event_id)
    assert (done.code, done.out) == (0, "cancelled 64 bookings; now 60 tickets free, 0 waiting\n")
    cancelled.check(drained=True)
    assert local("settle", cancelled.event_id).out == "cancelled 0 bookings; now 60 tickets free, 0 waiting\n"


def test_a_free_ticket_of_a_cancelled_event_strands_no_user(cancelled: Event, local: Commands) -> None:
    """P6 holds beside a free ticket, and O3 is shown with its numbers before and after emptying."""
    audited = local("audit", cancelled.event_id)
    assert (audited.code, audited.lines[6].split()[:2]) == (0, ["P6", "holds"])
    [before] = [line for line in audited.lines if line.startswith("O3")]
    assert before.startswith(
        "O3 holds   64 tickets or places, 0 lanes that are not marked as cancelled; cancelled at 20"
    )
    assert before.endswith(", not emptied")
    cancelled.follows()
    audited = local("audit", cancelled.event_id)
    [after] = [line for line in audited.lines if line.startswith("O3")]
    assert (audited.code, after.split()[:4]) == (0, ["O3", "holds", "0", "tickets"])


@pytest.mark.parametrize("what", ["a booking", "a lane"])
def test_an_audit_finds_what_an_emptied_event_must_not_have(
    cancelled: Event, damaged: Event, local: Commands, what: str
) -> None:
    """O3: someone wrote to the tables."""
    cancelled.follows()
    if what == "a lane":
        change(cancelled, items.LANES, items.lane_key(cancelled.event_id, 0), "REMOVE cancelledAt", None)
    else:
        confirmed = "SET #s = :v REMOVE cancelledAt", items.text("CONFIRMED")
        change(cancelled, items.BOOKINGS, booking_key(cancelled, "user-7"), *confirmed, s="status")
    audited = local("audit", damaged.event_id)
    assert audited.code == BROKEN
    assert [line.split()[0] for line in audited.lines if "BROKEN" in line] == (
        ["P1"] if what == "a booking" else []
    ) + ["O3"]
