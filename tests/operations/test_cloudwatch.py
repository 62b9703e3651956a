"""Our CloudWatch is AWS's: its own examples of missing data, and metric math as its manual has it."""

from typing import Any

import pytest

from harness.watching import alarms
from tests.operations import cloudwatch
from tests.operations.cloudwatch import Alarm, Datum, State

# The tables of https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html, the newest
# data point last; X is beyond the threshold, - is missing. Then the state where missing data is breaching, and not.
ALL_OF_3 = [
    ("0 - X - X", "OK", "OK"),
    ("- - - - 0", "OK", "OK"),
    ("- - - - -", "ALARM", "OK"),
    ("0 X X - X", "ALARM", "ALARM"),
    ("- - X - -", "ALARM", "OK"),
]
TWO_OF_3 = [
    ("0 - X - X", "ALARM", "ALARM"),
    ("0 0 X 0 X", "ALARM", "ALARM"),
    ("0 - X - -", "ALARM", "OK"),
    ("- - - - 0", "ALARM", "OK"),
    ("- - - - X", "ALARM", "OK"),
]


def _metric(name: str = "Errors", namespace: str = "AWS/Lambda") -> dict[str, Any]:
    dimensions = [{"Name": "FunctionName", "Value": {"Ref": "BookFunction"}}]
    return {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}


def _alarm(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Alarm:
    body = {
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 3,
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        **changes,
    }
    monkeypatch.setattr(cloudwatch, "alarms", lambda: {"AnAlarm": body})
    return Alarm("AnAlarm")


def _history(points: str) -> list[list[Datum]]:
    values = {"-": [], "0": [0.0], "X": [1.0]}
    book = {"FunctionName": "BookFunction"}
    return [[Datum("AWS/Lambda", "Errors", book, value) for value in values[point]] for point in points.split()]


@pytest.mark.parametrize(
    ("datapoints", "points", "breaching", "not_breaching"),
    [(3, *row) for row in ALL_OF_3] + [(2, *row) for row in TWO_OF_3],
)
def test_missing_data_is_treated_as_in_the_manual(
    monkeypatch: pytest.MonkeyPatch, datapoints: int, points: str, breaching: str, not_breaching: str
) -> None:
    """M of the N newest data points that are there; what is missing of N counts as the alarm says."""
    for treatment, expected in (("breaching", breaching), ("notBreaching", not_breaching)):
        alarm = _alarm(monkeypatch, **_metric(), DatapointsToAlarm=datapoints, TreatMissingData=treatment)
        assert alarm.state(_history(points), State.OK) == expected


def test_an_alarm_on_dynamodb_stays_as_it_is_while_data_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever TreatMissingData says: so without FILL it would never end."""
    alarm = _alarm(monkeypatch, **_metric(namespace="AWS/DynamoDB"))
    assert alarm.state([], State.ALARM) is State.ALARM
    assert alarm.state([], State.OK) is State.OK


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("100 * one / other", [50, None, None, None]),  # by 0, by what is missing, of what is missing
        ("SUM(METRICS())", [3, 1, 1, 2]),
        ("MAX(METRICS())", [2, 1, 1, 2]),
        ("FILL(one, 0)", [1, 1, 1, 0]),
        ("SUM(FILL(METRICS(), 5))", [3, 1, 6, 7]),
    ],
)
def test_metric_math_is_that_of_the_manual(
    monkeypatch: pytest.MonkeyPatch, expression: str, expected: list[float | None]
) -> None:
    """Missing data is missing in arithmetic, left out of sums, and there once it is filled."""
    names = ("one", "other")
    stats = [{"Id": n, "ReturnData": False, "MetricStat": _stat(n)} for n in names]
    alarm = _alarm(monkeypatch, Metrics=[{"Id": "watched", "Expression": expression}, *stats])
    values = [(1, 2), (1, 0), (1, None), (None, 2)]
    book = {"FunctionName": "BookFunction"}
    history = [
        [Datum("AWS/Lambda", name, book, one) for name, one in zip(names, pair, strict=True) if one is not None]
        for pair in values
    ]
    assert alarm.values(history) == expected


def _stat(name: str) -> dict[str, Any]:
    return {"Stat": "Sum", "Period": 60, "Metric": _metric(name)}


def test_what_never_had_a_value_cannot_be_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to fill the gaps of."""
    stats = [{"Id": "one", "ReturnData": False, "MetricStat": _stat("one")}]
    alarm = _alarm(monkeypatch, Metrics=[{"Id": "watched", "Expression": "FILL(one, 0)"}, *stats])
    assert alarm.values([[], []]) == [None, None]


def test_a_query_adds_up_what_its_conditions_name() -> None:
    """Of the tables it names, in the dimensions it names, and nothing else."""
    alarm = Alarm("DatabaseFaultsAlarm")

    def faults(table: str, **more: str) -> Datum:
        return Datum("AWS/DynamoDB", "SystemErrors", {"TableName": table, **more}, 1)

    period = [
        faults("LanesTable", Operation="GetItem"),
        faults("BookingsTable", Operation="Query"),
        faults("AnotherTable", Operation="Query"),
        faults("LanesTable"),
        Datum("AWS/DynamoDB", "UserErrors", {"TableName": "LanesTable", "Operation": "GetItem"}, 1),
    ]
    assert alarm.values([period, []]) == [2, 0]


def test_a_query_of_dynamodbs_metrics_is_of_dynamodbs_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it ignores missing data, too, and without FILL the alarm would not end."""
    body = dict(alarms()["DatabaseFaultsAlarm"])
    [query] = [one for one in body["Metrics"] if "Period" in one]
    body["Metrics"] = [{key: value for key, value in query.items() if key != "ReturnData"}]
    monkeypatch.setattr(cloudwatch, "alarms", lambda: {"AnAlarm": body})
    assert Alarm("AnAlarm").state([], State.ALARM) is State.ALARM


def test_a_percentile_is_a_value_that_was_there() -> None:
    """Of few values the 99th percentile is the highest; of many it is not the highest one."""
    p99 = cloudwatch.STATISTICS["p99"]
    assert p99([1, 9, 3]) == 9
    assert p99([*range(1, 201)]) == 198
