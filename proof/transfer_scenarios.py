"""The scenarios of the door, and with them all that are searched.

A client could be told wrongly:

- two doors, that they are the first to check a booking in;
- a door, that a booking is checked in which its user cancelled at the same moment, so that another has its ticket;
- a door, that a booking is checked in which the cancellation of its event has ended before;
- a door, about an earlier booking of a user who came back;
- the organiser, a count of checked-in tickets that the bookings do not have.
"""

from proof.explore import Scenario
from proof.hold_scenarios import EXPIRES, HOLD_PLANS, HOLDS, confirms
from proof.operations import AtDoor, CancelEvent, Sweep
from proof.scenarios import ALL_BOUNDS, BOTH, CALM, CRASH, FAULT, PLANS, Plan, books, cancels, changes, on_lane

_ANN, _BEN = on_lane("ann", 0, 2), on_lane("ben", 1, 2)
_CAT = on_lane("cat", 0, 2)


def checks_in(user: str, booking: str = "", tag: str = "") -> AtDoor:
    """Return a check-in at the door; by default of the user's first booking."""
    return AtDoor(tag, who=user, booking=booking or user)


CHECKED_IN_TWICE = Scenario(
    "Two doors check the same booking in", (checks_in("ann"), checks_in("ann", tag=" too")), before=(books("ann"),)
)
CHECKED_IN_OR_CANCELLED = Scenario(
    "A booking is checked in while its user cancels and comes back",
    (checks_in("ann"), cancels("ann"), books("ann", " again")),
    before=(books("ann"),),
    tickets=2,
)
CHECKED_IN_OR_PASSED_ON = Scenario(
    "A booking is checked in while its user cancels, and another waits and is checked in",
    (checks_in("ann"), cancels("ann"), checks_in("bob")),
    before=(books("ann"), books("bob")),
)
CHECKED_IN_OR_CONFIRMED = Scenario(
    "A hold is checked in while it is confirmed and expires",
    (checks_in("ann"), confirms("ann"), EXPIRES),
    before=(books("ann"),),
    rules=HOLDS,
)
CANCEL_EVENT_AND_CHECK_IN = Scenario(
    "The event is cancelled while one of its bookings is checked in and cancelled",
    (CancelEvent(), checks_in("ann"), cancels("ann")),
    before=(books("ann"),),
)
CANCEL_EVENT_AND_CHECK_INS = Scenario(
    "The event is cancelled while bookings of two lanes are checked in",
    (CancelEvent(), checks_in(_ANN), checks_in(_BEN)),
    before=(books(_ANN), books(_BEN)),
    tickets=2,
    lanes=2,
)
SWEEP_AND_CHECK_INS = Scenario(
    "The sweep comes while two bookings are checked in, and one waits",
    (Sweep(), checks_in("ann"), checks_in("bob")),
    before=(books("ann"), books("bob"), books("cat")),
    tickets=2,
)
CROWD_AT_THE_DOOR = Scenario(
    "Three users come, cancel and come back, while the sweep comes, the total changes and the event is cancelled",
    (
        *map(books, (_ANN, _BEN, _CAT)),
        *map(checks_in, (_ANN, _BEN, _CAT)),
        *map(cancels, (_ANN, _BEN)),
        books(_ANN, " again"),
        checks_in(_ANN, f"{_ANN} again"),
        checks_in(_ANN, tag=" too"),
        Sweep(),
        changes(total_tickets=3),
        CancelEvent(),
    ),
    tickets=2,
    lanes=2,
    promoters=2,
)

ALL_PLANS = (
    *PLANS,
    *HOLD_PLANS,
    Plan(CHECKED_IN_TWICE, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(CHECKED_IN_OR_CANCELLED, short=(CALM, CRASH), whole=(FAULT,)),
    Plan(CHECKED_IN_OR_PASSED_ON, whole=(CRASH, FAULT)),
    Plan(CHECKED_IN_OR_CONFIRMED, whole=(CRASH, FAULT)),
    Plan(CANCEL_EVENT_AND_CHECK_IN, whole=(CRASH, FAULT)),
    Plan(CANCEL_EVENT_AND_CHECK_INS, short=(), whole=(CALM,)),
    Plan(SWEEP_AND_CHECK_INS, short=(), whole=(CALM,)),
    Plan(CROWD_AT_THE_DOOR, short=()),  # far too many schedules: only walks go through it
)
