"""Draw the dashboard of template.yaml from a local run: `make dashboard` writes docs/dashboard.png.

The office runs for three minutes, as `make run` starts it: an on-sale, many cancellations, a stopped promoter, a
stopped database, a forged ticket. The charts show the log lines of which CloudWatch makes its metrics. A point stands
for BIN_S seconds here, and for a minute or five on AWS. AWS's own metrics exist only there.
"""

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from harness.running import RunningOffice, running  # noqa: E402
from harness.watching import widgets  # noqa: E402
from local.template import load  # noqa: E402  # below the path, as all of these

BIN_S = 3
SWEEP_EVERY_S = 9.0  # five minutes on AWS
PICTURE = ROOT / "docs" / "dashboard.png"
TICKETS = 400
INCHES_PER_UNIT = (0.62, 0.42)
REQUEST_S_MAX = 30.0
SWEEP = """
import os
from functions.sweep import app
from harness.gateway import Context
from local import gate
gate.use(os.environ["AWS_ENDPOINT_URL_DYNAMODB"])
app.handler({}, Context(120))
"""

Line = dict[str, Any]


class Story:
    """The run of one event."""

    def __init__(self, office: RunningOffice) -> None:
        self._office = office
        self._holders = iter(range(TICKETS))
        self._event_id = self._post("initialize", name="Opening night", totalTickets=TICKETS)["eventId"]

    def tell(self) -> None:
        """Go through it."""
        for n in range(TICKETS + 250):
            self._book(f"user-{n}")
            time.sleep(0.05)
        self._cancel(25)
        with self._stopped('"function": "PromoteFunction"'):
            self._cancel(14)
        self._cancel(25)
        with self._stopped("dynoxide"):
            late = [threading.Thread(target=self._book, args=(f"late-{n}",)) for n in range(6)]
            for one in late:
                one.start()
            time.sleep(8)
        for one in late:
            one.join()
        for forged, seconds in ((1, 15), (-1, 25)):
            self._forge(forged)
            self._cancel(seconds)

    def _book(self, user: str) -> None:
        self._post("book", userId=user, eventId=self._event_id)

    def _cancel(self, seconds: float) -> None:
        """Cancel one booking after the other for so long."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self._post("cancel", userId=f"user-{next(self._holders)}", eventId=self._event_id)
            time.sleep(0.7)

    def _forge(self, waiting: int) -> None:
        """Change the count of waiting users behind the office's back."""
        self._office.database.update_item(
            TableName="LanesTable",
            Key={"laneId": {"S": f"{self._event_id}#0"}},
            UpdateExpression="ADD waiting :n",
            ExpressionAttributeValues={":n": {"N": str(waiting)}},
        )

    @contextmanager
    def _stopped(self, part: str) -> Iterator[None]:
        """Stop the processes of a part while the block runs."""
        pids = self._office.pids(part)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    def _post(self, path: str, **body: Any) -> Any:
        return httpx.post(f"{self._office.url}/{path}", json=body, timeout=REQUEST_S_MAX).json()


def main() -> None:
    """Run, read the log lines, draw."""
    os.environ.update(AWS_DEFAULT_REGION="us-east-1", AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x")  # noqa: S106
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        with running(data, workers=2) as office:
            over = threading.Event()
            swept: list[str] = []
            sweeps = threading.Thread(target=_sweep, args=(office, data, over, swept))
            sweeps.start()
            try:
                Story(office).tell()
            finally:
                over.set()
                sweeps.join()
        logs = [path.read_text() for path in (data / "logs").glob("*.log")]
    _draw([line for text in [*logs, *swept] for line in _lines(text)])


def _sweep(office: RunningOffice, data: Path, over: threading.Event, swept: list[str]) -> None:
    """Sweep more often than the schedule does."""
    environment = os.environ | load().functions["SweepFunction"].environment
    environment |= {"AWS_ENDPOINT_URL_DYNAMODB": office.database.meta.endpoint_url}
    environment |= {"FAILED_RECORDS": str(data / "failed-records")}
    while not over.wait(SWEEP_EVERY_S):
        command = [sys.executable, "-c", SWEEP]
        result = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
        swept.append(result.stdout)


def _lines(text: str) -> Iterator[Line]:
    for line in text.splitlines():
        if line.startswith("{") and "_aws" in (found := json.loads(line)):
            yield found


def _draw(lines: list[Line]) -> None:
    import matplotlib as mpl  # noqa: PLC0415  # it warns when it is imported, and in tests warnings are errors

    mpl.use("agg")
    from matplotlib import pyplot  # noqa: PLC0415

    shown = widgets()
    begin_ms = min(line["_aws"]["Timestamp"] for line in lines)
    end_s = (max(line["_aws"]["Timestamp"] for line in lines) - begin_ms) / 1000
    rows = max(one["y"] + one["height"] for one in shown)
    figure = pyplot.figure(figsize=(24 * INCHES_PER_UNIT[0], rows * INCHES_PER_UNIT[1]), facecolor="#f2f3f3")
    for widget in shown:
        left, width = widget["x"] / 24 + 0.03, widget["width"] / 24 - 0.04
        height = widget["height"] / rows - 0.035
        bottom = 1 - (widget["y"] + widget["height"]) / rows + 0.017
        axes = figure.add_axes((left, bottom, width, height))
        _draw_widget(axes, widget["properties"], lines, begin_ms, end_s)
    figure.savefig(PICTURE, dpi=75)


def _draw_widget(axes: Any, properties: dict[str, Any], lines: list[Line], begin_ms: int, end_s: float) -> None:
    axes.set_title(properties["title"], loc="left", fontsize=9, fontweight="bold")
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(0, end_s)
    axes.set_ylabel(axis_label(properties), fontsize=7)
    axes.set_xlabel("s", fontsize=7, loc="right", labelpad=-6)
    ours = [row for row in properties["metrics"] if row[0] == "TicketOffice"]
    if not ours:
        axes.set_facecolor("#fafafa")
        text = "AWS's own metrics: on AWS only"
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color="#999999", fontsize=9)
        axes.set_yticks([])
        return
    for row in ours:
        statistic = (row[4] if len(row) > 4 else {}).get("stat", properties["stat"])  # noqa: PLR2004  # the options
        label = row[1] if statistic == properties["stat"] and len(row) == 4 else f"{row[1]} {statistic}"  # noqa: PLR2004
        found = points(lines, row[1], _STATISTICS[statistic], begin_ms)
        axes.plot(list(found), list(found.values()), label=label, marker=".", markersize=5, linewidth=1, clip_on=False)
    for line in properties.get("annotations", {}).get("horizontal", []):
        axes.axhline(line["value"], color="#d13212", linewidth=1, linestyle="--")
    axes.set_ylim(0, max(1, axes.get_ylim()[1]) * 1.35)  # space for the legend
    axes.legend(fontsize=6.5, loc="upper left", ncol=3, frameon=False)


def axis_label(properties: dict[str, Any]) -> str:
    """Return the label of a widget's axis. Sums over a minute on AWS are sums over a bin here."""
    label: str = properties.get("yAxis", {}).get("left", {}).get("label", "")
    return label.replace("a minute", f"in {BIN_S} s")


def points(
    lines: list[Line], metric: str, statistic: Callable[[list[float]], float], begin_ms: int
) -> dict[int, float]:
    """Return the metric's value of each bin that has one, by the bin's beginning in seconds."""
    bins: dict[int, list[float]] = {}
    for line in lines:
        if metric in line:
            second = (line["_aws"]["Timestamp"] - begin_ms) // 1000
            bins.setdefault(second // BIN_S * BIN_S, []).append(line[metric])
    return {begin: statistic(bins[begin]) for begin in sorted(bins)}


def _quantile(share: float) -> Callable[[list[float]], float]:
    return lambda values: sorted(values)[math.ceil(share * len(values)) - 1]


_STATISTICS: dict[str, Callable[[list[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "p50": _quantile(0.5),
    "p99": _quantile(0.99),
}

if __name__ == "__main__":
    main()
