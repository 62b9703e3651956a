"""`python -m bench.charts`: draw the charts of docs/benchmark.md from the figures that `python -m bench` has left."""

from pathlib import Path

import matplotlib as mpl

from bench import record
from bench.goals import FASTEST, TIMES_THE_FASTEST

mpl.use("Agg")
from matplotlib import pyplot as plt  # below the choice of what draws

DOCS = Path(__file__).parent.parent / "docs"


def main() -> None:
    """Draw the charts."""
    rows = record.read("load")["rows"]
    floors = {row["section"].removeprefix("floor of "): row["per_second"] for row in rows if "floor" in row["section"]}
    loads = [row for row in rows if "cpu_ms" in row]
    names = [row["section"].replace(", ", "\n") for row in loads]
    places = range(len(loads))

    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    axes.bar([x - 0.27 for x in places], [row["per_second"] for row in loads], 0.27, label="the office")
    axes.bar(places, [floors.get(row["section"], 0) for row in loads], 0.27, label="floor: bare boto3", color="silver")
    goals = [TIMES_THE_FASTEST * FASTEST.get(row["section"], 0) for row in loads]
    axes.bar([x + 0.27 for x in places], goals, 0.27, label="goal: twice the fastest", fill=False, hatch="//")
    axes.set_xticks(places, names, fontsize=8)
    axes.set_ylabel("requests a second")
    axes.legend()
    figure.savefig(DOCS / "benchmark-rates.png", dpi=110)

    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    axes.bar([x - 0.2 for x in places], [row["p50_ms"] for row in loads], 0.4, label="p50")
    axes.bar([x + 0.2 for x in places], [row["p99_ms"] for row in loads], 0.4, label="p99")
    axes.set_xticks(places, names, fontsize=8)
    axes.set_ylabel("ms")
    axes.legend()
    figure.savefig(DOCS / "benchmark-latencies.png", dpi=110)

    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    below = [0.0] * len(loads)
    for part in loads[0]["cpu_ms"]:
        heights = [row["cpu_ms"][part] for row in loads]
        axes.bar(places, heights, bottom=below, label=part)
        below = [one + other for one, other in zip(below, heights, strict=True)]
    axes.set_xticks(places, names, fontsize=8)
    axes.set_ylabel("ms of processor time a request")
    axes.legend()
    figure.savefig(DOCS / "benchmark-cpu.png", dpi=110)


if __name__ == "__main__":
    main()
