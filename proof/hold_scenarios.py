"""The scenarios with holds and offers.

Holds and offers last a minute. Everyone's clock stands at MOMENT; that of an expiry that finds them due is at LATER.
"""

from dataclasses import replace

from proof.explore import Scenario
from proof.operations import CancelEvent, Confirm, Expire, Sweep
from proof.scenarios import ALL_BOUNDS, BOTH, CALM, CRASH, FAULT, LATER, Plan, books, cancels, changes, on_lane
from shared.model import Rules

HOLDS = Rules(hold_seconds=60)
OFFERS = Rules(offer_seconds=60)
EXPIRES = Expire(at=LATER)
_ANN, _BEN = on_lane("ann", 0, 2), on_lane("ben", 1, 2)
_CAT = on_lane("cat", 0, 2)


def confirms(user: str, booking: str = "", tag: str = "") -> Confirm:
    """Return a confirmation by a shop; by default of the user's first booking."""
    return Confirm(tag, who=user, booking=booking or user)


HELD_LAST_TICKET = Scenario(
    "Two users want to hold the last ticket, and a shop confirms for one",
    (books("ann"), books("bob"), confirms("ann")),
    rules=HOLDS,
)
CONFIRMED_OR_EXPIRED = Scenario(
    "A hold is confirmed while it expires", (confirms("ann"), EXPIRES), before=(books("ann"),), rules=HOLDS
)
CONFIRMED_OR_CANCELLED = Scenario(
    "A hold is confirmed while its user cancels", (confirms("ann"), cancels("ann")), before=(books("ann"),), rules=HOLDS
)
CONFIRMED_TWICE = Scenario(
    "A hold is confirmed twice while it is cancelled and the user comes back",
    (confirms("ann"), confirms("ann", tag=" too"), cancels("ann"), books("ann", " again")),
    before=(books("ann"),),
    rules=HOLDS,
)
CONFIRMED_CANCELLED_OR_EXPIRED = Scenario(
    "A hold is confirmed, is cancelled and expires, while another waits",
    (confirms("ann"), cancels("ann"), EXPIRES),
    before=(books("ann"), books("bob")),
    rules=HOLDS,
)
EXPIRED_TO_NEXT = Scenario(
    "A hold expires while one waits and another books",
    (EXPIRES, books("cat")),
    before=(books("ann"), books("bob")),
    rules=HOLDS,
)
EXPIRED_AND_COMES_BACK = Scenario(
    "A hold expires while its user books again and the shop confirms the first booking",
    (EXPIRES, books("ann", " again"), confirms("ann")),
    before=(books("ann"),),
    tickets=2,
    rules=HOLDS,
)
EXPIRED_AND_HELD_AGAIN = Scenario(
    "A hold is due while its user cancels it and holds another, which is not",
    (EXPIRES, cancels("ann"), replace(books("ann", " again"), at=LATER)),
    before=(books("ann"),),
    tickets=2,
    rules=HOLDS,
)
EXPIRED_EARLY = Scenario(
    "The expiry comes before a hold is due, while its user cancels and another books",
    (Expire(), cancels("ann"), books("bob"), confirms("ann")),
    before=(books("ann"),),
    rules=HOLDS,
)
EXPIRED_TWICE = Scenario(
    "The expiry comes twice, while one of two users cancels",
    (EXPIRES, Expire(" too", at=LATER), cancels("ann")),
    before=(books("ann"), books("bob"), books("cat")),
    tickets=2,
    rules=HOLDS,
)
EXPIRED_ON_LANES = Scenario(
    "Holds of two lanes expire while one is confirmed, and one waits",
    (EXPIRES, confirms(_ANN)),
    before=(books(_ANN), books(_BEN), books(_CAT)),
    tickets=2,
    lanes=2,
    rules=HOLDS,
)
HOLD_CANCELLED = Scenario(
    "A hold is cancelled while one waits and another books",
    (cancels("ann"), books("cat")),
    before=(books("ann"), books("bob")),
    rules=HOLDS,
)
OFFERED = Scenario(
    "An offer is made while its heir leaves and the shop confirms it",
    (cancels("ann"), cancels("bob"), confirms("bob")),
    before=(books("ann"), books("bob")),
    rules=OFFERS,
)
OFFER_EXPIRES = Scenario(
    "An offer expires while it is confirmed and its heir leaves",
    (EXPIRES, confirms("bob"), cancels("bob")),
    before=(books("ann"), books("bob"), books("cat"), cancels("ann")),
    rules=OFFERS,
)
OFFER_EXPIRES_AND_RELEASE = replace(
    OFFER_EXPIRES,
    name="An offer expires while another ticket is released, and two wait",
    meanwhile=(EXPIRES, cancels("dan")),
    before=(books("ann"), books("dan"), books("bob"), books("cat"), books("eve"), cancels("ann")),
    tickets=2,
)
CANCEL_EVENT_AND_CONFIRM = Scenario(
    "The event is cancelled while a hold is confirmed and expires",
    (CancelEvent(), confirms("ann"), EXPIRES),
    before=(books("ann"),),
    rules=HOLDS,
)
LOWERED_AND_EXPIRED = Scenario(
    "An event is to lose a ticket while a hold expires and another is confirmed",
    (changes(total_tickets=1), EXPIRES, confirms("bob")),
    before=(books("ann"), books("bob")),
    tickets=2,
    rules=HOLDS,
    prompt=False,
)
SWEEP_AND_EXPIRY = Scenario(
    "The sweep comes while a hold expires and another is confirmed",
    (Sweep(), EXPIRES, confirms("bob")),
    before=(books("ann"), books("bob"), books("cat")),
    tickets=2,
    rules=HOLDS,
)
SWEEP_AND_EXPIRIES = Scenario(
    "The sweep comes while holds of two lanes expire, and one waits",
    (Sweep(), EXPIRES),
    before=(books(_ANN), books(_BEN), books(_CAT)),
    tickets=2,
    lanes=2,
    rules=HOLDS,
)
CROWD_WITH_HOLDS = Scenario(
    "Four users hold, confirm, cancel and come back, while holds expire, offers are made and the sweep comes",
    (
        *map(books, (_ANN, _BEN, _CAT, "eve")),
        *map(confirms, (_ANN, _BEN, _CAT)),
        *map(cancels, (_ANN, _BEN)),
        books(_ANN, " again"),
        confirms(_ANN, f"{_ANN} again"),
        EXPIRES,
        Expire(" too", at=LATER),
        Expire(" early"),
        Sweep(),
        changes(total_tickets=3),
    ),
    tickets=2,
    lanes=2,
    promoters=2,
    rules=HOLDS,
)

HOLD_PLANS = (
    Plan(HELD_LAST_TICKET, whole=(CRASH, FAULT)),
    Plan(CONFIRMED_OR_EXPIRED, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(CONFIRMED_OR_CANCELLED, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(CONFIRMED_TWICE, whole=(CRASH, FAULT)),
    Plan(CONFIRMED_CANCELLED_OR_EXPIRED, short=(CALM, CRASH), whole=(FAULT,)),
    Plan(EXPIRED_TO_NEXT, short=(CALM, CRASH), whole=(FAULT,)),
    Plan(EXPIRED_AND_COMES_BACK, whole=(CRASH, FAULT)),
    Plan(EXPIRED_AND_HELD_AGAIN, whole=(CRASH, FAULT)),
    Plan(EXPIRED_EARLY, whole=(CRASH, FAULT)),
    Plan(EXPIRED_TWICE, whole=(CRASH,)),
    Plan(EXPIRED_ON_LANES, whole=(CRASH, FAULT)),
    Plan(HOLD_CANCELLED, whole=(CRASH, FAULT)),
    Plan(OFFERED, whole=(CRASH, FAULT)),
    Plan(OFFER_EXPIRES, short=(CALM, CRASH), whole=(FAULT,)),
    Plan(OFFER_EXPIRES_AND_RELEASE, whole=(CRASH, FAULT)),
    Plan(CANCEL_EVENT_AND_CONFIRM, whole=(CRASH, FAULT)),
    Plan(LOWERED_AND_EXPIRED, whole=(CRASH, FAULT)),
    Plan(SWEEP_AND_EXPIRY, short=(), whole=(CALM,)),
    Plan(SWEEP_AND_EXPIRIES, short=(), whole=(CALM,)),
    Plan(CROWD_WITH_HOLDS, short=()),  # far too many schedules: only walks go through it
)
