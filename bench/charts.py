"""`python -m bench.charts`: draw the charts of docs/benchmark.md and docs/scale.md from bench/results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench import record

mpl.use("Agg")  # draws into files, without a screen
from matplotlib import pyplot  # below the choice of what draws

DOCS = Path(__file__).parent.parent / "docs"
INCHES = (9.0, 4.0)
DPI = 110

Rows = Sequence[dict[str, Any]]
Series = tuple[str, list[float], dict[str, Any]]  # its label, a height for each load, how it looks


def main() -> None:
    """Draw all of them."""
    rows = record.read("load")["rows"]
    loads = [row for row in rows if "cpu_ms" in row]
    floors = {row["section"].removeprefix("floor of "): row["per_second"] for row in rows if "floor" in row["section"]}
    rates: list[Series] = [
        ("the office", [row["per_second"] for row in loads], {}),
        ("floor: boto3", [floors.get(row["section"], 0) for row in loads], {"color": "silver"}),
    ]
    _bars("rates", "requests a second", loads, rates)
    latencies: list[Series] = [(name, [row[f"{name}_ms"] for row in loads], {}) for name in ("p50", "p99")]
    _bars("latencies", "ms", loads, latencies)
    parts: list[Series] = [(part, [row["cpu_ms"][part] for row in loads], {}) for part in loads[0]["cpu_ms"]]
    _bars("cpu", "ms of processor time per request", loads, parts, stacked=True)
    for section, name in (("sales", "bookings"), ("joins", "joins")):
        _lines(name, [row for row in record.read("scale")["rows"] if row["section"] == section])


def _bars(name: str, label: str, loads: Rows, series: Sequence[Series], *, stacked: bool = False) -> None:
    """Draw bars for each load: beside each other, or on top of each other."""
    figure, axes = pyplot.subplots(figsize=INCHES, layout="constrained")
    width = 0.8 if stacked else 0.8 / len(series)
    below = [0.0] * len(loads)
    for number, (shown, heights, look) in enumerate(series):
        shift = 0 if stacked else (number - (len(series) - 1) / 2) * width
        places = [place + shift for place in range(len(loads))]
        axes.bar(places, heights, width, bottom=below if stacked else None, label=shown, **look)
        below = [one + other for one, other in zip(below, heights, strict=True)]
    axes.set_xticks(range(len(loads)), [row["section"].replace(", ", "\n") for row in loads], fontsize=8)
    axes.set_ylabel(label)
    axes.legend()
    figure.savefig(DOCS / f"benchmark-{name}.png", dpi=DPI)
    pyplot.close(figure)


def _lines(name: str, rows: Rows) -> None:
    """Draw throughput and p99 over the offered load, a line for each design."""
    figure, (throughput, latency) = pyplot.subplots(1, 2, figsize=INCHES, layout="constrained")
    for design in dict.fromkeys(row["design"] for row in rows):
        own = [row for row in rows if row["design"] == design]
        offered = [row["offered_s"] for row in own]
        throughput.plot(offered, [row["per_second"] for row in own], marker="o", markersize=3, label=design)
        latency.plot(offered, [row["p99_ms"] for row in own], marker="o", markersize=3, label=design)
    ends = [min(row["offered_s"] for row in rows), max(row["offered_s"] for row in rows)]
    throughput.plot(ends, ends, color="grey", linestyle=":", label="all that is offered")
    for axes, label in ((throughput, f"{name}/s on one event"), (latency, "p99 in ms")):
        axes.set(xscale="log", yscale="log", xlabel="offered/s", ylabel=label)
        axes.grid(visible=True, which="both", alpha=0.2)
    throughput.legend(fontsize=7)
    figure.savefig(DOCS / f"scale-{name}.png", dpi=DPI)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
