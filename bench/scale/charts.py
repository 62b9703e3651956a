"""Draw the charts of docs/scale.md from the figures of the last run: `make scale`."""

from typing import Any

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot  # below the choice of what draws

from bench import record
from bench.scale.report import FIGURES, PAGE

Rows = list[dict[str, Any]]
SIZE_INCHES = (9.0, 4.2)


def main() -> None:
    """Draw all."""
    rows: Rows = record.read(FIGURES)["rows"]
    for section, name in (("sales", "bookings"), ("joins", "joins")):
        _draw(f"scale-{name}.png", f"{name}/s on one event", [row for row in rows if row["section"] == section])


def _draw(name: str, title: str, rows: Rows) -> None:
    """Draw throughput and p99 over the offered load, a line for each design."""
    figure, (throughput, latency) = pyplot.subplots(1, 2, figsize=SIZE_INCHES)
    for design in dict.fromkeys(row["design"] for row in rows):
        own = [row for row in rows if row["design"] == design]
        offered = [row["offered_s"] for row in own]
        throughput.plot(offered, [row["per_second"] for row in own], marker="o", markersize=3, label=design)
        latency.plot(offered, [row["p99_ms"] for row in own], marker="o", markersize=3, label=design)
    most = [row["offered_s"] for row in rows]
    throughput.plot(
        [min(most), max(most)], [min(most), max(most)], color="grey", linestyle=":", label="all that is offered"
    )
    for axes, label in ((throughput, title), (latency, "p99 in ms")):
        axes.set(xscale="log", yscale="log", xlabel="offered/s", ylabel=label)
        axes.grid(visible=True, which="both", alpha=0.2)
    throughput.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(PAGE.parent / name, dpi=110)
    pyplot.close(figure)


main()
