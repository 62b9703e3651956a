"""redrive: process failed records, then remove their files: settle their events, or announce them.

Both are safe to repeat. Of a record that the promoter gave up, only the event id is used, and settling reads everything
again; a repeated announcement has the same id. A file is removed after all of it was processed, so a redrive can stop
anywhere.
"""

import json
import sys
from dataclasses import dataclass, field
from typing import Any

from functions.announce.announcements import Record
from functions.announce.announcing import announce
from ops import rows, settling
from ops.failed_records import FailedRecords
from shared.model import DamagedItem, EventNotFound, TryAgain
from shared.store import items

ANNOUNCER = "AnnounceFunction"  # part of the name that CloudFormation generates
ANNOUNCE_S_MAX = 60.0  # for the records of one file, at most a hundred

_DONE, _WRONG = 0, 1


@dataclass(slots=True)
class _File:
    name: str
    events: set[str]  # to settle
    trouble: str | None = None  # why it must be kept
    told: list[Record] = field(default_factory=list)  # to announce


def run(failed: FailedRecords, *, dry_run: bool) -> int:
    """Process every file; return the exit code, 1 if files had to be kept."""
    removed = kept = 0
    for page in failed.pages():
        files = [_parsed(name, content) for name in page if (content := failed.read(name)) is not None]
        troubles = {event_id: _settled(event_id, dry_run) for event_id in sorted(_events(files))}
        for file in files:
            trouble = (
                file.trouble
                or _announced(file, dry_run)
                or next(filter(None, (troubles[event_id] for event_id in sorted(file.events))), None)
            )
            if trouble:
                kept += 1
                _tell(f"kept {file.name}: {trouble}")
                continue
            removed += 1
            if not dry_run:
                failed.remove(file.name)
            _tell(f"{'would remove' if dry_run else 'removed'} {file.name}")
    _tell(f"{removed} {'to remove' if dry_run else 'removed'}, {kept} kept")
    return _WRONG if kept else _DONE


def _events(files: list[_File]) -> set[str]:
    return set().union(*(file.events for file in files))


def _settled(event_id: str, dry_run: bool) -> str | None:
    """Settle an event; return what went wrong, which must not keep other events waiting."""
    try:
        event = rows.event(event_id)
        if event.cancelled_at:
            said = f"{settling.bookings(event)} to cancel" if dry_run else f"{settling.empty_all(event)} cancelled"
        else:
            said = f"{settling.promotable(event)} to promote" if dry_run else f"{settling.settle_all(event)} promoted"
    except EventNotFound:
        _tell(f"event {event_id}: no such event, so nothing to do")
        return None
    except TryAgain as error:
        return f"the event {event_id} could not be settled ({error.cause})"
    except Exception as error:  # noqa: BLE001
        return f"the event {event_id} could not be settled ({_in_words(error)})"
    _tell(f"event {event_id}: {said}")
    return None


def _announced(file: _File, dry_run: bool) -> str | None:
    """Announce the records of a file; return what went wrong."""
    if not file.told:
        return None
    if not dry_run:
        try:
            failed_from = announce(file.told, ANNOUNCE_S_MAX)
        except Exception as error:  # noqa: BLE001
            return f"its records could not be announced ({_in_words(error)})"
        if failed_from:
            return f"its records from {failed_from} on could not be announced"
    _tell(f"{file.name}: {len(file.told)} records {'to announce' if dry_run else 'announced'}")
    return None


def _in_words(error: Exception) -> str:
    text = str(error) if isinstance(error, DamagedItem) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def _parsed(name: str, content: bytes) -> _File:
    """Read which events a file names. An unreadable record keeps the whole file, but the others are processed."""
    try:
        document = json.loads(content)
        payload = document["payload"]
        records = (json.loads(payload) if isinstance(payload, str) else payload)["Records"]
        if ANNOUNCER in document.get("requestContext", {}).get("functionArn", ""):
            return _File(name, set(), told=list(records))
        found = [_event_of(record) for record in records]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return _File(name, set(), "it is not a file of failed records as Lambda writes it")
    unreadable = found.count(None)
    trouble = f"{unreadable} of its {len(found)} records name no event" if unreadable else None
    return _File(name, {event_id for event_id in found if event_id}, trouble)


def _event_of(record: Any) -> str | None:
    try:
        return items.event_of_key(record["dynamodb"]["Keys"]) or None
    except (KeyError, TypeError, AttributeError):
        return None


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
