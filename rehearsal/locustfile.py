"""The crowd of a rehearsal, for Locust: buyers who arrive when the sale opens.

A buyer books, watches the waiting list, pays for a hold, gives it back or watches how it expires, and sometimes gives
up. Each does that once; the run ends when all have. `python -m rehearsal` starts it; the variables below can also be
set by hand, to let several machines share a crowd: https://docs.locust.io/en/stable/running-distributed.html
"""

import os
import random
import time
from datetime import datetime
from itertools import cycle
from math import inf
from typing import Any

from locust import HttpUser, task
from locust.exception import StopUser

EVENT = os.environ["REHEARSAL_EVENT"]
OPENS_AT_S = float(os.environ.get("REHEARSAL_OPENS_AT", "0"))  # seconds since 1970
BUYERS = int(os.environ.get("REHEARSAL_BUYERS", "1"))
SHOP_TOKEN = os.environ.get("SHOP_TOKEN", "")  # which acts for all buyers

ARRIVAL_S = 3.0  # on average after the opening; most come at once
TRIES_MAX = 8  # of a request that is answered with 503, as docs/clients.md asks of clients
LOOKS_MAX = 10  # at the waiting list
OVERDUE_S = 120.0  # a hold ends so long after its time at the latest: H3 in docs/guarantees.md

OK, CREATED, ACCEPTED, CONFLICT, TRY_AGAIN = 200, 201, 202, 409, 503


_buyers = iter(range(BUYERS))
_left = {"buyers": BUYERS}
# What buyers do who have the choice, one after another, so that a small crowd does all of it, too.
_leaves_the_list = cycle([True, False, False])
_returns_the_ticket = cycle([False] * 9 + [True])
_ends_the_hold = cycle(["pay", "return", "pay", "pay", "pay", "pay", "pay", "expire", "pay", "expire"])


class Buyer(HttpUser):
    """One buyer."""

    @task
    def buys(self) -> None:
        """Take an id, and do everything that a buyer does, once."""
        number = next(_buyers, None)
        if number is None:
            raise StopUser  # while the crowd arrives, Locust replaces buyers who are done
        self._user_id = f"rehearsal-{number}"
        if SHOP_TOKEN:
            self.client.headers["Authorization"] = f"Bearer {SHOP_TOKEN}"
        try:
            self._buy()
        finally:
            _left["buyers"] -= 1
            if not _left["buyers"]:
                self.environment.runner.quit()
        raise StopUser

    def _buy(self) -> None:
        time.sleep(max(0.0, OPENS_AT_S - time.time()) + random.expovariate(1 / ARRIVAL_S))
        booking = self._post("/book", CREATED, OK, ACCEPTED)
        for _ in range(LOOKS_MAX):
            if booking.get("status") != "WAITING":
                break
            time.sleep(random.uniform(0.5, 1.5))
            booking = self._look() or booking
        status = booking.get("status")
        if status == "HELD":
            self._end_hold(booking)
        elif (status == "WAITING" and next(_leaves_the_list)) or (status == "CONFIRMED" and next(_returns_the_ticket)):
            self._post("/cancel", OK, bookingId=booking["bookingId"])

    def _end_hold(self, booking: dict[str, Any]) -> None:
        """Pay for a hold, give it back, or watch it until it has expired."""
        how = next(_ends_the_hold)
        if how == "expire":
            until_s = datetime.fromisoformat(booking["expiresAt"]).timestamp() + OVERDUE_S
            while booking.get("status") == "HELD" and time.time() < until_s:
                time.sleep(random.uniform(1.0, 3.0))
                booking = self._look(until_s) or booking
            return
        time.sleep(random.uniform(0.5, 2.0))
        if how == "pay":  # too late, and the hold may have expired: 409
            self._post("/confirm", OK, CONFLICT, bookingId=booking["bookingId"], reference=self._user_id)
        else:
            self._post("/cancel", OK, CONFLICT, bookingId=booking["bookingId"])

    def _look(self, held_until_s: float = inf) -> dict[str, Any] | None:
        """Return the buyer's booking. One that is held after that time is a failure in the report."""
        path = f"/status/{EVENT}"
        with self.client.get(
            path, params={"userId": self._user_id}, name="/status/{eventId}", catch_response=True
        ) as response:
            if response.status_code != OK:
                response.failure(f"{response.status_code}: {response.text[:200]}")
                return None
            found: dict[str, Any] | None = response.json().get("booking")
            if found and found["status"] == "HELD" and time.time() > held_until_s:
                response.failure(f"a hold has not expired {OVERDUE_S:.0f} s after its time")
            return found

    def _post(self, path: str, *right: int, **more: str) -> dict[str, Any]:
        """Send a request until it is answered; any status that is not right is a failure in the report."""
        body = {"userId": self._user_id, "eventId": EVENT, **more}
        for attempt in range(TRIES_MAX):
            with self.client.post(path, json=body, catch_response=True) as response:
                if response.status_code in right:
                    response.success()
                    found: dict[str, Any] = response.json()
                    return found
                if response.status_code == TRY_AGAIN and attempt < TRIES_MAX - 1:
                    response.request_meta["name"] = f"{path}, told to try again"
                    response.success()  # the office is busy, and the buyer will be served
                else:
                    response.failure(f"{response.status_code}: {(response.text or str(response.error))[:200]}")
                if response.status_code not in (0, TRY_AGAIN):  # 0: no response, so the same request again
                    return {}
            time.sleep(random.uniform(0, min(8.0, 0.25 * 2**attempt)))
        return {}
