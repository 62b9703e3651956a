"""A round: a new office, a crowd and faults; at rest, all lists are read, and the history is judged."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from checker.checks import judge
from checker.checks.story import Story, Violation
from checker.client import Client
from checker.crowd import Crowd, fill, sales
from checker.faults import Clock, Disk, Faults
from checker.history import Exchange, History
from checker.program import CannotStart, Program

BUYERS = 8
BUYERS_OF_DOUBLED = 3  # few, so that changes are fast
CALM_S = 4.0  # at the end of a round, without faults and broken connections
REST_S = 40.0  # until everything is at rest, at most
LOOK_EVERY_S = 2.0
LOOK_AT_HOLDS_S = 0.5
EXCHANGES_MAX = 20_000  # of a round, however long faults make it
EXITS_MAX = 3  # then the round ends
KINDS = ("kill-part", "stop-part", "kill-program", "kill-main", "stop-program", "disk", "clock")
EVENTUALLY = {"lists", "announced", "stream", "cancelled", "holds"}  # promised at rest, not at once
HOLDS_END_S = 60.0  # until the last holds have ended, at most
DUE_SOON_S = 30.0  # a hold with more time left was made while the clock was ahead, and is no reason to wait


@dataclass(frozen=True)
class Plan:
    """The decisions of a round."""

    seed: str
    events: tuple[str, ...]
    faults: tuple[str, ...]
    load_s: float


@dataclass
class Result:
    """The outcome of a round."""

    plan: Plan
    history: History
    violations: list[Violation] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    not_injected: dict[str, str] = field(default_factory=dict)  # kind: why
    slowest_s: float = 0.0

    @property
    def requests(self) -> int:
        """Count the requests that were sent."""
        return sum(one.op not in ("fault", "exit", "listen", "clock") for one in self.history)

    @property
    def acknowledged(self) -> int:
        """Count the changes that were acknowledged."""
        changing = {"initialize", "book", "confirm", "cancel", "change", "cancel-event"}
        return sum(one.op in changing and one.is_done for one in self.history)


def run(plan: Plan, folder: Path) -> Result:
    """Run a round with its data below `folder`, and judge it."""
    rng = random.Random(plan.seed)
    result = Result(plan, History())
    disk, clock = Disk(folder / "disk"), Clock(folder)
    if "disk" in plan.faults:
        disk.mount()
    if "clock" in plan.faults:
        clock.build()
    result.not_injected = {kind: one.why_not for kind, one in (("disk", disk), ("clock", clock)) if one.why_not}
    program = Program(folder / "disk" / "data", folder / "office.log", clock.environment)
    try:
        program.start()
        faults = Faults(program, result.history, disk, clock, rng)
        _run(plan, result, program, faults, rng)
    except CannotStart as error:
        result.history.add(Exchange("exit", time.monotonic(), response=str(error)))
        result.violations = judge(result.history)
    finally:
        program.stop()
        if "disk" in plan.faults:
            disk.unmount()
    result.faults = Counter(one.body["kind"] for one in result.history if one.op == "fault")
    return result


def _run(plan: Plan, result: Result, program: Program, faults: Faults, rng: random.Random) -> None:
    client = Client(program.port, result.history)
    kinds = [kind for kind in plan.faults if kind not in result.not_injected]

    def inject(crowd: Crowd) -> None:
        exits = 0
        order: list[str] = []
        while crowd.goes_on and exits < EXITS_MAX and len(result.history) < EXCHANGES_MAX:
            time.sleep(rng.uniform(0.3, 1.2))
            if kinds and time.monotonic() < crowd.calm_at:
                order = order or rng.sample(kinds, len(kinds))
                with crowd.fault():
                    faults.inject(order.pop())
            with crowd.fault():
                exits += watch(program, result.history)

    result.violations = use(client, plan, rng, inject, lambda: watch(program, result.history))
    result.slowest_s = client.slowest_s


def use(
    client: Client,
    plan: Plan,
    rng: random.Random,
    inject: Callable[[Crowd], None] = lambda _: None,
    at_end: Callable[[], object] = lambda: None,
) -> list[Violation]:
    """Let a crowd use an office while `inject` runs, and judge the history when all has come to rest."""
    listener = Listener(client)
    crowd = Crowd(client, sales(list(plan.events)), 0.0, 0.0)
    look_at_clock(client.history)
    for sale in crowd.sales:
        crowd.open(rng, sale)
        if sale.kind == "doubled":
            fill(crowd, rng, sale)
    crowd.until = time.monotonic() + plan.load_s
    crowd.calm_at = crowd.until - CALM_S
    listener.start()
    try:
        buyers = BUYERS_OF_DOUBLED if plan.events == ("doubled",) else BUYERS
        crowd.run(plan.seed, buyers, lambda: inject(crowd))
        at_end()
        return settle(client, listener, rng)
    finally:
        listener.stop()
        client.close()


def watch(program: Program, history: History) -> bool:
    """Record an exit without a kill, and start the program again so that the round goes on."""
    code = program.exit_code()
    if code is None:
        return False
    text = f"the program exited with {code}, although it was not killed: {program.last_words()}"
    history.add(Exchange("exit", time.monotonic(), response=text))
    program.start()
    return True


class Listener:
    """A client that listens to announcements all the time, and reconnects with the last place when a stream ends."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._place = "0"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="listener")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def catch_up(self) -> None:
        """Listen once more, from the last place to the end of the stream."""
        self.stop()
        self._hear()

    def _listen(self) -> None:
        while not self._stopped.is_set():
            self._hear()
            self._stopped.wait(0.1)

    def _hear(self) -> None:
        told = self._client.listen(self._place).response or []
        if told:
            self._place = told[-1]["place"]


def look_at_clock(history: History) -> None:
    """Record the time of the wall clock: only with it can a history's times be compared with moments."""
    history.add(Exchange("clock", time.monotonic(), response=time.time()))


def settle(client: Client, listener: Listener, rng: random.Random) -> list[Violation]:
    """Fetch all lists until they are right, for a bounded time: background work may still be under way."""
    history = client.history
    time.sleep(CALM_S)  # with the calm at the end of the load: longer than the office works on a request
    wait_for_holds(client, rng)
    look_at_clock(history)
    deadline = time.monotonic() + REST_S
    while True:
        listener.catch_up()
        collect(client, rng)
        violations = judge(history)
        if not any(one.check in EVENTUALLY for one in violations) or time.monotonic() > deadline:
            return violations
        history.move_on()
        time.sleep(LOOK_EVERY_S)


def wait_for_holds(client: Client, rng: random.Random) -> None:
    """Wait until no hold will end soon, for a bounded time: each that ends may be followed by an offer."""
    story = Story(client.history)
    deadline = time.monotonic() + HOLDS_END_S
    for event in [event for event in story.opened if story.rules(event).offer_s]:
        while time.monotonic() < deadline:
            pages = client.pages("event-bookings", rng, event=event, query={"status": "HELD"})
            rows = [row for page in pages if page.is_done for row in page.response["bookings"]]
            left_s = [datetime.fromisoformat(row["expiresAt"]).timestamp() - time.time() for row in rows]
            if all(one > DUE_SOON_S for one in left_s):
                break
            time.sleep(max(min(left_s), LOOK_AT_HOLDS_S))


def collect(client: Client, rng: random.Random) -> None:
    """Fetch every list and every count, and the lists of some users."""
    story = Story(client.history)
    client.pages("events", rng, at_rest=True)
    users = sorted({(event, user) for event, user in story.by_user if event in story.opened})
    for event in story.opened:
        client.pages("event-bookings", rng, event=event, at_rest=True)
        for status in ("HELD", "CONFIRMED"):
            client.pages("event-bookings", rng, event=event, query={"status": status}, at_rest=True)
        client.pages("waiting-list", rng, event=event, at_rest=True)
    for event, user in rng.sample(users, min(20, len(users))):
        client.ask("status", rng, event=event, user=user, at_rest=True)
        client.ask("bookings", rng, user=user, at_rest=True)
    for event in story.opened:
        client.ask("status", rng, event=event, at_rest=True)
    client.listen(at_rest=True)
