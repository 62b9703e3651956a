"""The event bus: EventBridge's PutEvents over our own wire, in batches and with bounds.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from functions.announce.announcements import Announcement
from shared import runtime
from shared.store.aws_client import Client, Service
from shared.telemetry import logger

SOURCE: Final = "ticket-office"  # for rules; which stack it was, the CloudEvent's own source says
ENTRIES_MAX = 10  # of one PutEvents, EventBridge's limit
BYTES_MAX = 256 * 1024  # of one PutEvents; ten of our largest are 50 KB
TRIES_MAX = 6  # of one batch, within one invocation; after that Lambda brings the records again
PAUSE_S_MAX = 0.2  # before the second try, twice that before the third, and so on
CALL_S_MAX = 7.0  # the wire waits 1 s for a connection and each step of TLS, 2 s for sending, 2 s for an answer
EVENTBRIDGE: Final = Service("events", "AWSEvents", "1.1", "events", "AWS_ENDPOINT_URL_EVENTBRIDGE")


def put(announcements: Sequence[Announcement], until_s: float) -> int:
    """Put announcements on the bus in their order; return how many were taken before the first that was not.

    `until_s`, on the monotonic clock, is when it must be over. Of those after the first that was not taken some may
    have been.
    """
    done = 0
    for start in range(0, len(announcements), ENTRIES_MAX):
        batch = announcements[start : start + ENTRIES_MAX]
        taken = _put(batch, until_s)
        done += taken
        if taken < len(batch):
            break
    return done


def entry(announcement: Announcement) -> dict[str, Any]:
    """Write an announcement as an entry of PutEvents: the whole CloudEvent is its detail."""
    return {
        "EventBusName": runtime.current.environment["EVENT_BUS"],
        "Source": SOURCE,
        "DetailType": announcement.type,
        "Time": int(datetime.fromisoformat(announcement.time).timestamp()),
        "Detail": json.dumps(announcement.cloud_event()),
    }


def _put(batch: Sequence[Announcement], until_s: float) -> int:
    """Put one batch; what was not taken is tried again by itself, whatever the reason."""
    left = list(range(len(batch)))
    for attempt in range(TRIES_MAX):
        if attempt:
            runtime.current.sleep(runtime.current.uniform(0, PAUSE_S_MAX * attempt))
        if runtime.current.monotonic_s() + CALL_S_MAX > until_s:
            logger.warning("no time left to announce")
            break
        left = _refused([entry(batch[place]) for place in left], left)
        if not left:
            return len(batch)
    return left[0]


def _refused(entries: list[dict[str, Any]], places: list[int]) -> list[int]:
    """Send the entries once; return the places of those that were not taken."""
    try:
        answers = _client().call("PutEvents", {"Entries": entries})["Entries"]
    except Exception:  # noqa: BLE001  # no credentials, too: botocore's errors, which are not loaded here
        logger.exception("not announced")
        return places
    codes = [answer.get("ErrorCode") for answer in answers]
    if any(codes):
        logger.warning("not announced", extra={"codes": sorted({code for code in codes if code})})
    return [place for place, code in zip(places, codes, strict=True) if code]


@cache
def _client() -> Client:
    return Client.of_environment(EVENTBRIDGE)
