"""Book a ticket and, if necessary, wait for it: OFFICE=https://... TOKEN=... python book_and_wait.py EVENT USER."""

import json
import os
import random
import sys
import time
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

TRIES_MAX = 8  # within about two minutes
NOT_NOW = {429, 500, 502, 503, 504}  # sending the same request again is safe, and may succeed
LOOK_EVERY_S = float(os.environ.get("LOOK_EVERY_S", "15"))


def ask(path: str, body: dict[str, str] | None = None) -> Any:
    """Send a request until there is a response. Repeating it is safe, even if only the response was lost."""
    headers = {"Authorization": f"Bearer {os.environ.get('TOKEN', '')}"}
    request = Request(os.environ["OFFICE"] + path, json.dumps(body).encode() if body else None, headers)
    for tries in range(TRIES_MAX):
        pause_s = 0.0
        try:
            with urlopen(request, timeout=15) as response:  # longer than the office takes to give up
                return json.load(response)
        except HTTPError as error:
            if error.code not in NOT_NOW:
                sys.exit(error.read().decode())
            pause_s = float(error.headers.get("Retry-After", 0))
        except OSError:
            pass  # no connection, or no response
        time.sleep(pause_s + random.uniform(0, 2**tries))  # longer each time, and different for each client
    sys.exit("The ticket office does not respond.")


def main(event_id: str, user_id: str) -> None:
    """Book, then poll until the booking no longer waits."""
    booking = ask("/book", {"userId": user_id, "eventId": event_id})
    while booking["status"] == "WAITING":
        print("waiting at", booking["position"], flush=True)
        time.sleep(LOOK_EVERY_S * random.uniform(0.5, 1.5))
        [booking] = ask(f"/bookings?userId={quote(user_id, safe='')}&eventId={event_id}")["bookings"]
    print(booking["status"], booking["bookingId"])


main(*sys.argv[1:])
