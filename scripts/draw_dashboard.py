"""Draw the dashboard of template.yaml from a local run: `make dashboard` writes docs/dashboard.png.

The office runs for some three minutes as `make run` has it: an on-sale, a crowd that cancels, a promoter that stands
still, a database that does not answer, a forged ticket. The pictures are made of the very lines that CloudWatch makes
its metrics of; a point stands for BIN_S seconds here, for a minute or five on AWS, whose own metrics exist there only.
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
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

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

Line = dict[str, Any]


class Story:
    """What happens to one event."""

    def __init__(self, office: RunningOffice) -> None:
        self._office = office
        self._holders: Iterator[int] = iter(range(TICKETS))
        event = self._post("initialize", {"name": "Opening night", "totalTickets": TICKETS})
        self.event_id = event["eventId"]

    def tell(self) -> None:
        """Let it happen."""
        for n in range(TICKETS + 250):
            self._post("book", {"userId": f"user-{n}", "eventId": self.event_id})
            time.sleep(0.05)
        self._cancels(25)
        with self._stopped('"function": "PromoteFunction"'):
            self._cancels(14)
        self._cancels(25)
        with self._stopped("dynoxide"):
            crowd = [threading.Thread(target=self._join, args=(n,)) for n in range(6)]
            for one in crowd:
                one.start()
            time.sleep(8)
        for one in crowd:
            one.join()
        self._forge(1)
        self._cancels(15)
        self._forge(-1)
        self._cancels(25)

    def _cancels(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self._post("cancel", {"userId": f"user-{next(self._holders)}", "eventId": self.event_id})
            time.sleep(0.7)

    def _join(self, number: int) -> None:
        self._post("book", {"userId": f"late-{number}", "eventId": self.event_id})

    def _forge(self, waiting: int) -> None:
        self._office.database().update_item(
            TableName="LanesTable",
            Key={"laneId": {"S": f"{self.event_id}#0"}},
            UpdateExpression="ADD waiting :n",
            ExpressionAttributeValues={":n": {"N": str(waiting)}},
        )

    class _Stopped:
        def __init__(self, pids: list[int]) -> None:
            self._pids = pids

        def __enter__(self) -> None:
            for pid in self._pids:
                os.kill(pid, signal.SIGSTOP)

        def __exit__(self, *_: object) -> None:
            for pid in self._pids:
                os.kill(pid, signal.SIGCONT)

    def _stopped(self, part: str) -> "_Stopped":
        return self._Stopped(self._office.pids(part))

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(f"{self._office.url}/{path}", json.dumps(body).encode(), method="POST")  # noqa: S310
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(request) as answer:  # noqa: S310  # our own URL
            return json.load(answer)


def main() -> None:
    """Run, read, draw."""
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
    program = (
        "import functions.sweep.app; from harness.gateway import Context; functions.sweep.app.handler({}, Context(120))"
    )
    while not over.wait(SWEEP_EVERY_S):
        environment = os.environ | load().functions["SweepFunction"].environment
        environment |= {"AWS_ENDPOINT_URL_DYNAMODB": office.database().meta.endpoint_url}
        environment |= {"FAILED_RECORDS": str(data / "failed-records")}
        command = [sys.executable, "-c", program]
        result = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
        swept.append(result.stdout)


def _lines(text: str) -> Iterator[Line]:
    for line in text.splitlines():
        if line.startswith("{") and "_aws" in (found := json.loads(line)):
            yield found


def _draw(lines: list[Line]) -> None:
    import matplotlib as mpl  # noqa: PLC0415  # only .venv-docs has it

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
        axes.text(
            0.5,
            0.5,
            "AWS's own metrics: on AWS only",
            transform=axes.transAxes,
            ha="center",
            color="#999999",
            fontsize=9,
        )
        axes.set_yticks([])
        return
    for row in ours:
        statistic = (row[4] if len(row) > 4 else {}).get("stat", properties["stat"])  # noqa: PLR2004  # the options
        label = row[1] if statistic == properties["stat"] and len(row) == 4 else f"{row[1]} {statistic}"  # noqa: PLR2004
        found = points(lines, row[1], _STATISTICS[statistic], begin_ms)
        axes.plot(list(found), list(found.values()), label=label, marker=".", markersize=5, linewidth=1, clip_on=False)
    for line in properties.get("annotations", {}).get("horizontal", []):
        axes.axhline(line["value"], color="#d13212", linewidth=1, linestyle="--")
    if ours:
        axes.set_ylim(0, max(1, axes.get_ylim()[1]) * 1.35)  # room for the legend
        axes.legend(fontsize=6.5, loc="upper left", ncol=3, frameon=False)


def axis_label(properties: dict[str, Any]) -> str:
    """Return what the numbers of a widget are: sums over a minute on AWS are sums over a bin here."""
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
