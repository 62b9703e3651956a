"""Time the tests, folder by folder: `make times` writes what each takes into docs/contributing.md.

Each folder is run alone, as somebody who has changed something would run it, so its time includes what it starts.
"""

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.record import described, machine, read, table, write  # noqa: E402  # below the path

PAGE = ROOT / "docs" / "contributing.md"
MARKS = ("<!-- written by scripts/time_tests.py: begin -->", "<!-- written by scripts/time_tests.py: end -->")
FOLDER_S_MAX = 3600
COUNTED = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed)")


def folders() -> list[str]:
    """List the folders of tests."""
    return sorted({str(path.parent.relative_to(ROOT)) for path in ROOT.glob("tests/*/test_*.py")})


def main(chosen: Sequence[str]) -> int:
    """Run every folder, or the chosen ones, and write the page; give 1, and write nothing, when a test fails."""
    known = {row["folder"]: row for row in read("tests")["rows"]} if chosen else {}
    for folder in chosen or folders():
        began_s = time.monotonic()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=FOLDER_S_MAX, check=False)
        seconds = time.monotonic() - began_s
        if done.returncode != 0:
            sys.stderr.write(f"{done.stdout}\n{folder}: failed, so nothing is written\n")
            return 1
        counted = {name: int(count) for count, name in COUNTED.findall(done.stdout.splitlines()[-1])}
        known[folder] = {"folder": folder, "tests": counted["passed"], "seconds": round(seconds, 1)}
        sys.stderr.write(f"{folder}: {counted['passed']} tests, {seconds:.0f} s\n")
    rows = [known[folder] for folder in sorted(known)]
    write("tests", {"command": "make times", "machine": machine(), "rows": rows})
    before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
    PAGE.write_text(f"{before}{MARKS[0]}\n\n{section()}\n{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf-8")
    return 0


def section() -> str:
    """Return what the page says of the last run."""
    found = read("tests")
    rows = [[f"`{row['folder']}`", f"{row['tests']:,}", _duration(row["seconds"])] for row in found["rows"]]
    tests, seconds = (sum(row[name] for row in found["rows"]) for name in ("tests", "seconds"))
    rows.append(["all", f"{tests:,}", _duration(seconds)])
    return f"{table(['folder', 'tests', 'time'], rows)}\n\nOn {described(found['machine'])}.\n"


def _duration(seconds: float) -> str:
    """Say how long, e.g. 4 s, 12 min: as exact as a busy machine lets it be."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"  # noqa: PLR2004  # about two minutes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
