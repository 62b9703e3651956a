"""Read the logs of the office on one machine: one JSON object per line, in DATA/logs."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

LINES_MAX = 1_000  # for one user and event


@dataclass(frozen=True, order=True, slots=True)
class Line:
    """One outcome."""

    moment: str
    message: str
    booking_id: str


def lines_of(logs: Path, event_id: str, user_id: str, messages: Collection[str]) -> list[Line]:
    """Return the last LINES_MAX outcomes of a user and an event, in order."""
    found: list[Line] = []
    for log in sorted(logs.glob("*.log*")):
        with log.open(encoding="utf-8", errors="replace") as lines:
            parsed = (_outcome(line, event_id, user_id, messages) for line in lines if event_id in line)
            found += filter(None, parsed)
    return sorted(found)[-LINES_MAX:]


def _outcome(line: str, event_id: str, user_id: str, messages: Collection[str]) -> Line | None:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None  # a traceback, or a line that was cut off
    if not isinstance(said, dict) or (said.get("event_id"), said.get("user_id")) != (event_id, user_id):
        return None
    if said.get("message") not in messages:
        return None
    return Line(str(said.get("timestamp")), said["message"], str(said.get("booking_id")))
