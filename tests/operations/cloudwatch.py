"""CloudWatch's part: what an alarm of template.yaml makes of the values that its metrics had, period by period.

Statistics, metric math and a query of Metrics Insights as far as the template uses them, M out of N, and missing data:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from harness.watching import alarms, template
from local import intrinsics

# An alarm that misses data points looks at older ones. AWS leaves open at how many; in its examples these are two.
OLDER_PERIODS = 2

Line = Mapping[str, Any]
Series = list[float | None]  # a value for each period, None where there is none


class State(StrEnum):
    """Of an alarm. There is no INSUFFICIENT_DATA: every alarm of ours says what missing data means."""

    OK = "OK"
    ALARM = "ALARM"


@dataclass(frozen=True, slots=True)
class Datum:
    """One value of a metric. Resources have their logical ids for names, the stack is "local"."""

    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    value: float


def of_lines(lines: Iterable[Line]) -> list[Datum]:
    """Return what CloudWatch makes of log lines, those in its embedded metric format."""
    return [
        Datum(definition["Namespace"], metric["Name"], {name: line[name] for name in names}, line[metric["Name"]])
        for line in lines
        for definition in line.get("_aws", {}).get("CloudWatchMetrics", [])
        for names in definition["Dimensions"]
        for metric in definition["Metrics"]
    ]


STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "SampleCount": len,
    "p99": lambda values: sorted(values)[math.ceil(0.99 * len(values)) - 1],
}


class Alarm:
    """An alarm of template.yaml, with its parameters' defaults."""

    def __init__(self, name: str) -> None:
        body = alarms()[name]
        self.name = name
        self.periods: int = body["EvaluationPeriods"]
        self.datapoints: int = body["DatapointsToAlarm"]
        self._threshold: float = body["Threshold"]
        self._is_beyond = {"GreaterThanThreshold": operator.gt, "LessThanThreshold": operator.lt}[
            body["ComparisonOperator"]
        ]
        self._missing_is_beyond = {"breaching": True, "notBreaching": False}[body["TreatMissingData"]]
        self._metrics: list[dict[str, Any]] = body.get("Metrics") or [{"Id": "watched", "MetricStat": _stat(body)}]
        stats = [one["MetricStat"] for one in self._metrics if "MetricStat" in one]
        [self.period_s] = {one["Period"] for one in [*stats, *self._metrics] if "Period" in one}
        # "always ignore missing data even if you choose a different option": the API reference of PutMetricAlarm. The
        # user guide says that this is the default only; what rings and ends under the stricter rule does under both.
        namespaces = {one["Metric"]["Namespace"] for one in stats}
        namespaces |= {found[2] for one in self._metrics if (found := _QUERY.fullmatch(_query(one)))}
        self._ignores_missing = "AWS/DynamoDB" in namespaces

    def state(self, history: Sequence[Sequence[Datum]], before: State) -> State:
        """Judge by what was measured in each period up to now; `before` is the state that the alarm was in."""
        wanted = self.periods + OLDER_PERIODS
        values = self.values([*[()] * wanted, *history][-wanted:])
        recent = [value for value in values if value is not None][-self.periods :]
        missing = self.periods - len(recent)
        if missing and self._ignores_missing:
            return before
        beyond = sum(self._is_beyond(value, self._threshold) for value in recent) + missing * self._missing_is_beyond
        return State.ALARM if beyond >= self.datapoints else State.OK

    def values(self, history: Sequence[Sequence[Datum]]) -> Series:
        """Return what the alarm compares with its threshold, for each period."""
        series: dict[str, Series] = {
            one["Id"]: [_statistic(one["MetricStat"], period) for period in history]
            for one in self._metrics
            if "MetricStat" in one
        }
        series |= {
            one["Id"]: [_queried(query, period) for period in history]
            for one in self._metrics
            if (query := _query(one))
        }
        [asked] = [one for one in self._metrics if one.get("ReturnData", True)]
        if asked["Id"] in series:
            return series[asked["Id"]]
        return _series(ast.parse(asked["Expression"], mode="eval").body, series, len(history))


def _stat(body: Mapping[str, Any]) -> dict[str, Any]:
    """Write the short form of an alarm on one metric in the long form."""
    stat = body.get("Statistic") or body["ExtendedStatistic"]
    return {"Stat": stat, "Period": body["Period"], "Metric": body}


def _statistic(stat: Mapping[str, Any], period: Iterable[Datum]) -> float | None:
    metric = stat["Metric"]
    dimensions = {one["Name"]: _id(one["Value"]) for one in metric["Dimensions"]}
    wanted = (metric["Namespace"], metric["MetricName"], dimensions)
    values = [one.value for one in period if (one.namespace, one.metric, one.dimensions) == wanted]
    return STATISTICS[stat["Stat"]](values) if values else None


def _id(value: Any) -> str:
    """Return what a !Ref stands for: the stack's name, or a resource's logical id (SAM adds some of its own).

    What is no !Ref, as the name of an index, stands for itself.
    """
    if isinstance(value, str):
        return value
    return "local" if value["Ref"] == "AWS::StackName" else str(value["Ref"])


_QUERY = re.compile(r'SELECT SUM\((\w+)\) FROM SCHEMA\("([\w/]+)", ([\w, ]+)\) WHERE (.+)')


def _query(one: Mapping[str, Any]) -> str:
    """Return the query of Metrics Insights that this is, on one line; nothing if it is none."""
    expression = one.get("Expression")
    if not isinstance(expression, dict):  # !Sub: only queries name resources
        return ""
    query = " ".join(re.sub(r"\$\{(\w+)\}", r"\1", expression["Fn::Sub"]).split())
    assert _QUERY.fullmatch(query), query
    return query


def _queried(query: str, period: Iterable[Datum]) -> float | None:
    """Answer SELECT SUM(metric) FROM SCHEMA("namespace", dimensions) WHERE name = 'value' OR ..."""
    found = _QUERY.fullmatch(query)
    assert found, query
    metric, namespace, names, conditions = found.groups()
    either = [re.fullmatch(r"(\w+) = '(\w+)'", one) for one in conditions.split(" OR ")]
    values = [
        one.value
        for one in period
        if (one.namespace, one.metric) == (namespace, metric)
        and one.dimensions.keys() == set(names.split(", "))
        and any(same and one.dimensions[same[1]] == same[2] for same in either)
    ]
    return sum(values) if values else None


_ARITHMETIC: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_REDUCTIONS: Mapping[str, Callable[[Sequence[float]], float]] = {"SUM": sum, "MAX": max}


def _series(node: ast.AST, metrics: Mapping[str, Series], length: int) -> Series:
    """Evaluate metric math that gives one series: a number, a metric, *, /, FILL with a number, SUM, MAX."""
    match node:
        case ast.Constant(value=float() | int() as number):
            found: Series = [number] * length
        case ast.Name(id=name):
            found = metrics[name]
        case ast.BinOp(left=left, op=op, right=right):
            pairs = zip(_series(left, metrics, length), _series(right, metrics, length), strict=True)
            found = [_applied(_ARITHMETIC[type(op)], one, other) for one, other in pairs]
        case ast.Call(func=ast.Name(id="FILL"), args=[what, ast.Constant(value=float() | int() as number)]):
            found = _filled(_series(what, metrics, length), number)
        case ast.Call(func=ast.Name(id=name), args=[what]):
            columns = zip(*_array(what, metrics), strict=True)
            present = [[value for value in column if value is not None] for column in columns]
            found = [_REDUCTIONS[name](values) if values else None for values in present]
        case _:
            raise AssertionError(f"metric math that is not known here: {ast.dump(node)}")
    return found


def _array(node: ast.AST, metrics: Mapping[str, Series]) -> list[Series]:
    """Evaluate metric math that gives several series: METRICS(), FILL of it with a number."""
    match node:
        case ast.Call(func=ast.Name(id="METRICS"), args=[]):
            return list(metrics.values())
        case ast.Call(func=ast.Name(id="FILL"), args=[what, ast.Constant(value=float() | int() as number)]):
            return [_filled(one, number) for one in _array(what, metrics)]
    raise AssertionError(f"metric math that is not known here: {ast.dump(node)}")


def _applied(op: Callable[[float, float], float], one: Any, other: Any) -> float | None:
    """Apply an operator; what is missing, or divided by nothing, is missing."""
    if one is None or other is None or (op is operator.truediv and other == 0):
        return None
    return op(one, other)


def _filled(values: Series, number: float) -> Series:
    """Fill the gaps of a series; one that has no value at all stays as it is."""
    return [number if value is None else value for value in values] if any(v is not None for v in values) else values


assert intrinsics.Values(template(), {}).resolve({"Ref": "AWS::StackName"}, "the stack") == "local"
