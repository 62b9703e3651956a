"""Metrics, alarms, dashboard and runbook: none without its pair."""

import re

import pytest

from harness.watching import ROOT, RUNBOOK, alarms, own_alarms, sections, template, watched, widgets
from shared import telemetry
from shared.telemetry import NAMESPACE, UNITS, Metric

INDEX_DIMENSIONS = ["TableName", "GlobalSecondaryIndexName"]
METRICS_MAX = 10  # of an alarm, by CloudWatch; and as many expressions
ALARMS = sorted(alarms())
METRICS = {str(metric) for metric in Metric}
RESOURCES = template()["Resources"]
# Those that do the office's work. What a deployment calls, it judges itself: it rolls back.
FUNCTIONS = {
    name
    for name, one in RESOURCES.items()
    if one["Type"] == "AWS::Serverless::Function" and one["Properties"].get("Events")
}
# By whom they serve. What answers anybody counts among the buyers'.
BACKGROUND = {
    name
    for name in FUNCTIONS
    if all(trigger["Type"] != "HttpApi" for trigger in RESOURCES[name]["Properties"]["Events"].values())
}
ORGANISERS = {
    name
    for name in FUNCTIONS - BACKGROUND
    if "must_organise()" in (ROOT / RESOURCES[name]["Properties"]["CodeUri"] / "app.py").read_text()
}
BUYERS = FUNCTIONS - BACKGROUND - ORGANISERS
TABLES = {name for name, one in RESOURCES.items() if one["Type"] == "AWS::DynamoDB::Table"}
LINK = re.compile(r" What to do: docs/operations\.md#([\w-]+)$")


def _documented() -> dict[str, str]:
    """Return the metrics of the runbook's table and their units."""
    return dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", RUNBOOK.read_text(), re.MULTILINE))


def _watch(metric: str, dimension: str) -> dict[str, set[str]]:
    """Return by alarm the resources whose metric of this name it watches."""
    found: dict[str, set[str]] = {}
    for name in ALARMS:
        for one in watched(name):
            for named in one["Dimensions"]:
                if one["MetricName"] == metric and named["Name"] == dimension:
                    found.setdefault(name, set()).add(named["Value"]["Ref"])
    return found


def test_every_metric_is_documented_with_its_unit_and_nothing_else_is() -> None:
    """One name and one meaning each, and the table of docs/operations.md has them all."""
    assert _documented() == {str(metric): UNITS.get(metric, "Count") for metric in Metric}


def test_the_dashboard_shows_every_metric() -> None:
    """What is counted can be seen; what is shown is counted."""
    rows = [row for widget in widgets() for row in widget["properties"]["metrics"] if row[0] == NAMESPACE]
    assert {row[1] for row in rows} == METRICS
    assert {tuple(row[2:4]) for row in rows} == {("stack", "${AWS::StackName}")}


def test_widgets_stand_beside_each_other() -> None:
    """The dashboard is 24 columns wide, and no widget hides another."""
    taken: set[tuple[int, int]] = set()
    for widget in widgets():
        x, y = widget["x"], widget["y"]
        cells = {(x + n, y + m) for n in range(widget["width"]) for m in range(widget["height"])}
        assert not cells & taken
        assert max(column for column, _ in cells) < 24
        taken |= cells


def test_the_lines_on_the_dashboard_are_those_of_the_alarms() -> None:
    """Who sees a curve below the line knows that the alarm is silent."""
    ours = own_alarms().items()
    thresholds = {one["MetricName"]: alarms()[name]["Threshold"] for name, one in ours} | {"Latency": 3000}
    thresholds["PromiseViolations"] += 1  # over 0 is 1 on a picture
    assert alarms()["ApiLatencyAlarm"]["Threshold"] == thresholds["Latency"]
    drawn = []
    for widget in widgets():
        for line in widget["properties"].get("annotations", {}).get("horizontal", []):
            [metric] = {row[1] for row in widget["properties"]["metrics"]} & thresholds.keys()
            assert line["value"] == thresholds[metric]
            drawn.append(metric)
    assert sorted(drawn) == ["EmptyingAge", "Latency", "PromiseViolations", "PromotionLatency", "StrandedAge"]


@pytest.mark.parametrize("alarm", sorted(own_alarms()))
def test_an_alarm_of_ours_watches_a_metric_that_the_code_writes(alarm: str) -> None:
    """Same name, same dimension: CloudWatch makes no difference between a typing error and silence."""
    assert own_alarms()[alarm]["MetricName"] in METRICS
    assert own_alarms()[alarm]["Dimensions"] == [{"Name": "stack", "Value": {"Ref": "AWS::StackName"}}]


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_says_what_to_do(alarm: str) -> None:
    """Its description ends with the section of the runbook, and the section names the alarm."""
    description = alarms()[alarm]["AlarmDescription"]
    link = LINK.search(description)
    assert link, description
    assert f"`{alarm}`" in sections()[link[1]]


def test_a_section_of_the_runbook_belongs_to_an_alarm() -> None:
    """No advice for what nobody is told, none for an alarm that is gone."""
    linked = {link[1] for one in alarms().values() if (link := LINK.search(one["AlarmDescription"]))}
    assert sections().keys() == linked
    named = {name for text in sections().values() for name in re.findall(r"`(\w+Alarm)`", text)}
    assert named == set(ALARMS)


@pytest.mark.parametrize("section", sorted(sections()))
def test_a_section_says_what_ended_its_drill(section: str) -> None:
    """A step that the section has, or nothing that operators do."""
    text = sections()[section]
    [ended] = re.findall(r"^In the drill: (.+)\.$", text, re.MULTILINE)
    steps = set(re.findall(r"^(\d)\.", text, re.MULTILINE))
    assert set(re.findall(r"\d", ended)) <= steps
    assert "step" in ended or "by itself" in ended or "rolled back" in ended


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_tells_the_topic_and_says_what_silence_means(alarm: str) -> None:
    """One topic for all, for the beginning and the end of an alarm; missing data is decided, not left to a default."""
    told = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    body = alarms()[alarm]
    assert (body["AlarmActions"], body["OKActions"]) == (told, told)
    assert body["TreatMissingData"] == ("breaching" if alarm == "SweepSilentAlarm" else "notBreaching")
    assert 1 <= body["DatapointsToAlarm"] <= body["EvaluationPeriods"]
    if "ExtendedStatistic" in body:
        assert body["EvaluateLowSampleCountPercentile"] == "evaluate"


@pytest.mark.parametrize("alarm", [name for name in ALARMS if "Metrics" in alarms()[name]])
def test_an_alarm_on_an_expression_returns_one_series(alarm: str) -> None:
    """CloudWatch wants to know which of the series is meant, and takes ten metrics and ten expressions at the most.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html: Metrics
    """
    metrics = alarms()[alarm]["Metrics"]
    assert len([one for one in metrics if one.get("ReturnData", True)]) == 1
    assert len([one for one in metrics if "MetricStat" in one]) <= METRICS_MAX
    assert len([one for one in metrics if "Expression" in one]) <= METRICS_MAX


def test_every_function_is_watched() -> None:
    """Errors one by one, throttles by whom they serve, and the duration in proportion to each one's own time-out."""
    errors = _watch("Errors", "FunctionName")
    assert sorted(map(sorted, errors.values())) == sorted([name] for name in FUNCTIONS)
    assert _watch("Throttles", "FunctionName") == {
        "BuyersThrottlesAlarm": BUYERS,
        "OrganisersThrottlesAlarm": ORGANISERS,
        "BackgroundThrottlesAlarm": BACKGROUND,
    }
    own_time_out = {name: RESOURCES[name]["Properties"].get("Timeout") for name in FUNCTIONS}
    durations = _watch("Duration", "FunctionName")
    assert durations == {
        "BuyersDurationAlarm": BUYERS,
        "OrganisersDurationAlarm": ORGANISERS,
        **{f"{name.removesuffix('Function')}DurationAlarm": {name} for name in BACKGROUND},
    }
    for alarm, functions in durations.items():
        for function in functions:
            time_out_s = own_time_out[function] or template()["Globals"]["Function"]["Timeout"]
            assert 0.6 * time_out_s <= alarms()[alarm]["Threshold"] / 1000 < time_out_s


def test_every_table_is_watched() -> None:
    """Throttling both ways, conflicts, and DynamoDB's own faults."""
    indexes = {
        (name, index["IndexName"])
        for name in TABLES
        for index in RESOURCES[name]["Properties"].get("GlobalSecondaryIndexes", [])
    }
    for metric in ("ReadThrottleEvents", "WriteThrottleEvents"):
        of_tables = [one for one in watched("DatabaseThrottlesAlarm") if one["MetricName"] == metric]
        assert [len(one["Dimensions"]) for one in of_tables] == [1] * len(TABLES)
        assert _watch(metric, "TableName")["DatabaseThrottlesAlarm"] == TABLES
        of_indexes = [one["Dimensions"] for one in watched("IndexThrottlesAlarm") if one["MetricName"] == metric]
        assert [[one["Name"] for one in each] for each in of_indexes] == [INDEX_DIMENSIONS] * len(indexes)
        assert {(table["Value"]["Ref"], index["Value"]) for table, index in of_indexes} == indexes
    assert _watch("TransactionConflict", "TableName") == {"ConflictsAlarm": TABLES}
    _filled, query = alarms()["DatabaseFaultsAlarm"]["Metrics"]
    assert set(re.findall(r"'\$\{(\w+)\}'", query["Expression"]["Fn::Sub"])) == TABLES


def test_records_that_were_given_up_are_counted_by_the_mapping() -> None:
    """The bucket's own metric comes once a day; the mapping's must be asked for."""
    mappings = {
        name + event: trigger["Properties"]
        for name in FUNCTIONS
        for event, trigger in RESOURCES[name]["Properties"]["Events"].items()
        if trigger["Type"] == "DynamoDB"
    }
    assert all(mapping["MetricsConfig"] == {"Metrics": ["EventCount"]} for mapping in mappings.values())
    functions = {
        "FailedRecordsAlarm": {"PromoteFunction", "FollowFunction"},
        "AnnouncementsGivenUpAlarm": {"AnnounceFunction"},
    }
    by_alarm = {alarm: {name for name in mappings if name.startswith(tuple(its))} for alarm, its in functions.items()}
    assert set().union(*by_alarm.values()) == mappings.keys()
    for metric in ("OnFailureDestinationDeliveredEventCount", "DroppedEventCount"):
        assert _watch(metric, "EventSourceMappingUUID") == by_alarm
    assert _watch("DestinationDeliveryFailures", "FunctionName") == functions


def test_no_log_level_silences_the_metrics() -> None:
    """A metric is a line of level INFO or above: the level that is written is never higher."""
    assert set(template()["Parameters"]["LogLevel"]["AllowedValues"]) <= {"DEBUG", "INFO"}
    assert template()["Globals"]["Function"]["Environment"]["Variables"]["STACK"] == {"Ref": "AWS::StackName"}
    assert telemetry.logger.log_level <= 20  # INFO
