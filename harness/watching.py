"""Reads template.yaml and the runbook: alarms, the metrics that they watch, widgets, and sections."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from local import intrinsics
from shared.telemetry import NAMESPACE

ROOT = Path(__file__).resolve().parents[1]
RUNBOOK = ROOT / "docs" / "operations.md"


@cache
def template() -> dict[str, Any]:
    """Read template.yaml."""
    return intrinsics.read(ROOT / "template.yaml")


def alarms(**parameters: str) -> dict[str, dict[str, Any]]:
    """Return the properties of all alarms. Their thresholds are those for these parameters, or else the defaults."""
    values = intrinsics.Values(template(), parameters)
    return {
        name: one["Properties"] | {"Threshold": values.resolve(one["Properties"]["Threshold"], name)}
        for name, one in template()["Resources"].items()
        if one["Type"] == "AWS::CloudWatch::Alarm"
    }


def watched(alarm: str) -> list[dict[str, Any]]:
    """Return the metrics that an alarm watches, each with its namespace, name and dimensions."""
    body = alarms()[alarm]
    if "Metrics" not in body:
        return [body]
    return [one["MetricStat"]["Metric"] for one in body["Metrics"] if "MetricStat" in one]


def own_alarms() -> dict[str, dict[str, Any]]:
    """Return, for each alarm that watches a metric of ours, that metric. No alarm watches two."""
    metrics = {name: [one for one in watched(name) if one["Namespace"] == NAMESPACE] for name in alarms()}
    return {name: one for name, [one] in ((name, found) for name, found in metrics.items() if found)}


def widgets() -> list[dict[str, Any]]:
    """Return the widgets of the dashboard, without substitutions."""
    body = template()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    found: list[dict[str, Any]] = json.loads(body)["widgets"]
    return found


def sections() -> dict[str, str]:
    """Return the sections of the runbook's "What to do", by their anchors on GitHub."""
    _, _, what_to_do = RUNBOOK.read_text().partition("\n## What to do\n")
    parts = re.split(r"^### (.+)$", what_to_do.partition("\n## ")[0], flags=re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-"): text
        for title, text in zip(parts[1::2], parts[2::2], strict=True)
    }
