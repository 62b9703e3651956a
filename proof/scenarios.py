"""The scenarios that are searched: small enough for every schedule, and together on every path of the protocol."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from proof.explore import Scenario
from proof.operations import MOMENT, Book, Cancel, CancelEvent, Open, Patch, Sweep

CALM = (0, 0)  # crashes and faults in one schedule, at the most
CRASH = (1, 0)
FAULT = (0, 1)
BOTH = (1, 1)

Bounds = tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """A scenario, and with which bounds it is searched: always, and when there is an hour."""

    scenario: Scenario
    short: tuple[Bounds, ...] = (CALM,)
    whole: tuple[Bounds, ...] = ()

    def searches(self, *, whole: bool) -> Iterator[Scenario]:
        """Yield the scenario with each of its bounds."""
        for crashes, faults in (*self.short, *(self.whole if whole else ())):
            yield replace(self.scenario, crashes=crashes, faults=faults)


def books(user: str, tag: str = "", quantity: int = 1, at_least: int | None = None) -> Book:
    """Return a booking by this user."""
    return Book(tag, who=user, quantity=quantity, at_least=at_least)


def cancels(user: str, booking: str | None = None, tag: str = "", keep: int | None = None) -> Cancel:
    """Return a cancellation by this user."""
    return Cancel(tag, who=user, booking=booking, keep=keep)


def changes(tag: str = "", **wanted: Any) -> Patch:
    """Return a change of the event by its organiser."""
    return Patch(tag, wanted=tuple(wanted.items()))


def on_lane(name: str, lane: int, lanes: int) -> str:
    """Return a user whose home is this lane."""
    users = (f"{name}{number}" for number in range(1, 100))
    return next(user for user in users if zlib.crc32(user.encode()) % lanes == lane)


_ANN, _BEN = on_lane("ann", 0, 2), on_lane("ben", 1, 2)
_CAT, _DAN = on_lane("cat", 0, 2), on_lane("dan", 1, 2)
EARLIER, LATER = "2026-05-01T17:00:00.000Z", "2026-05-01T19:00:00.000Z"  # than MOMENT, when all others ask
ALL_BOUNDS = (CALM, CRASH, FAULT)

LAST_TICKET = Scenario("Two users want the last ticket", (books("ann"), books("bob")))
LAST_TICKET_COLD = replace(LAST_TICKET, name=f"{LAST_TICKET.name}, from functions that know nothing", warm=False)
LAST_TICKET_OF_THREE = Scenario("Three users want the last ticket", (books("ann"), books("bob"), books("cat")))
LAST_TICKET_TWICE = Scenario(
    "One user wants the last ticket twice, another once", (books("ann"), books("ann", " too"), books("bob"))
)
TWO_LANES = Scenario("Two users of one lane find the tickets of two", (books(_ANN), books(_CAT)), tickets=2, lanes=2)
CROWDED_LANES = Scenario(
    "Three users want two tickets on two lanes", (books(_ANN), books(_CAT), books(_BEN)), tickets=2, lanes=2
)
COMES_BACK = Scenario(
    "The last ticket comes back while another looks for one", (cancels("ann"), books("bob")), before=(books("ann"),)
)
COMES_BACK_TO_TWO = Scenario(
    "The last ticket comes back while two look for one",
    (cancels("ann"), books("bob"), books("cat")),
    before=(books("ann"),),
)
LANES_COME_BACK = Scenario(
    "The last tickets of two lanes come back while another looks for one",
    (cancels(_ANN), cancels(_BEN), books(_CAT)),
    before=(books(_ANN), books(_BEN)),
    tickets=2,
    lanes=2,
)

CANCELS_TWICE = Scenario(
    "A user cancels twice and books",
    (cancels("ann"), cancels("ann", tag=" too"), books("ann", " again")),
    before=(books("ann"),),
    tickets=2,
)
CANCELS_ONE_TWICE = Scenario(
    "A user cancels one booking by its id twice, and books",
    (cancels("ann", "ann"), cancels("ann", "ann", " too"), books("ann", " again")),
    before=(books("ann"),),
    tickets=2,
)
BOOKS_TWICE = Scenario(
    "A user who came back books twice and cancels",
    (books("ann", " 2"), books("ann", " 3"), cancels("ann")),
    before=(books("ann"), cancels("ann", tag=" before")),
    tickets=2,
)
COMES_AND_GOES = Scenario(
    "A user who came back books, cancels, books and cancels",
    (books("ann", " 2"), cancels("ann"), books("ann", " 3"), cancels("ann", tag=" too")),
    before=(books("ann"), cancels("ann", tag=" before")),
    tickets=3,
)

_SOLD_OUT = (books("ann"), books("bob"))  # of one ticket: ann has it, bob waits
_RELEASED = ((cancels("ann"), ""),)
RELEASE = Scenario("A ticket is released to one who waits", (), before=_SOLD_OUT, begun=_RELEASED)
RELEASE_TO_FIRST = Scenario(
    "A ticket is released to the first of two who wait", (), before=(*_SOLD_OUT, books("cat")), begun=_RELEASED
)
RELEASE_TO_FIRST_OF_STRIPES = replace(RELEASE_TO_FIRST, name=f"{RELEASE_TO_FIRST.name}, on two stripes", stripes=2)
RELEASE_AND_JOIN = Scenario(
    "A ticket is released while one waits and another books", (cancels("ann"), books("cat")), before=_SOLD_OUT
)
RELEASE_AND_JOIN_COLD = replace(
    RELEASE_AND_JOIN, name=f"{RELEASE_AND_JOIN.name}, from functions that know nothing", warm=False
)
HEIR_LEAVES = Scenario("A ticket is released while its heir leaves", (cancels("ann"), cancels("bob")), before=_SOLD_OUT)
HEIR_COMES_BACK = Scenario(
    "A ticket is free while its heir leaves and comes back",
    (cancels("bob"), books("bob", " again")),
    before=_SOLD_OUT,
    begun=_RELEASED,
)
HEIR_COMES_BACK_KNOWN = replace(
    HEIR_COMES_BACK, name=f"{HEIR_COMES_BACK.name}, to functions that read bookings first", meets_comebacks=True
)
HEIR_COMES_BACK_LATER = Scenario(
    "A ticket is free while its heir leaves and comes back behind another",
    (cancels("bob"), books("bob", " again")),
    before=(*_SOLD_OUT, books("cat")),
    begun=_RELEASED,
)
HEIR_LEAVES_TWICE = Scenario(
    "Who waits leaves twice, by bookingId, and comes back",
    (cancels("bob", "bob"), cancels("bob", "bob", " too"), books("bob", " again")),
    before=_SOLD_OUT,
)
# A ticket is free again, and nobody waits; on two lanes one ticket is too few for the event to be back on sale.
_RETURNED = (books(_ANN), books(_BEN), books("bob"), cancels("bob"), cancels(_ANN))
NOBODY_WAITS = Scenario(
    "A ticket is free in a closed lane, nobody waits, and two book",
    (books(_CAT), books("dan")),
    before=_RETURNED,
    tickets=2,
    lanes=2,
)
BOOKS_TWICE_AT_HEAD = replace(
    NOBODY_WAITS,
    name="A user is about to get a ticket that came back, while they book again and cancel",
    meanwhile=(books(_CAT, " too"), cancels(_CAT)),
    begun=((books(_CAT), "Put Bookings, Put Bookings"),),
)
COMES_BACK_IN_LINE = replace(
    NOBODY_WAITS,
    name="A ticket is free in a closed lane, and its former owner books twice and cancels",
    meanwhile=(books(_ANN, " 2"), books(_ANN, " 3"), cancels(_ANN, tag=" 4")),
)
CLOSED_IN_LINE = replace(
    NOBODY_WAITS,
    name="The sale ends while one books a ticket that came back",
    meanwhile=(Patch(wanted=(("closes_at", EARLIER),)), books(_CAT)),
    prompt=False,
)
POSTPONED_IN_LINE = replace(
    NOBODY_WAITS,
    name="The beginning of the sale is postponed while one books a ticket that came back",
    meanwhile=(Patch(wanted=(("opens_at", LATER),)), books(_CAT)),
    prompt=False,
)
CANCEL_EVENT_IN_LINE = replace(
    NOBODY_WAITS,
    name="The event is cancelled while one books a ticket that came back",
    meanwhile=(CancelEvent(), books(_CAT)),
)
SWEEP_AND_TAKES_IN_LINE = Scenario(
    "The sweep comes while two tickets that came back are booked",
    (Sweep(), books("dan"), books("eve")),
    before=(*map(books, ("ann", "bob", "cat", "xen")), *map(cancels, ("xen", "ann", "bob"))),
    tickets=3,
    lanes=3,
)
RELEASE_BESIDE_JOIN = Scenario(
    "A ticket comes back to a sold-out event of two lanes while one joins",
    (cancels(_ANN), books(_CAT)),
    before=_RETURNED[:-1],
    tickets=2,
    lanes=2,
)
TWO_RELEASES = Scenario(
    "Tickets of two lanes are released to two who wait",
    (cancels(_ANN), cancels(_BEN)),
    before=(books(_ANN), books(_BEN), books(_CAT), books(_DAN)),
    tickets=2,
    lanes=2,
    promoters=2,
)
TWO_PROMOTERS = Scenario(
    "A ticket is released and another joins, before two promoters",
    (cancels(_ANN), books(_DAN)),
    before=(books(_ANN), books(_BEN), books(_CAT)),
    tickets=2,
    lanes=2,
    promoters=2,
)
SWEEP_AND_TWO_RELEASES = Scenario(
    "The sweep comes after tickets of two lanes were released to two who wait",
    (Sweep(),),
    before=TWO_RELEASES.before,
    begun=((cancels(_ANN), ""), (cancels(_BEN), "")),
    tickets=2,
    lanes=2,
    promoters=2,
)
LATE_JOINER = Scenario(
    "Who drew the first number joins last, before tickets on two lanes",
    (),
    before=(books(_ANN), books(_BEN)),
    begun=(
        (books("eve"), "Put WaitingList"),
        *((books(user), "") for user in (_CAT, _DAN)),
        *((cancels(user), "") for user in (_ANN, _BEN)),
    ),
    tickets=2,
    lanes=2,
)
LATE_JOINER_OF_STRIPES = replace(LATE_JOINER, name=f"{LATE_JOINER.name}, and two stripes", stripes=2)
GROWING_PAGE = Scenario(
    "The list grows in front of a page while it is read",
    (books("dan"),),
    before=(books("ann"), books("bob"), books("cat"), books("xen")),
    begun=(
        (books("eve"), "Put WaitingList"),
        (books("mia"), ""),
        *((cancels(user), "") for user in ("ann", "bob", "cat")),
    ),
    tickets=3,
    warm=False,
)
GROWING_STRIPES = replace(GROWING_PAGE, name=f"{GROWING_PAGE.name}, on two stripes", stripes=2)

LEFT_AND_BOOKS_TWICE = Scenario(
    "Who left the list books twice and leaves",
    (books("bob", " 2"), books("bob", " 3"), cancels("bob")),
    before=(*_SOLD_OUT, cancels("bob", tag=" before")),
)

OPENED_TWICE = Scenario("The event is opened again while a ticket is sold", (Open(" again"), books("ann")))

SWEEP_AND_RELEASE = Scenario(
    "The sweep comes while a ticket is released to one who waits", (cancels("ann"), Sweep()), before=_SOLD_OUT
)
SWEEP_AND_RELEASES = Scenario(
    "The sweep comes while both tickets are released to one who waits",
    (Sweep(), cancels("ann"), cancels("bob")),
    before=(books("ann"), books("bob"), books("cat")),
    tickets=2,
)
SWEEP_AND_JOINS = Scenario(
    "The sweep comes while two join",
    (Sweep(),),
    before=_SOLD_OUT,
    begun=((books("cat"), "Put WaitingList"), (books("dan"), "Put WaitingList")),
)
SWEEP_AND_LEAVES = Scenario(
    "The sweep comes while both who wait leave",
    (cancels("bob"), cancels("cat"), Sweep()),
    before=(*_SOLD_OUT, books("cat")),
)
_BEFORE_REST = Sweep(" before")  # finds all in order, so the event rests
RELEASE_AT_REST = Scenario(
    "A ticket of a resting event is released to one who waits", (), before=(*_SOLD_OUT, _BEFORE_REST), begun=_RELEASED
)
REST_AND_RELEASE = Scenario(
    "A ticket is released when the sweep has found all in order, before it lets the event rest",
    (),
    before=_SOLD_OUT,
    begun=((Sweep(), "Update Lanes"), *_RELEASED),
)
RAISE_AT_REST = Scenario(
    "More tickets for a resting event, and one waits",
    (changes(total_tickets=2),),
    before=(*_SOLD_OUT, _BEFORE_REST),
)
JOIN_AT_REST = Scenario(
    "A ticket is released and the event rests while another joins",
    (),
    before=(books(_ANN), books(_BEN), books(_CAT), cancels(_CAT, tag=" before")),
    begun=((books(_DAN), "Put WaitingList"), (cancels(_ANN), ""), (_BEFORE_REST, "")),
    tickets=2,
    lanes=2,
)
SWEEP_AND_LANES = Scenario(
    "The sweep comes while tickets of two lanes move",
    (cancels(_ANN), cancels(_CAT), Sweep()),
    before=(books(_ANN), books(_BEN), books(_CAT)),
    tickets=2,
    lanes=2,
)

_CANCEL_EVENTS = CancelEvent()
CANCEL_EVENT_AND_BOOK = Scenario("The event is cancelled while a user books", (_CANCEL_EVENTS, books("ann")))
CANCEL_EVENT_AND_BOOK_TWICE = Scenario(
    "The event is cancelled while a user books twice", (_CANCEL_EVENTS, books("ann"), books("ann", " too")), tickets=2
)
CANCEL_EVENT_LAST_TICKET = Scenario(
    "The event is cancelled while two users want the last ticket", (_CANCEL_EVENTS, books("ann"), books("bob"))
)
CANCEL_EVENT_SOLD_OUT = Scenario(
    "The event is cancelled when one has the ticket and another waits", (_CANCEL_EVENTS,), before=_SOLD_OUT
)
CANCEL_EVENT_TWICE = Scenario("The event is cancelled twice", (_CANCEL_EVENTS, CancelEvent(" too")), before=_SOLD_OUT)
CANCEL_EVENT_AND_RELEASE = Scenario(
    "The event is cancelled while a ticket is released to one who waits",
    (_CANCEL_EVENTS, cancels("ann")),
    before=_SOLD_OUT,
)
CANCEL_EVENT_AND_PROMOTE = Scenario(
    "The event is cancelled while one who waits is promoted", (_CANCEL_EVENTS,), before=_SOLD_OUT, begun=_RELEASED
)
CANCEL_EVENT_AND_LEAVE = Scenario(
    "The event is cancelled while who waits leaves", (_CANCEL_EVENTS, cancels("bob")), before=_SOLD_OUT
)
CANCEL_EVENT_AND_JOIN = Scenario(
    "The event is cancelled while another joins",
    (_CANCEL_EVENTS,),
    before=_SOLD_OUT,
    begun=((books("cat"), "WaitingList"),),
)
CANCEL_EVENT_AND_COME_BACK = Scenario(
    "The event is cancelled while a user cancels and comes back",
    (_CANCEL_EVENTS, cancels("ann"), books("ann", " again")),
    before=(books("ann"),),
    tickets=2,
)
CANCEL_EVENT_LANES = Scenario(
    "An event of two lanes is cancelled while a user books",
    (_CANCEL_EVENTS, books(_CAT)),
    before=(books(_ANN), books(_BEN)),
    tickets=3,
    lanes=2,
)
CANCEL_EVENT_AND_LATE_TAKE = Scenario(
    "The event is cancelled while a booking is on its way, and the ticket comes back",
    (cancels("cat"),),
    begun=((books("ann"), "Bookings"), (books("cat"), ""), (_CANCEL_EVENTS, "Lanes")),
)
CANCEL_EVENT_AND_RENAME = Scenario(
    "The event is cancelled while it gets another name", (_CANCEL_EVENTS, changes(name="A"))
)
CANCEL_EVENT_AND_ADD = Scenario(
    "The event is cancelled while it gets another ticket", (_CANCEL_EVENTS, changes(total_tickets=2))
)
CANCEL_EVENT_AND_LIMIT = Scenario(
    "The event is cancelled while its waiting list gets a limit", (_CANCEL_EVENTS, changes(waiting_list_limit=1))
)
CANCEL_EVENT_AND_RAISE = Scenario(
    "The event is cancelled while it gets another ticket, for which somebody waits",
    (_CANCEL_EVENTS, changes(total_tickets=2)),
    before=_SOLD_OUT,
    prompt=False,
)
CANCEL_EVENT_AND_SWEEP = Scenario(
    "The sweep comes while the event is cancelled, and a ticket is free",
    (Sweep(), _CANCEL_EVENTS),
    before=_SOLD_OUT,
    begun=_RELEASED,
)
# Changes of the total take several requests. In most of these scenarios the background comes after the organisers, who
# are otherwise the ones to meet each other: it does the same.

RAISED_FOR_WAITING = Scenario(
    "A sold-out event gets another ticket while one waits and another books",
    (changes(total_tickets=2), books("cat")),
    before=_SOLD_OUT,
    prompt=False,
)
RAISED_AND_RELEASED = Scenario(
    "A sold-out event gets another ticket while one is released",
    (changes(total_tickets=2), cancels("ann")),
    before=(*_SOLD_OUT, books("cat")),
    prompt=False,
)
RAISED_AT_LAST_TICKET = Scenario(
    "An event gets another ticket while one looks for the last",
    (changes(total_tickets=2), books("bob")),
    before=(books("ann"),),
    prompt=False,
)
RAISED_ON_LANES = Scenario(
    "A sold-out event gets tickets on two lanes while one waits",
    (changes(total_tickets=4),),
    before=(books(_ANN), books(_BEN), books(_CAT)),
    tickets=2,
    lanes=2,
)
LOWERED_AND_BOOKED = Scenario(
    "An event loses its last ticket while one books",
    (changes(total_tickets=1), books("bob")),
    before=(books("ann"),),
    tickets=2,
    prompt=False,
)
LOWERED_AND_RELEASED = Scenario(
    "An event is to lose a ticket while one is released",
    (changes(total_tickets=1), cancels("ann")),
    before=(books("ann"), books("bob")),
    tickets=2,
    prompt=False,
)
LOWERED_AND_WAITING = Scenario(
    "A released ticket is taken away while somebody waits for it",
    (changes(total_tickets=1),),
    before=(books("ann"), books("bob"), books("cat")),
    begun=((cancels("ann"), ""),),
    tickets=2,
    prompt=False,
)
LOWERED_BESIDE_TWO = Scenario(
    "One of two released tickets is taken away while two wait for them",
    (changes(total_tickets=1),),
    before=(books(_ANN), books(_BEN), books(_CAT), books(_DAN)),
    begun=((cancels(_ANN), ""), (cancels(_BEN), "")),
    tickets=2,
    lanes=2,
    prompt=False,
)
LOWERED_AND_PUT_BACK = Scenario(
    "An event is to lose tickets of two lanes, of which one is booked meanwhile",
    (changes(total_tickets=1), books(_CAT)),
    before=(books(_ANN),),
    tickets=3,
    lanes=2,
    prompt=False,
)
RAISED_TWICE = Scenario(
    "A sold-out event gets the same tickets twice, while the promoter hands them out",
    (changes(total_tickets=4), changes(" too", total_tickets=4)),
    before=(books(_ANN), books(_BEN), books(_CAT)),
    tickets=2,
    lanes=2,
    drained=False,
    prompt=False,
)
RAISED_TWICE_HALF = replace(
    RAISED_TWICE,
    name="Two requests are about to give a sold-out event the same ticket, while the promoter hands it out",
    meanwhile=(),
    begun=((changes(total_tickets=3), "Update Lanes"), (changes(" too", total_tickets=3), "Update Lanes")),
)
RAISED_AND_LEAVES = Scenario(
    "A sold-out event gets another ticket while its heir leaves",
    (changes(total_tickets=2), cancels("bob")),
    before=_SOLD_OUT,
    drained=False,
    prompt=False,
)
RAISED_AND_LEFT = Scenario(
    "A sold-out event gets another ticket while its heir leaves and comes back",
    (changes(total_tickets=2), cancels("bob"), books("bob", " again")),
    before=_SOLD_OUT,
    prompt=False,
)
RAISED_TWICE_AND_LEFT = replace(
    RAISED_TWICE,
    name="A sold-out event gets the same tickets twice, while one who waits leaves and comes back",
    meanwhile=(*RAISED_TWICE.meanwhile, cancels(_CAT), books(_CAT, " again")),
)
CUT_SHORT = Scenario(
    "An organiser does not insist on more tickets, for which one waits",
    (replace(changes(total_tickets=4), insists=False),),
    before=(books(_ANN), books(_BEN), books(_CAT)),
    tickets=2,
    lanes=2,
)
LOWERED_TWICE = Scenario(
    "An event that is booked up is to lose the same ticket twice",
    (changes(total_tickets=1), changes(" too", total_tickets=1)),
    before=(books("ann"), books("bob")),
    tickets=2,
    prompt=False,
)
LOWERED_TWICE_AND_RELEASED = replace(
    LOWERED_TWICE,
    name="An event is to lose the same ticket twice, while one is released",
    meanwhile=(*LOWERED_TWICE.meanwhile, cancels("ann")),
)
LOWERED_ON_LANES = Scenario(
    "An event is to lose one of two tickets, of which one is released and another booked",
    (changes(total_tickets=1), cancels(_ANN), books(_DAN)),
    before=(books(_ANN),),
    tickets=2,
    lanes=2,
    prompt=False,
)
LOWERED_THEN_CLOSED = Scenario(
    "An event is to lose a ticket, and to close, while one books",
    (changes(total_tickets=1, closes_at=EARLIER), books("bob")),
    before=(books("ann"),),
    tickets=2,
    prompt=False,
)
WINDOW_TWICE = Scenario(
    "An end of the sale is about to reach a lane while another is set, and one books",
    (changes(closes_at=LATER), books("ann")),
    begun=((changes(closes_at=EARLIER), "Update Lanes"),),
    prompt=False,
)
SAME_REVISION = Scenario(
    "Two organisers change the same revision",
    (replace(changes(name="A"), revision=0), replace(changes(total_tickets=2), revision=0)),
    prompt=False,
)
RENAMED_AND_RAISED = Scenario(
    "An event gets all terms anew, twice, while one joins",
    (changes(name="A", total_tickets=2, opens_at=EARLIER, closes_at=LATER, waiting_list_limit=3), books("cat")),
    before=(*_SOLD_OUT, changes(waiting_list_limit=2, opens_at=None)),
    prompt=False,
)
CHANGED_TWICE = Scenario(
    "An event gets more tickets and fewer at once",
    (changes(total_tickets=3), changes(total_tickets=1)),
    tickets=2,
    lanes=2,
    prompt=False,
)
CHANGED_TWICE_AND_BOOKED = Scenario(
    "An event gets more tickets and fewer while one books",
    (changes(total_tickets=3), changes(total_tickets=1), books("ann")),
    tickets=2,
    prompt=False,
)
RENAMED = Scenario(
    "An event gets another name while one books",
    (changes(name="A", venue=None), books("ann")),
    before=(changes(venue="V"),),
)
RENAMED_TWICE = Scenario("An event gets two names at once", (changes(name="A"), changes(name="B")))
CLOSED_AND_BOOKED = Scenario(
    "The sale ends while two book", (changes(closes_at=EARLIER), books("ann"), books("bob")), tickets=2, prompt=False
)
CLOSED_AND_JOINED = Scenario(
    "The sale of a sold-out event ends while one joins",
    (changes(closes_at=EARLIER), books("cat")),
    before=_SOLD_OUT,
    prompt=False,
)
POSTPONED = Scenario(
    "The beginning of the sale is postponed on two lanes while two book",
    (changes(opens_at=LATER), books(_ANN), books(_BEN)),
    tickets=2,
    lanes=2,
    prompt=False,
)
ADVANCED = Scenario(
    "The sale begins at once while one books, and another again",
    (changes(opens_at=None), books("ann"), books("bob", " again")),
    before=(books("bob"), changes(opens_at=LATER)),
    tickets=2,
    prompt=False,
)
PROLONGED = Scenario(
    "The sale is extended while a user who had cancelled books again",
    (changes(closes_at=None), books("ann", " again")),
    before=(books("ann"), cancels("ann"), changes(closes_at=MOMENT)),
    tickets=2,
    prompt=False,
)
POSTPONED_FOR_WAITING = Scenario(
    "The beginning of the sale is postponed while one joins",
    (changes(opens_at=LATER), books("cat")),
    before=_SOLD_OUT,
    prompt=False,
)
WINDOWS_CROSS = Scenario(
    "The sale is to begin later and to end earlier at once, which cannot be",
    (changes(opens_at=LATER), changes(closes_at=EARLIER)),
)
LIMITED = Scenario(
    "The waiting list is full while one leaves and another comes",
    (cancels("bob"), books("cat")),
    before=(*_SOLD_OUT, changes(waiting_list_limit=1)),
)
LIMITED_TO_NOBODY = Scenario(
    "A ticket comes back, and nobody may wait",
    (cancels("ann"), books("bob")),
    before=(books("ann"), changes(waiting_list_limit=0), books("cat")),
)
LIMITED_FOR_TWO_TABS = Scenario(
    "One may wait, and a user books in two tabs and leaves the list",
    (books("ann"), books("ann", " too"), cancels("ann")),
    before=(books("bob"), changes(waiting_list_limit=1), books("cat"), cancels("cat")),
)
UNLIMITED = Scenario(
    "The limit of a waiting list is lifted while somebody comes",
    (changes(waiting_list_limit=None), books("bob")),
    before=(books("ann"), changes(waiting_list_limit=0), books("cat")),
)
SWEEP_AND_RAISES = Scenario(
    "The sweep comes while a sold-out event gets tickets on two lanes",
    (changes(total_tickets=4), Sweep()),
    before=(books(_ANN), books(_BEN), books(_CAT), books(_DAN)),
    tickets=2,
    lanes=2,
    prompt=False,
)

CROWD = Scenario(
    "Five users book, cancel and come back, while the sweep comes",
    (
        *map(books, (_ANN, _BEN, _CAT, _DAN, "eve")),
        *map(cancels, (_ANN, _BEN, _CAT)),
        books(_ANN, " again"),
        cancels(_ANN, tag=" again"),
        Sweep(),
    ),
    tickets=2,
    lanes=2,
    promoters=2,
)

PLANS = (
    Plan(LAST_TICKET, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(LAST_TICKET_COLD, short=ALL_BOUNDS),
    Plan(LAST_TICKET_OF_THREE),
    Plan(LAST_TICKET_TWICE, whole=(CRASH,)),
    Plan(TWO_LANES, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(CROWDED_LANES, whole=(CRASH, FAULT)),
    Plan(COMES_BACK, short=(CALM, CRASH), whole=(FAULT,)),
    Plan(COMES_BACK_TO_TWO, short=()),  # too many schedules: only walks go through it
    Plan(LANES_COME_BACK),  # with a crash there are too many schedules, as for others below: walks go through them
    Plan(CANCELS_TWICE, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(CANCELS_ONE_TWICE, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(BOOKS_TWICE, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(COMES_AND_GOES, short=(CALM,), whole=(FAULT,)),
    Plan(RELEASE, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(RELEASE_TO_FIRST, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(RELEASE_TO_FIRST_OF_STRIPES, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(RELEASE_AND_JOIN, short=(CALM, CRASH), whole=(FAULT,)),
    Plan(RELEASE_AND_JOIN_COLD, whole=(CRASH,)),
    Plan(HEIR_LEAVES, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(HEIR_COMES_BACK, whole=(CRASH, FAULT)),
    Plan(HEIR_COMES_BACK_KNOWN, short=(CALM, CRASH), whole=(FAULT,)),
    Plan(HEIR_COMES_BACK_LATER, whole=(FAULT,)),
    Plan(HEIR_LEAVES_TWICE, whole=(CRASH, FAULT)),
    Plan(NOBODY_WAITS, short=(CALM, CRASH), whole=(FAULT,)),
    Plan(BOOKS_TWICE_AT_HEAD, whole=(CRASH, FAULT)),
    Plan(COMES_BACK_IN_LINE, whole=(CRASH, FAULT)),
    Plan(CLOSED_IN_LINE, whole=(CRASH, FAULT)),
    Plan(POSTPONED_IN_LINE, whole=(CRASH, FAULT)),
    Plan(CANCEL_EVENT_IN_LINE, whole=(CRASH,)),
    Plan(SWEEP_AND_TAKES_IN_LINE, short=(), whole=(CALM,)),
    Plan(RELEASE_BESIDE_JOIN, short=(CALM, CRASH), whole=(FAULT,)),
    Plan(TWO_RELEASES, short=ALL_BOUNDS),
    Plan(TWO_PROMOTERS, short=(CALM, CRASH), whole=(FAULT,)),
    Plan(SWEEP_AND_TWO_RELEASES, whole=(CRASH, FAULT)),
    Plan(LATE_JOINER, whole=(CRASH, FAULT)),
    Plan(LATE_JOINER_OF_STRIPES, whole=(CRASH,)),
    Plan(GROWING_PAGE, short=(), whole=(CALM,)),
    Plan(GROWING_STRIPES, short=(), whole=(CALM,)),
    Plan(SWEEP_AND_RELEASE, whole=(CRASH, FAULT)),
    Plan(OPENED_TWICE, short=ALL_BOUNDS),
    Plan(LEFT_AND_BOOKS_TWICE),
    Plan(SWEEP_AND_LEAVES, whole=(CRASH, FAULT)),
    Plan(SWEEP_AND_RELEASES, short=(), whole=(CALM,)),
    Plan(SWEEP_AND_JOINS, short=(), whole=(CALM,)),
    Plan(REST_AND_RELEASE, short=(CALM, FAULT), whole=(BOTH,)),
    Plan(RELEASE_AT_REST, short=(CALM, FAULT), whole=(BOTH,)),
    Plan(RAISE_AT_REST, short=(CALM,), whole=(FAULT, BOTH)),
    Plan(JOIN_AT_REST, short=(CALM, FAULT), whole=(BOTH,)),
    Plan(SWEEP_AND_LANES, short=(), whole=(CALM,)),
    Plan(RAISED_FOR_WAITING),
    Plan(RAISED_AND_RELEASED, whole=(CRASH, FAULT)),
    Plan(RAISED_AND_LEAVES, whole=(CRASH, FAULT)),
    Plan(RAISED_AND_LEFT, short=(), whole=(CALM,)),
    Plan(RAISED_AT_LAST_TICKET, short=(), whole=(CALM,)),
    Plan(RAISED_ON_LANES, whole=(CRASH,)),
    Plan(RAISED_TWICE, short=()),
    Plan(RAISED_TWICE_HALF),
    Plan(RAISED_TWICE_AND_LEFT, short=()),
    Plan(CUT_SHORT, short=(), whole=(CRASH,)),
    Plan(LOWERED_AND_BOOKED, whole=(CRASH, FAULT)),
    Plan(LOWERED_AND_RELEASED, short=(CALM, CRASH), whole=(FAULT,)),
    Plan(LOWERED_AND_WAITING, short=(CALM, CRASH), whole=(FAULT,)),
    Plan(LOWERED_BESIDE_TWO, whole=(CRASH,)),
    Plan(LOWERED_AND_PUT_BACK),
    Plan(LOWERED_TWICE),
    Plan(LOWERED_TWICE_AND_RELEASED, short=(), whole=(CALM,)),
    Plan(LOWERED_ON_LANES, short=(), whole=(CALM,)),
    Plan(LOWERED_THEN_CLOSED, whole=(CRASH, FAULT)),
    Plan(CHANGED_TWICE, short=(), whole=(CALM,)),
    Plan(CHANGED_TWICE_AND_BOOKED, short=()),
    Plan(SAME_REVISION, whole=(CRASH, FAULT)),
    Plan(RENAMED, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(RENAMED_TWICE, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(RENAMED_AND_RAISED, short=(), whole=(CALM,)),
    Plan(CLOSED_AND_BOOKED, whole=(CRASH, FAULT)),
    Plan(CLOSED_AND_JOINED, whole=(CRASH, FAULT)),
    Plan(POSTPONED, whole=(CRASH, FAULT)),
    Plan(POSTPONED_FOR_WAITING, whole=(CRASH, FAULT)),
    Plan(ADVANCED, whole=(CRASH, FAULT)),
    Plan(PROLONGED, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(WINDOWS_CROSS, whole=(CRASH,)),
    Plan(WINDOW_TWICE, whole=(CRASH, FAULT)),
    Plan(LIMITED, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(LIMITED_TO_NOBODY, whole=(CRASH, FAULT)),
    Plan(LIMITED_FOR_TWO_TABS),
    Plan(UNLIMITED, whole=(CRASH, FAULT)),
    Plan(CANCEL_EVENT_AND_BOOK, short=(CALM, CRASH), whole=(FAULT,)),
    Plan(CANCEL_EVENT_AND_BOOK_TWICE, whole=(CRASH,)),
    Plan(CANCEL_EVENT_LAST_TICKET, short=(), whole=(CALM,)),
    Plan(CANCEL_EVENT_SOLD_OUT, short=ALL_BOUNDS, whole=(BOTH,)),
    Plan(CANCEL_EVENT_TWICE, whole=(CRASH, FAULT)),
    Plan(CANCEL_EVENT_AND_RELEASE, whole=(CRASH, FAULT)),
    Plan(CANCEL_EVENT_AND_PROMOTE, whole=(CRASH, FAULT)),
    Plan(CANCEL_EVENT_AND_LEAVE, whole=(CRASH, FAULT)),
    Plan(CANCEL_EVENT_AND_JOIN, whole=(CRASH, FAULT)),
    Plan(CANCEL_EVENT_AND_COME_BACK, short=(), whole=(CALM,)),
    Plan(CANCEL_EVENT_LANES, whole=(CRASH, FAULT)),
    Plan(CANCEL_EVENT_AND_LATE_TAKE, short=(), whole=(CALM, FAULT)),
    Plan(CANCEL_EVENT_AND_RENAME, whole=(CRASH, FAULT)),
    Plan(CANCEL_EVENT_AND_ADD, whole=(CRASH, FAULT)),
    Plan(CANCEL_EVENT_AND_LIMIT),
    Plan(CANCEL_EVENT_AND_RAISE, whole=(CRASH, FAULT)),
    Plan(CANCEL_EVENT_AND_SWEEP, short=(), whole=(CALM,)),
    Plan(SWEEP_AND_RAISES, short=(), whole=(CALM,)),
    Plan(CROWD, short=()),  # far too many schedules: only walks go through it
)
