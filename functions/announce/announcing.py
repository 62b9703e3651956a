"""From a batch of records to the bus: in order, and what was not announced comes again from there on."""

from collections.abc import Sequence

from functions.announce import bus
from functions.announce.announcements import Announcement, Record, announcements
from shared import runtime, telemetry
from shared.model import DamagedItem
from shared.telemetry import Metric, logger

RESERVE_S = 2.0  # of an invocation's time, kept for the answer


def announce(records: Sequence[Record], time_left_s: float) -> str | None:
    """Announce what the records tell; return the sequence number of the first that was not done, None if all were.

    Those after it come again with it, even if some of them were announced: at least once, never out of sight.

    A record that cannot be read will not be read the next time either. It fails its batch as long as it stands first,
    so that Lambda halves the batch until it is alone, and gives it up alone.

    Raises: DamagedItem, KeyError, TypeError or ValueError of a first record that cannot be read.
    """
    until_s = runtime.current.monotonic_s() + time_left_s - RESERVE_S
    said: list[tuple[int, Announcement]] = []  # each with the place of its record
    failed_from: int | None = None
    for place, record in enumerate(records):
        try:
            said += [(place, one) for one in announcements(record)]
        except (DamagedItem, KeyError, TypeError, ValueError):
            logger.exception("unreadable record")
            if place == 0:
                raise
            failed_from = place
            break
    sent = bus.put([one for _, one in said], until_s)
    if sent:
        telemetry.outcome(Metric.ANNOUNCED, sent)
    if sent < len(said):
        failed_from = said[sent][0]
    if failed_from is None:
        return None
    telemetry.outcome(Metric.ANNOUNCEMENTS_FAILED, len(records) - failed_from)
    return str(records[failed_from]["dynamodb"]["SequenceNumber"])
