"""A sale at human speed, to watch in a browser. `make demo` starts an office for it, and stops both by itself."""

import argparse
import heapq
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

TICKETS, SECOND_RELEASE = 240, 160  # more than are waited for: the event is back on sale
NAMES = (
    "Ada",
    "Ben",
    "Chen",
    "Dora",
    "Emil",
    "Fatima",
    "Grace",
    "Hugo",
    "Ines",
    "Jonas",
    "Kofi",
    "Lena",
    "Mira",
    "Noor",
)
GROUP_MAX = 4  # tickets in one booking
PEOPLE = int(0.9 * TICKETS)
GIVE_UP, PAY = 0.12, 0.85  # the parts of the crowd that leave again, and that pay in time what is held for them
GIVE_SOME = 0.1  # the part of the groups that give a ticket back, or ask for one fewer while they wait
PAY_S_MAX = 8
HOLD_S = 12
LOOK_S_MAX = 10
STOP_S_MAX = 10


class Office:
    """An office, as its clients see it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def send(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """Send a request; return the body of the response, also of a refusal."""
        try:
            with urlopen(
                Request(self.url + path, json.dumps(body).encode() if body else None, method=method)
            ) as response:
                return json.load(response)
        except HTTPError as error:
            return json.load(error)


class Sale:
    """A crowd that wants tickets, one thing after the other, each at its time."""

    def __init__(self, office: Office, seconds: float) -> None:
        self._office, self._seconds = office, seconds
        self._began = time.monotonic()
        self._numbers = count(1)
        self._plans: list[tuple[float, int, Callable[[], None]]] = []
        event = {"name": "Midsummer Night", "venue": "Old Harbour", "totalTickets": TICKETS}
        terms = {"ticketsPerBooking": GROUP_MAX, "holdSeconds": HOLD_S, "confirmedBy": "buyer"}
        self.event_id = office.send("/initialize", event | terms)["eventId"]

    def run(self) -> None:
        """Let people come, ever fewer, until the time is over."""
        arrivals = sorted(self._seconds * random.betavariate(1.2, 2.2) for _ in range(PEOPLE))
        for at in arrivals:
            self._at(at, self._come)
        self._at(0.7 * self._seconds, self._release)
        while self._plans and max(self._plans[0][0], time.monotonic() - self._began) < self._seconds:
            at, _, act = heapq.heappop(self._plans)
            time.sleep(max(0.0, self._began + at - time.monotonic()))
            act()

    def status(self) -> Any:
        """Return the event as it is."""
        return self._office.send(f"/status/{self.event_id}")

    def _at(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._plans, (seconds, next(self._numbers), act))

    def _soon(self, most_s: float, act: Callable[[], None]) -> None:
        self._at(time.monotonic() - self._began + random.uniform(0.2, 1) * most_s, act)

    def _come(self) -> None:
        user = {"userId": f"{random.choice(NAMES)} {next(self._numbers)}", "eventId": self.event_id}
        if random.random() < GIVE_UP:  # with tickets or in line
            self._soon(0.4 * self._seconds, lambda: self._office.send("/cancel", user))
        self._book(user, random.choices(range(1, GROUP_MAX + 1), (3, 4, 1, 2))[0])

    def _book(self, user: dict[str, str], quantity: int) -> None:
        """Book for a group; take what is left if that is less."""
        booking = self._office.send("/book", {**user, "quantity": quantity})
        if booking.get("code") == "too-few-tickets":
            self._soon(LOOK_S_MAX, lambda: self._book(user, booking["availableTickets"]))
        else:
            if quantity > 1 and random.random() < GIVE_SOME:
                fewer = {**user, "keep": quantity - 1}
                self._soon(0.4 * self._seconds, lambda: self._office.send("/cancel", fewer))
            self._go_on(user, booking)

    def _go_on(self, user: dict[str, str], booking: Any) -> None:
        """Pay what is held for this user, in time or never; wait while there is nothing to pay."""
        if booking["status"] == "HELD" and random.random() < PAY:
            paid = {**user, "bookingId": booking["bookingId"]}
            self._soon(PAY_S_MAX, lambda: self._office.send("/confirm", paid))
        elif booking["status"] == "WAITING":
            self._soon(LOOK_S_MAX, lambda: self._go_on(user, self._booking(user)))

    def _booking(self, user: dict[str, str]) -> Any:
        return self._office.send(f"/bookings?{urlencode(user)}")["bookings"][0]

    def _release(self) -> None:
        self._office.send(f"/events/{self.event_id}", {"totalTickets": TICKETS + SECOND_RELEASE}, "PATCH")


@contextmanager
def _office(port: int) -> Iterator[Office]:
    """Run an office that keeps nothing."""
    command = [sys.executable, "-m", "local", "--memory", "--port", str(port), "--expire-every", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        opened = re.search(r"http://[\w.:]+", process.stdout.readline())
        if not opened:
            sys.exit("The office did not start.")
        yield Office(opened[0])
    finally:
        process.terminate()
        process.wait(STOP_S_MAX)


def main() -> None:
    """Open an event, print where to watch it, let the crowd come, and say how it ended."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="how long the sale takes (120)")
    parser.add_argument("--port", type=int, default=3000, help="the port on localhost (3000); 0 picks a free one")
    options = parser.parse_args()
    with _office(options.port) as office:
        sale = Sale(office, options.seconds)
        print(f"As an organiser: {office.url}/#/o/{sale.event_id}")
        print(f"As a buyer:      {office.url}/#/e/{sale.event_id}")
        print(f"At the door:     {office.url}/#/d/{sale.event_id}")
        print(f"The sale takes {options.seconds:.0f} seconds. Ctrl-C stops it earlier.", flush=True)
        try:
            sale.run()
        except KeyboardInterrupt:
            print()
        end = sale.status()
        print(f"Booked: {end['bookedTickets']} of {end['totalTickets']}. Waiting: {end['waitingListCount']}.")


if __name__ == "__main__":
    main()
