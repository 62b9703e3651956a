"""Reads and writes the figures of measurements, as JSON in bench/results, and formats them for pages."""

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_PROCESSORS = Path("/proc/cpuinfo")  # Linux only


def machine() -> dict[str, Any]:
    """Describe this machine as data. The load average is that of the last minute."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "loadAverage": round(os.getloadavg()[0], 2),
    }


def described(found: dict[str, Any]) -> str:
    """Describe a machine in words."""
    return (
        f"{found['processor']}, {found['cores']} cores, {found['system']}, Python {found['python']}, "
        f"load average {found['loadAverage']}"
    )


def write(name: str, result: dict[str, Any]) -> Path:
    """Write the figures of a measurement; return where."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return path


def read(name: str) -> dict[str, Any]:
    """Read the figures of the last measurement."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def put_between_marks(page: str, name: str, text: str) -> str:
    """Return a page with this text between the marks of the module that writes it."""
    begin, end = (f"<!-- written by {name}: {what} -->\n" for what in ("begin", "end"))
    before, found, rest = page.partition(begin)
    _, also_found, after = rest.partition(end)
    assert found and also_found, f"no marks of {name}"  # noqa: PT018  # two marks
    return f"{before}{begin}{text}{end}{after}"


def table(head: list[str], rows: list[list[str]], *, figures: bool = True) -> str:
    """Return a table in Markdown. Figures, in all columns but the first, stand to the right."""
    lines = [head, ["---", *["--:" if figures else "---"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def calls(counts: Mapping[str, int]) -> str:
    """List database requests with their numbers."""
    return ", ".join(f"{count} {name}" if count > 1 else name for name, count in counts.items())


def _processor() -> str:
    named = _PROCESSORS.read_text().splitlines() if _PROCESSORS.exists() else []
    return next((line.partition(": ")[2] for line in named if line.startswith("model name")), platform.processor())
