"""Announces a batch of records in order. After a failure, Lambda repeats the batch from the first failed record."""

from collections.abc import Callable, Sequence

from functions.announce import bus
from functions.announce.announcements import Announcement, Record, announcements
from shared import runtime, telemetry
from shared.model import DamagedItem
from shared.telemetry import Metric, logger

RESERVE_S = 2.0  # of an invocation's time, kept for the response


def announce(records: Sequence[Record], time_left_s: float, keep: Callable[[Record], None] | None = None) -> str | None:
    """Announce the records' changes. Return the sequence number of the first record that failed, None if none did.

    Lambda repeats that record and all later ones, even if some of them were announced: delivery is at least once.

    A record that cannot be read never will be, nor will the bus accept what it calls malformed. `keep` stores such a
    record elsewhere, and the records behind it are announced.

    Raises what `keep` raises. Without `keep`, raises DamagedItem, KeyError, TypeError or ValueError if the first record
    cannot be read, and ends before a later one.
    """
    until_s = runtime.current.monotonic_s() + time_left_s - RESERVE_S
    found: list[tuple[int, Announcement]] = []  # each with the place of its record
    failed_from: int | None = None
    for place, record in enumerate(records):
        try:
            found += [(place, one) for one in announcements(record)]
        except (DamagedItem, KeyError, TypeError, ValueError):
            logger.exception("unreadable record")
            if keep:
                keep(record)
                continue
            if place == 0:
                raise
            failed_from = place
            break
    rejected: list[int] = []

    def reject(which: int) -> None:
        assert keep
        keep(records[found[which][0]])
        rejected.append(which)

    sent = bus.put([one for _, one in found], until_s, reject if keep else None)
    if announced := sent - sum(which < sent for which in rejected):
        telemetry.outcome(Metric.ANNOUNCED, announced)
    if sent < len(found):
        failed_from = found[sent][0]
    if failed_from is None:
        return None
    telemetry.outcome(Metric.ANNOUNCEMENTS_FAILED, len(records) - failed_from)
    return str(records[failed_from]["dynamodb"]["SequenceNumber"])
