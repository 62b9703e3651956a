"""The scenarios of transfers and of the door.

A client could be told wrongly:

- two doors, that they are the first to check a booking in;
- a door, that a booking is checked in which its user cancelled at the same moment, so that another has its ticket;
- a door, that a booking is checked in which the cancellation of its event has ended before;
- a door, about an earlier booking of a user who came back;
- the organiser, a count of checked-in tickets that the bookings do not have;
- a holder, that their booking is transferred to one user, while another request has given it to another;
- a holder, that it was refused, while it has happened; or a repetition makes a second booking;
- a door, that a booking was cancelled before it came, while the first try of its request has checked it in;
- a holder, that it is transferred, while it was cancelled or checked in at the same moment;
- a recipient, of two bookings: one that they made, and one that they got at the same moment;
- a user in line, that they wait, although tickets were free in between.
"""

from proof.explore import Scenario
from proof.group_scenarios import GROUPS
from proof.hold_scenarios import EXPIRES, HOLDS, confirms
from proof.operations import AtDoor, CancelEvent, GiveAway, Sweep
from proof.scenarios import ALL_BOUNDS, BOTH, CALM, CRASH, FAULT, Plan, books, cancels, changes, on_lane

_ANN, _BEN = on_lane("ann", 0, 2), on_lane("ben", 1, 2)
_CAT, _DAN, _EVE = on_lane("cat", 0, 2), on_lane("dan", 1, 2), on_lane("eve", 0, 2)


def checks_in(user: str, booking: str = "", tag: str = "") -> AtDoor:
    """Return a check-in at the door; by default of the user's first booking."""
    return AtDoor(tag, who=user, booking=booking or user)


def transfers(user: str, to: str, booking: str = "", tag: str = "") -> GiveAway:
    """Return a transfer by the holder; by default of the user's first booking."""
    return GiveAway(tag, who=user, booking=booking or user, to=to)


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
CHECKED_IN_OR_REDUCED = Scenario(
    "A booking of two tickets is checked in while its user returns one",
    (checks_in("ann"), cancels("ann", keep=1)),
    before=(books("ann", quantity=2),),
    tickets=2,
    rules=GROUPS,
)
TRANSFERRED_OR_REDUCED = Scenario(
    "A booking of two tickets is transferred while its user returns one",
    (transfers("ann", "bob"), cancels("ann", keep=1)),
    before=(books("ann", quantity=2),),
    tickets=2,
    rules=GROUPS,
)
CANCEL_EVENT_AND_CHECK_IN = Scenario(
    "The event is cancelled while one of its bookings is checked in and cancelled",
    (CancelEvent(), checks_in("ann"), cancels("ann")),
    before=(books("ann"),),
)
CANCEL_EVENT_AT_THE_DOOR = Scenario(
    "The event is cancelled while one of its bookings is checked in",
    (CancelEvent(), checks_in("ann")),
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
TRANSFERRED_TO_TWO = Scenario(
    "A booking is transferred to two users", (transfers("ann", "bob"), transfers("ann", "cat")), before=(books("ann"),)
)
TRANSFERRED_AGAIN = Scenario(
    "A transfer is repeated while the recipient cancels",
    (transfers("ann", "bob"), transfers("ann", "bob", tag=" too"), cancels("bob")),
    before=(books("ann"),),
)
TRANSFERRED_TO_BUYER = Scenario(
    "A booking is transferred to a user who books",
    (transfers("ann", "bob"), books("bob")),
    before=(books("ann"),),
    tickets=2,
)
TRANSFERRED_TO_RETURNER = Scenario(
    "A booking is transferred to a user who cancels and comes back",
    (transfers("ann", "bob"), cancels("bob"), books("bob", " again")),
    before=(books("ann"), books("bob")),
    tickets=2,
)
TRANSFERRED_OR_CANCELLED = Scenario(
    "A booking is transferred while its user cancels and comes back",
    (transfers("ann", "bob"), cancels("ann"), books("ann", " again")),
    before=(books("ann"),),
    tickets=2,
)
TRANSFERRED_OR_CHECKED_IN = Scenario(
    "A booking is transferred while it is checked in",
    (transfers("ann", "bob"), checks_in("ann")),
    before=(books("ann"),),
)
TRANSFERRED_CANCELLED_OR_CHECKED_IN = Scenario(
    "A booking is transferred, cancelled and checked in, and its user comes back",
    (transfers("ann", "bob"), cancels("ann"), checks_in("ann"), books("ann", " again")),
    before=(books("ann"),),
    tickets=2,
)
TRANSFERRED_OR_CONFIRMED = Scenario(
    "A hold is transferred while it is confirmed and expires",
    (transfers("ann", "bob"), confirms("ann"), EXPIRES),
    before=(books("ann"),),
    rules=HOLDS,
)
TRANSFERRED_BESIDE_LINE = Scenario(
    "A booking is transferred while it is cancelled, and another user waits",
    (transfers("ann", "bob"), cancels("ann")),
    before=(books("ann"), books("cat")),
)
TRANSFERRED_TO_WAITING = Scenario(
    "A booking is transferred to a user who waits, and leaves",
    (transfers("ann", "bob"), cancels("bob")),
    before=(books("ann"), books("bob")),
)
TRANSFERRED_TO_AND_FRO = Scenario(
    "Two users transfer their bookings to the same third",
    (transfers(_ANN, "cat"), transfers(_BEN, "cat"), cancels("cat")),
    before=(books(_ANN), books(_BEN)),
    tickets=2,
    lanes=2,
)
CANCEL_EVENT_AND_TRANSFER = Scenario(
    "The event is cancelled while a booking is transferred to a user of another lane",
    (CancelEvent(), transfers(_ANN, _BEN)),
    before=(books(_ANN),),
    lanes=2,
    tickets=2,
)
SWEEP_AND_TRANSFERS = Scenario(
    "The sweep comes while two bookings are transferred between lanes, and one waits",
    (Sweep(), transfers(_BEN, _CAT), transfers(_DAN, _EVE)),
    before=(books(_BEN), books(_DAN), books("fay")),
    tickets=2,
    lanes=2,
)
CROWD_OF_TRANSFERS = Scenario(
    "Four users transfer, cancel, come and come back, while the sweep comes and the total changes",
    (
        *map(books, (_ANN, _BEN, _CAT)),
        transfers(_ANN, _BEN),
        transfers(_ANN, _DAN),
        transfers(_BEN, _CAT),
        transfers(_DAN, _ANN, f"transfer {_ANN} to {_DAN}"),
        *map(cancels, (_ANN, _BEN, _DAN)),
        checks_in(_BEN),
        books(_ANN, " again"),
        Sweep(),
        changes(total_tickets=3),
    ),
    tickets=2,
    lanes=2,
    promoters=2,
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

TRANSFER_PLANS = (
    Plan(CHECKED_IN_TWICE, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(CHECKED_IN_OR_CANCELLED, short=ALL_BOUNDS),
    Plan(CHECKED_IN_OR_PASSED_ON, whole=(CRASH, FAULT)),
    Plan(CHECKED_IN_OR_CONFIRMED, whole=(CRASH, FAULT)),
    Plan(CHECKED_IN_OR_REDUCED, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(TRANSFERRED_OR_REDUCED, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(CANCEL_EVENT_AND_CHECK_IN),  # with a crash there are too many schedules: walks go through them
    Plan(CANCEL_EVENT_AT_THE_DOOR, whole=(CRASH, FAULT)),
    Plan(CANCEL_EVENT_AND_CHECK_INS, short=(), whole=(CALM,)),
    Plan(SWEEP_AND_CHECK_INS, short=(), whole=(CALM,)),
    Plan(TRANSFERRED_TO_TWO, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(TRANSFERRED_AGAIN, whole=(CRASH, FAULT)),
    Plan(TRANSFERRED_TO_BUYER, short=(CALM, FAULT), whole=(CRASH,)),
    Plan(TRANSFERRED_TO_RETURNER, whole=(CRASH, FAULT)),
    Plan(TRANSFERRED_OR_CANCELLED, short=ALL_BOUNDS),
    Plan(TRANSFERRED_OR_CHECKED_IN, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(TRANSFERRED_CANCELLED_OR_CHECKED_IN, whole=(CRASH, FAULT)),
    Plan(TRANSFERRED_OR_CONFIRMED, whole=(CRASH,)),
    Plan(TRANSFERRED_BESIDE_LINE, whole=(CRASH, FAULT)),
    Plan(TRANSFERRED_TO_WAITING, whole=(CRASH, FAULT)),
    Plan(TRANSFERRED_TO_AND_FRO, whole=(CRASH,)),
    Plan(CANCEL_EVENT_AND_TRANSFER, whole=(CRASH, FAULT)),
    Plan(SWEEP_AND_TRANSFERS, whole=(CRASH,)),
    Plan(CROWD_OF_TRANSFERS, short=()),  # far too many schedules: only walks go through it
    Plan(CROWD_AT_THE_DOOR, short=()),  # far too many schedules: only walks go through it
)
