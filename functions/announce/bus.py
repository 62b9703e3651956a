"""The event bus: EventBridge's PutEvents through our own client, in batches and with bounds.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from functions.announce.announcements import Announcement
from shared import runtime
from shared.store.aws_client import Client, Service
from shared.telemetry import logger

SOURCE: Final = "ticket-office"  # for rules to match; the CloudEvent's own source names the stack
ENTRIES_MAX = 10  # in one PutEvents, EventBridge's limit
BYTES_MAX = 256 * 1024  # in one PutEvents; ten of our largest entries take 50 KB
TRIES_MAX = 6  # for one batch in one invocation; then Lambda repeats the records
PAUSE_S_MAX = 0.2  # before the second try, twice that before the third, and so on
CALL_S_MAX = 7.0  # more than a call may take: CALL_TIMEOUT_S (aws_client.py), and looking up the host's addresses
# Of an entry that stays wrong: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html
REJECTED: Final = {"InvalidArgument", "MalformedDetail"}
EVENTBRIDGE: Final = Service("events", "AWSEvents", "1.1", "events", "AWS_ENDPOINT_URL_EVENTBRIDGE")


def put(announcements: Sequence[Announcement], until_s: float, reject: Callable[[int], None] | None = None) -> int:
    """Put announcements on the bus in order. Return how many the bus accepted before the first that it did not.

    Ends by `until_s` on the monotonic clock. The bus may have accepted some after the first that it did not.

    `reject` gets the place of an announcement that the bus will never accept, which then counts as accepted.
    """
    for start in range(0, len(announcements), ENTRIES_MAX):
        first_refused = _put(announcements, start, until_s, reject)
        if first_refused is not None:
            return first_refused
    return len(announcements)


def entry(announcement: Announcement) -> dict[str, Any]:
    """Return an announcement as an entry of PutEvents. Its detail is the whole CloudEvent."""
    return {
        "EventBusName": runtime.current.environment["EVENT_BUS"],
        "Source": SOURCE,
        "DetailType": announcement.type,
        "Time": int(datetime.fromisoformat(announcement.time).timestamp()),
        "Detail": json.dumps(announcement.cloud_event()),
    }


def _put(
    announcements: Sequence[Announcement], start: int, until_s: float, reject: Callable[[int], None] | None
) -> int | None:
    """Put the batch that starts there, retrying what is not accepted. Return the place of the first that was not."""
    left = list(range(start, min(start + ENTRIES_MAX, len(announcements))))
    for attempt in range(TRIES_MAX):
        if attempt:
            runtime.current.sleep(runtime.current.uniform(0, PAUSE_S_MAX * attempt))
        if runtime.current.monotonic_s() + CALL_S_MAX > until_s:
            logger.warning("no time left to announce")
            break
        codes = _refused([entry(announcements[place]) for place in left], left)
        if reject:
            for place in [place for place, code in codes.items() if code in REJECTED]:
                reject(place)
                del codes[place]
        left = list(codes)
        if not left:
            return None
    return left[0]


def _refused(entries: list[dict[str, Any]], places: list[int]) -> dict[int, str]:
    """Send the entries once. Return the places of entries that the bus did not accept, with its codes."""
    try:
        results = _client().call("PutEvents", {"Entries": entries})["Entries"]
    except Exception:  # noqa: BLE001  # also botocore's, for missing credentials; loading it here would be slow
        logger.exception("not announced")
        return dict.fromkeys(places, "")
    codes = {place: code for place, one in zip(places, results, strict=True) if (code := one.get("ErrorCode"))}
    if codes:
        logger.warning("not announced", extra={"codes": sorted(set(codes.values()))})
    return codes


@cache
def _client() -> Client:
    return Client.of_environment(EVENTBRIDGE)
