"""`python -m bench.report`: write all figures in the documentation from bench/results.

`make benchmark`, `make compare` and `make scale` call it. Tests compare the pages with the figures.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import bill, coldstart, compare, cost, expiry, glance, record, size
from bench.floor import CEILING_PROCESSES
from bench.goals import COMMITS_OF_JOIN, GOALS
from bench.scale import report as scale_report

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "benchmark.md"

_INTRODUCTION = """# Benchmark

How fast the ticket office is on one machine, alone and beside a conventional service, how its functions start, what
requests cost, whether large events cost more, and how soon expired holds are released. On-sales of a size that no
single machine can show are simulated: [scale.md](scale.md).
All figures come from runs. `make benchmark` measures speed again and writes this page and its charts; `make compare`
measures both services.
"""


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


def pages() -> dict[Path, str]:
    """Return every page that shows figures of bench/, as it should be."""
    found = {PAGE: page(), scale_report.PAGE: scale_report.page()}
    for name in glance.PAGES:
        path = glance.ROOT / name
        found[path] = glance.with_figures(name, path.read_text(encoding="utf-8"))
    return found


def page() -> str:
    """Return docs/benchmark.md."""
    parts = [
        _INTRODUCTION,
        load_section(record.read("load")),
        compare.section(record.read("compare")),
        coldstart.section(record.read("coldstart")),
        cost.section(record.read("cost")),
        bill.section(),
        size.section(record.read("size")),
        expiry.section(record.read("expiry")),
    ]
    return "\n".join(part.strip() + "\n" for part in parts)


def load_section(result: Mapping[str, Any]) -> str:
    """Return what `python -m bench` found."""
    rows = result["rows"]
    head = ["section", "per second", "p50 ms", "p99 ms", "of the floor"]
    table = record.table(head, [_row(row) for row in rows])
    return f"""## On one machine

{record.described(result["machine"])}.
`python -m bench --rounds {result["rounds"]} --seconds {result["seconds"]:g} --write`: `python -m local` with
{result["workers"]} workers and its data on disk; medians of {result["rounds"]} rounds. The load generator is a process
on the same machine. After each load the guarantees are checked on the tables. A 5xx answer or a broken guarantee would
have stopped the run.

{table}

The floor is the rate that boto3's client reaches with the same requests, in as many processes, on an engine without an
HTTP server in front. The ceiling is the rate of the functions' own code on such an engine, in {CEILING_PROCESSES}
processes, without HTTP and log lines; the {COMMITS_OF_JOIN} are the same without what a join reads. A status
is read from the tables once a second at most, for all who ask, so it has neither; nor has the mix, which consists of
the loads above it. Machines differ, so the goals are ratios within one run; [a conventional
service](#beside-a-conventional-service) is measured in one run with the office as well.

{_verdict(rows)}

![Requests per second, beside the floor](benchmark-rates.png)

![Latencies](benchmark-latencies.png)

Processor time of a request by process, in ms, including announcements (two cores have 2,000 ms per second):

{_cpu(rows)}

![Processor time of a request by process](benchmark-cpu.png)
"""


def _row(row: Mapping[str, Any]) -> list[str]:
    return [
        row["section"],
        f"{row['per_second']:,.0f}" if "per_second" in row else "",
        f"{row['p50_ms']:.1f}" if "p50_ms" in row else "",
        f"{row['p99_ms']:.1f}" if "p99_ms" in row else "",
        f"{row['ratio']:.2f}" if "ratio" in row else "",
    ]


def _verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say of each goal whether this run met it."""
    per_second = {row["section"]: row.get("per_second", 0.0) for row in rows}
    lines = []
    for name, (other, goal) in GOALS.items():
        ratio = per_second[name] / per_second[other]
        short = "" if ratio >= goal else ": short of it"
        lines.append(f"- {name}: {ratio:.2f} of the {other.partition(' of ')[0]}; the goal is {goal}{short}.")
    return "\n".join(lines)


def _cpu(rows: Sequence[Mapping[str, Any]]) -> str:
    measured = [row for row in rows if "cpu_ms" in row]
    parts = list(measured[0]["cpu_ms"])
    table = [[row["section"], *(f"{row['cpu_ms'][part]:.2f}" for part in parts)] for row in measured]
    return record.table(["section", *parts], table)


if __name__ == "__main__":
    main()
