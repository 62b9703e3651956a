"""Compute what an alarm of template.yaml compares with its threshold, from what was measured in one period.

How many periods an alarm waits, and how it treats missing data, is CloudWatch's part and not computed here:
tests/operations/test_pairs.py checks that the template configures it.
"""

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.watching import alarms

Line = Mapping[str, Any]

STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Average": lambda values: sum(values) / len(values),
    "Maximum": max,
    "Minimum": min,
    "SampleCount": len,
    "p99": lambda values: sorted(values)[math.ceil(0.99 * len(values)) - 1],
}
_QUERY = re.compile(r'SELECT SUM\((\w+)\) FROM SCHEMA\("([\w/]+)", Operation, TableName\) WHERE (.+)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Datum:
    """One value of a metric. Resources are named by their logical ids, the stack is "local"."""

    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    value: float


def of_lines(lines: Iterable[Line]) -> list[Datum]:
    """Extract the metrics of log lines in the embedded metric format."""
    return [
        Datum(definition["Namespace"], metric["Name"], {name: line[name] for name in names}, line[metric["Name"]])
        for line in lines
        for definition in line.get("_aws", {}).get("CloudWatchMetrics", [])
        for names in definition["Dimensions"]
        for metric in definition["Metrics"]
    ]


class Alarm:
    """An alarm of template.yaml."""

    def __init__(self, name: str) -> None:
        body = alarms()[name]
        self.name = name
        self._metrics: list[dict[str, Any]] = body["Metrics"]
        self._threshold: float = body["Threshold"]
        self._compare = {"GreaterThanThreshold": operator.gt, "LessThanThreshold": operator.lt}[
            body["ComparisonOperator"]
        ]
        self._missing_is_breaching = body["TreatMissingData"] == "breaching"

    def is_breaching(self, period: Sequence[Datum]) -> bool:
        """Say whether what was measured in a period counts towards the alarm."""
        value = self.value(period)
        return self._missing_is_breaching if value is None else bool(self._compare(value, self._threshold))

    def value(self, period: Sequence[Datum]) -> float | None:
        """Return what is compared with the threshold; None if there is no data."""
        known = {one["Id"]: _measured(one, period) for one in self._metrics if one["Id"] != "watched"}
        [watched] = [one for one in self._metrics if one["Id"] == "watched"]
        if "MetricStat" in watched:
            return _measured(watched, period)
        present = [value for value in known.values() if value is not None]
        functions: dict[str, Any] = {"METRICS": lambda: present, "FILL": _filled, "SUM": sum, "MAX": max}
        try:
            return float(eval(watched["Expression"], {"__builtins__": {}}, functions | known))  # noqa: S307 - template.yaml is ours
        except (TypeError, ValueError, ZeroDivisionError):  # of a value that is missing, of no values, by 0
            return None


def _measured(one: Mapping[str, Any], period: Iterable[Datum]) -> float | None:
    """Return the statistic of a metric, or the result of a query."""
    if "MetricStat" not in one:
        return _queried(one["Expression"]["Fn::Sub"], period)
    metric = one["MetricStat"]["Metric"]
    dimensions = {each["Name"]: _id(each["Value"]) for each in metric["Dimensions"]}
    wanted = (metric["Namespace"], metric["MetricName"], dimensions)
    values = [each.value for each in period if (each.namespace, each.metric, each.dimensions) == wanted]
    return STATISTICS[one["MetricStat"]["Stat"]](values) if values else None


def _id(value: Any) -> str:
    """Return what a dimension is called here: the stack, a resource's logical id, or the name of an index."""
    if isinstance(value, str):
        return value
    return "local" if value["Ref"] == "AWS::StackName" else str(value["Ref"])


def _queried(query: str, period: Iterable[Datum]) -> float | None:
    """Answer a query of the form that DatabaseFaultsAlarm has: one metric, summed up over some tables."""
    found = _QUERY.fullmatch(query)
    assert found, query
    metric, namespace, conditions = found.groups()
    tables = set(re.findall(r"TableName = '\$\{(\w+)\}'", conditions))
    values = [
        one.value
        for one in period
        if (one.namespace, one.metric) == (namespace, metric) and one.dimensions.get("TableName") in tables
    ]
    return sum(values) if values else None


def _filled(what: Any, number: float) -> Any:
    """Replace a missing value; METRICS() has no missing values, and no values at all add up to 0."""
    return number if what is None else what
