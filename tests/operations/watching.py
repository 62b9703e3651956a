"""CloudWatch's part: what an alarm of template.yaml makes of the lines that the functions wrote."""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from local import intrinsics
from shared.telemetry import NAMESPACE

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = ROOT / "docs" / "operations.md"

Line = Mapping[str, Any]

STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "SampleCount": len,
    "p99": lambda values: sorted(values)[math.ceil(0.99 * len(values)) - 1],
}


@dataclass(frozen=True)
class Alarm:
    """An alarm on one of our own metrics, as template.yaml has it with its parameters' defaults."""

    name: str
    metric: str
    dimensions: Mapping[str, str]
    statistic: str
    threshold: float
    is_above: bool
    silence_alarms: bool

    def is_crossed_by(self, lines: Iterable[Line]) -> bool:
        """Tell whether these lines, taken as one period, are beyond the threshold."""
        values = [line[self.metric] for line in lines if self._sees(line)]
        if not values:
            return self.silence_alarms
        value = STATISTICS[self.statistic](values)
        return value > self.threshold if self.is_above else value < self.threshold

    def _sees(self, line: Line) -> bool:
        """Tell whether CloudWatch makes a value of this metric, in these dimensions, of a line."""
        return any(
            definition["Namespace"] == NAMESPACE
            and list(self.dimensions) in definition["Dimensions"]
            and all(line[name] == value for name, value in self.dimensions.items())
            and self.metric in {metric["Name"] for metric in definition["Metrics"]}
            for definition in line.get("_aws", {}).get("CloudWatchMetrics", [])
        )


@cache
def template() -> dict[str, Any]:
    """Read template.yaml."""
    return intrinsics.read(ROOT / "template.yaml")


def alarms() -> dict[str, dict[str, Any]]:
    """Return the properties of all alarms."""
    resources = template()["Resources"].items()
    return {name: one["Properties"] for name, one in resources if one["Type"] == "AWS::CloudWatch::Alarm"}


@cache
def own_alarms() -> dict[str, Alarm]:
    """Return the alarms on our own metrics."""
    values = intrinsics.Values(template(), {})
    return {
        name: Alarm(
            name,
            body["MetricName"],
            {one["Name"]: values.resolve(one["Value"], name) for one in body["Dimensions"]},
            body.get("Statistic") or body["ExtendedStatistic"],
            body["Threshold"],
            is_above={"GreaterThanThreshold": True, "LessThanThreshold": False}[body["ComparisonOperator"]],
            silence_alarms={"breaching": True, "notBreaching": False}[body["TreatMissingData"]],
        )
        for name, body in alarms().items()
        if body.get("Namespace") == NAMESPACE
    }


def widgets() -> list[dict[str, Any]]:
    """Return the widgets of the dashboard, its substitutions as they stand in the template."""
    body = template()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    found: list[dict[str, Any]] = json.loads(body)["widgets"]
    return found


def sections() -> dict[str, str]:
    """Return the sections of the runbook that say what to do, by the anchor that GitHub gives them."""
    _, _, what_to_do = RUNBOOK.read_text().partition("\n## What to do\n")
    parts = re.split(r"^### (.+)$", what_to_do.partition("\n## ")[0], flags=re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-"): text
        for title, text in zip(parts[1::2], parts[2::2], strict=True)
    }
