"""`python -m bench`: measure, print a table, and keep the figures.

Each section starts its own office: `python -m local` with its data on disk. After each section the promises are
checked on the tables. Machines are noisy: compare ratios, and medians of several rounds.
"""

import argparse
import os
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

from bench import record
from bench.sections import SECTIONS, Row, Run
from harness.running import running
from local.supervisor import default_workers

_MEDIANS = ("per_second", "p50_ms", "p99_ms", "ratio")


def main() -> None:
    """Run the chosen sections."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the ticket office on this machine.")
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help=f"which ({', '.join(SECTIONS)})")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each load (8)")
    parser.add_argument("--rounds", type=int, default=1, help="of all; the figures are the medians (1)")
    parser.add_argument("--workers", type=int, default=default_workers(), help="of the office (its own choice)")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results/load.json")
    options = parser.parse_args()
    os.environ.update(AWS_DEFAULT_REGION="us-east-1", AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench")
    machine = record.machine()
    found: defaultdict[str, list[Row]] = defaultdict(list)
    print(f"{'section':46}{'/s':>8}{'p50 ms':>9}{'p99 ms':>9}{'of floor':>10}  what else")  # noqa: T201  # the product
    for _ in range(options.rounds):
        for name in options.sections or SECTIONS:
            with tempfile.TemporaryDirectory() as data, running(Path(data), options.workers) as office:
                for row in SECTIONS[name](Run(office, options.seconds, options.workers)):
                    found[row["section"]].append(row)
                    print(_line(row), flush=True)  # noqa: T201
    if options.write:
        rows = [_median(rounds) for rounds in found.values()]
        facts = {"machine": machine, "seconds": options.seconds, "rounds": options.rounds, "workers": options.workers}
        record.write("load", {**facts, "rows": rows})


def _median(rounds: list[Row]) -> Row:
    """Return the medians of several rounds, with the processor times and notes of the last."""
    middle = {name: statistics.median(row[name] for row in rounds) for name in _MEDIANS if name in rounds[0]}
    return rounds[-1] | middle


def _line(row: Row) -> str:
    rate = f"{row['per_second']:8.0f}" if "per_second" in row else " " * 8
    times = "".join(f"{row[name]:9.1f}" if name in row else " " * 9 for name in ("p50_ms", "p99_ms"))
    ratio = f"{row['ratio']:10.2f}" if "ratio" in row else " " * 10
    return f"{row['section']:46}{rate}{times}{ratio}  {row['note']}"


if __name__ == "__main__":
    main()
