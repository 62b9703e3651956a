"""Processor time of each process of the office."""

import os
from pathlib import Path

from harness.running import RunningOffice, below

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PARTS = {
    "dynoxide": "engine",
    "local.worker": "workers",
    "local.feeder": "feeder",  # of each function that reads a stream
    "local.bus": "feeder",  # where one of them writes to
    "local.scheduler": "scheduler",
}


def used_s(office: RunningOffice) -> dict[str, float]:
    """Return the seconds that each part has used so far, by name."""
    found = dict.fromkeys(_PARTS.values(), 0.0)
    for pid, command in below(office.process.pid).items():
        part = next((name for sign, name in _PARTS.items() if sign in command), None)
        if part:
            found[part] += of_process(pid)
    return found


def of_process(pid: int) -> float:
    """Return the seconds that a process has used so far, its threads together."""
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / _TICKS_PER_S
