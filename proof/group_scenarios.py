"""The scenarios with several tickets in a booking, and with events that are put back on sale.

What a client could be told wrongly: that tickets are theirs which another has too (P1); "confirmed" although a user who
wants more was told to wait before (P5); "waiting" while enough tickets are free (P6), or while the event is on sale
again (P4); more tickets than they asked for, or fewer than they take (P7); "too few" when there were enough.
"""

from dataclasses import replace

from proof.explore import Scenario
from proof.hold_scenarios import EXPIRES, confirms
from proof.operations import CancelEvent, Sweep
from proof.scenarios import ALL_BOUNDS, BOTH, CALM, CRASH, FAULT, Plan, books, cancels, changes, on_lane
from shared.model import Rules

GROUPS = Rules(tickets_per_booking=3)
GROUP_HOLDS = Rules(hold_seconds=60, tickets_per_booking=3)
_ANN, _BEN = on_lane("ann", 0, 2), on_lane("ben", 1, 2)
_CAT, _DAN = on_lane("cat", 0, 2), on_lane("dan", 1, 2)

# ---------------------------------------------------------------- several tickets in a booking

LAST_THREE = Scenario(
    "Two want two of the last three tickets each, and one wants one",
    (books("ann", quantity=2), books("bob", quantity=2), books("cat")),
    tickets=3,
    rules=GROUPS,
)
WHATEVER_THERE_IS = Scenario(
    "Two want two of the last three tickets each, and take one",
    (books("ann", quantity=2, at_least=1), books("bob", quantity=2, at_least=1)),
    tickets=3,
    rules=GROUPS,
)
FROM_TWO_LANES = Scenario(
    "One wants the last tickets of two lanes, another one of them",
    (books(_ANN, quantity=2), books(_DAN)),
    tickets=2,
    lanes=2,
    rules=GROUPS,
)
GROUPS_FROM_TWO_LANES = Scenario(
    "Two want three and two of four tickets on two lanes",
    (books(_ANN, quantity=3), books(_BEN, quantity=2)),
    tickets=4,
    lanes=2,
    rules=GROUPS,
)
GROUP_COMES_BACK = Scenario(
    "A group cancels while another looks for its tickets on two lanes",
    (cancels(_ANN), books(_BEN, quantity=2)),
    before=(books(_ANN, quantity=2),),
    tickets=2,
    lanes=2,
    rules=GROUPS,
)
GROUP_OF_TWO_TABS = Scenario(
    "A user wants the last tickets of two lanes, and in another tab one of them, and returns it",
    (books(_ANN, quantity=2), books(_ANN, " too"), cancels(_ANN)),
    tickets=2,
    lanes=2,
    rules=GROUPS,
)
RETURNS_SOME = Scenario(
    "A user returns one of two tickets, twice, and then both",
    (cancels("ann", keep=1), cancels("ann", keep=1, tag=" too"), cancels("ann")),
    before=(books("ann", quantity=2),),
    tickets=2,
    rules=GROUPS,
)
RETURNS_SOME_AND_COMES_BACK = Scenario(
    "A user returns two of three tickets late, having cancelled and booked again",
    (cancels("ann", keep=1), cancels("ann"), books("ann", " again", quantity=3)),
    before=(books("ann", quantity=3),),
    tickets=3,
    rules=GROUPS,
)
_GROUP_WAITS = (books("ann", quantity=3), books("bob", quantity=2), books("cat"))
GROUP_COMES_BACK_LATE = Scenario(
    "A user who came back wants two tickets, of which another takes one and returns it",
    (books("ann", " again", quantity=2), books("bob"), cancels("bob")),
    before=(books("ann"), cancels("ann")),
    tickets=2,
    rules=GROUPS,
)
GROUP_WAITS = Scenario(
    "A group waits at the head, and gets its tickets one by one",
    (cancels("ann", keep=2), cancels("ann", keep=1)),
    before=_GROUP_WAITS,
    tickets=3,
    rules=GROUPS,
)
GROUP_WANTS_FEWER = Scenario(
    "A group that waits beside one free ticket asks for fewer, while another ticket comes back",
    (cancels("bob", keep=1), cancels("ann")),
    before=(*_GROUP_WAITS, cancels("ann", keep=2)),
    tickets=3,
    rules=GROUPS,
)
GROUP_LEAVES = Scenario(
    "A group that waits beside one free ticket leaves, while another joins",
    (cancels("bob"), books("dan")),
    before=(*_GROUP_WAITS, cancels("ann", keep=2)),
    tickets=3,
    rules=GROUPS,
)
GROUP_LEAVES_ALONE = Scenario(
    "A group that waits beside one free ticket leaves, and another waits behind it",
    (cancels("bob"),),
    before=(*_GROUP_WAITS, cancels("ann", keep=2)),
    tickets=3,
    rules=GROUPS,
)
GROUP_WANTS_FEWER_TWICE = Scenario(
    "A group that waits asks for two and for one instead of three",
    (cancels("bob", keep=1), cancels("bob", keep=2)),
    before=(books("ann", quantity=3), books("bob", quantity=3)),
    tickets=3,
    rules=GROUPS,
)
GROUP_COMES_BACK_IN_LINE = Scenario(
    "A group that waits asks for fewer while it leaves and joins again",
    (cancels("bob", keep=1), cancels("bob"), books("bob", " again", quantity=2)),
    before=(books("ann", quantity=3), books("bob", quantity=2)),
    tickets=3,
    rules=GROUPS,
)
GROUP_LEAVES_LAST = Scenario(
    "The only group that waits beside one free ticket leaves, while another books",
    (cancels("bob"), books("dan")),
    before=(books("ann", quantity=2), books("bob", quantity=2), cancels("ann", keep=1)),
    tickets=2,
    rules=GROUPS,
)
GROUP_TAKES_ONE = Scenario(
    "A group at the head takes what there is, and asks for fewer",
    (cancels("ann", keep=2), cancels("bob", keep=1)),
    before=(books("ann", quantity=3), books("bob", quantity=2, at_least=1), books("cat")),
    tickets=3,
    rules=GROUPS,
)
GROUP_IN_LINE = Scenario(
    "A sold-out event of two lanes has one ticket, which one may take and a group may not",
    (books(_CAT, quantity=2), books("dan")),
    before=(books(_ANN), books(_BEN), books("eve"), cancels("eve")),
    then=(cancels(_ANN),),
    tickets=2,
    lanes=2,
    rules=GROUPS,
)
GROUPS_OF_LANES = Scenario(
    "Tickets of two lanes come back to a group that waits, and to one behind it",
    (cancels(_ANN), cancels(_BEN)),
    before=(books(_ANN, quantity=2), books(_BEN), books(_CAT, quantity=2), books(_DAN)),
    tickets=3,
    lanes=2,
    rules=GROUPS,
)
TAKEN_WHILE_RAISED = Scenario(
    "An event gets one ticket while a group wants the last two",
    (changes(total_tickets=2), books("ann", quantity=2)),
    tickets=1,
    rules=GROUPS,
    prompt=False,
)
LOWERED_AND_RETURNED = Scenario(
    "An event is to lose a ticket while a user returns one of two",
    (changes(total_tickets=1), cancels("ann", keep=1)),
    before=(books("ann", quantity=2),),
    tickets=2,
    rules=GROUPS,
    prompt=False,
)
HOLD_REDUCED = Scenario(
    "A hold of two tickets is due while its user returns one and the shop confirms the rest",
    (EXPIRES, cancels("ann", keep=1), confirms("ann")),
    before=(books("ann", quantity=2),),
    tickets=2,
    rules=GROUP_HOLDS,
)
CANCEL_EVENT_AND_RETURN = Scenario(
    "The event is cancelled while a user returns one of two tickets, and another asks for fewer",
    (CancelEvent(), cancels("ann", keep=1), cancels("bob", keep=1)),
    before=(books("ann", quantity=2), books("bob", quantity=2)),
    tickets=2,
    rules=GROUPS,
)
SWEEP_AND_RETURNS = Scenario(
    "The sweep comes while a user returns one of two tickets, and another asks for fewer",
    (Sweep(), cancels("ann", keep=1), cancels("bob", keep=1)),
    before=(books("ann", quantity=2), books("bob", quantity=2)),
    tickets=2,
    rules=GROUPS,
)
RETURN_AT_REST = Scenario(
    "A user returns one of two tickets of a resting event, and one waits",
    (),
    before=(books("ann", quantity=2), books("bob"), Sweep(" before")),
    begun=((cancels("ann", keep=1), ""),),
    tickets=2,
    rules=GROUPS,
)

# ---------------------------------------------------------------- back on sale

_SOLD_TO_ONE = (books(_ANN, quantity=2), books(_DAN), cancels(_DAN))  # and known to be sold out
BACK_ON_SALE = Scenario(
    "An event of two lanes is put back on sale while one joins who takes it for sold out",
    (books(_CAT), books(_DAN, " again")),
    before=_SOLD_TO_ONE,
    begun=((cancels(_ANN), ""),),
    tickets=2,
    lanes=2,
    rules=GROUPS,
)
SOLD_OUT_AGAIN = Scenario(
    "An event is sold out again, which two still take for sold out",
    (books(_CAT), books(_DAN, " again")),
    before=_SOLD_TO_ONE,
    then=(cancels(_ANN), books("eve")),
    tickets=2,
    lanes=2,
    rules=GROUPS,
)
GROUP_AGAIN = replace(
    SOLD_OUT_AGAIN,
    name="A group buys out an event that is back on sale, which another still takes for sold out",
    meanwhile=(books(_CAT, quantity=2), books(_DAN, " again")),
    then=(cancels(_ANN),),
)
CLOSED_LATE = Scenario(
    "Lanes are about to be closed when the event has been sold out, and is back on sale",
    (books(_CAT, quantity=2),),
    before=(books(_ANN, quantity=2),),
    begun=(
        (books(_DAN), "Update Lanes, Update Lanes"),
        (books(_BEN), ""),
        (cancels(_BEN), ""),
        (cancels(_ANN), ""),
    ),
    tickets=2,
    lanes=2,
    rules=GROUPS,
    warm=False,
)
SOLD_OUT_LATE = Scenario(
    "An event is about to be marked as sold out when others have done so, and it is back on sale",
    (),
    before=(books("ann"),),
    begun=((books("dan"), "Update Events"), (books("ben"), ""), (cancels("ben"), ""), (cancels("ann"), "")),
)
RELEASED_WHILE_CLOSED = Scenario(
    "A ticket comes back while one who finds none closes the lane, and goes away",
    (cancels("ann"), books("bob"), cancels("bob")),
    before=(books("ann"),),
)
GROUP_RELEASED_WHILE_CLOSED = Scenario(
    "Two tickets come back while one who finds none closes the lane, and takes one of them",
    (cancels("ann"), books("bob")),
    before=(books("ann", quantity=2),),
    tickets=2,
    rules=GROUPS,
)
SECOND_RELEASE = Scenario(
    "A sold-out event gets two more tickets while one leaves the list, another joins and a third asks for two",
    (changes(total_tickets=3), cancels("bob"), books("cat"), books("dan", quantity=2)),
    before=(books("ann"), books("bob")),
    rules=GROUPS,
    prompt=False,
)
SECOND_RELEASE_ON_LANES = Scenario(
    "A sold-out event gets two more tickets on two lanes, while one joins",
    (changes(total_tickets=4), books(_CAT)),
    before=(books(_ANN), books(_BEN), books(_DAN), cancels(_DAN)),
    tickets=2,
    lanes=2,
    prompt=False,
)
REOPENED_AND_CANCELLED = Scenario(
    "An event is cancelled while it is put back on sale",
    (CancelEvent(), books("bob")),
    before=(books("ann"), books("bob", " before"), cancels("bob")),
    begun=((cancels("ann"), ""),),
)
SWEEP_AND_BACK_ON_SALE = Scenario(
    "The sweep comes while an event is put back on sale, and one books",
    (Sweep(), books("cat")),
    before=(books("ann"), books("bob"), cancels("bob")),
    begun=((cancels("ann"), ""),),
)
CROWD_OF_GROUPS = Scenario(
    "Groups book, return some tickets, ask for fewer, cancel and come back, while the event gets more tickets",
    (
        books(_ANN, quantity=2),
        books(_BEN, quantity=3),
        books(_CAT, quantity=3, at_least=2),
        books(_DAN, quantity=2, at_least=1),
        books("eve"),
        cancels(_ANN, keep=1),
        cancels(_BEN, keep=2),
        cancels(_CAT, keep=1),
        cancels(_BEN),
        books(_BEN, " again", quantity=2),
        changes(total_tickets=6),
        Sweep(),
    ),
    tickets=4,
    lanes=2,
    promoters=2,
    rules=GROUPS,
)
CROWD_OF_HOLDING_GROUPS = replace(
    CROWD_OF_GROUPS,
    name=f"{CROWD_OF_GROUPS.name}, and their holds are confirmed and expire",
    meanwhile=(*CROWD_OF_GROUPS.meanwhile, confirms(_ANN), confirms(_CAT), EXPIRES),
    rules=GROUP_HOLDS,
)

GROUP_PLANS = (
    Plan(LAST_THREE),
    Plan(WHATEVER_THERE_IS, short=(CALM, CRASH), whole=(FAULT,)),
    Plan(FROM_TWO_LANES, short=(CALM, CRASH), whole=(FAULT,)),
    Plan(GROUPS_FROM_TWO_LANES),
    Plan(GROUP_COMES_BACK),
    Plan(GROUP_OF_TWO_TABS, short=(CALM,), whole=(FAULT,)),
    Plan(RETURNS_SOME),
    Plan(RETURNS_SOME_AND_COMES_BACK),
    Plan(GROUP_COMES_BACK_LATE, short=(CALM, FAULT), whole=(BOTH,)),
    Plan(GROUP_WAITS),
    Plan(GROUP_WANTS_FEWER),
    Plan(GROUP_LEAVES),
    Plan(GROUP_LEAVES_ALONE, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(GROUP_WANTS_FEWER_TWICE),
    Plan(GROUP_COMES_BACK_IN_LINE),
    Plan(GROUP_LEAVES_LAST),
    Plan(GROUP_TAKES_ONE),
    Plan(GROUP_IN_LINE),
    Plan(GROUPS_OF_LANES),
    Plan(TAKEN_WHILE_RAISED),
    Plan(LOWERED_AND_RETURNED),
    Plan(HOLD_REDUCED),
    Plan(CANCEL_EVENT_AND_RETURN, short=(), whole=(CALM,)),
    Plan(RETURN_AT_REST, short=(FAULT,), whole=(BOTH,)),
    Plan(SWEEP_AND_RETURNS, short=(), whole=(CALM,)),
    Plan(BACK_ON_SALE),
    Plan(SOLD_OUT_AGAIN),
    Plan(GROUP_AGAIN),
    Plan(CLOSED_LATE, short=(), whole=(CALM,)),
    Plan(SOLD_OUT_LATE, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(RELEASED_WHILE_CLOSED),
    Plan(GROUP_RELEASED_WHILE_CLOSED, whole=(CRASH, FAULT)),
    Plan(SECOND_RELEASE, short=()),
    Plan(SECOND_RELEASE_ON_LANES),
    Plan(REOPENED_AND_CANCELLED),
    Plan(SWEEP_AND_BACK_ON_SALE),
    Plan(CROWD_OF_GROUPS, short=()),  # far too many schedules: only walks go through them
    Plan(CROWD_OF_HOLDING_GROUPS, short=()),
)
