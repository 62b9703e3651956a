"""Metrics, alarms, dashboard and runbook match each other."""

import json
import re

import pytest

from harness.watching import ROOT, RUNBOOK, alarms, own_alarms, sections, template, watched, widgets
from local.template import TEMPLATE, load
from shared import telemetry
from shared.telemetry import NAMESPACE, UNITS, Metric

INDEX_DIMENSIONS = ["TableName", "GlobalSecondaryIndexName"]
METRICS_MAX = 10  # of an alarm, CloudWatch's limit, and as many expressions
ALARMS = sorted(alarms())
RUNG_BY_SILENCE = {"SweepSilentAlarm", "ExpireSilentAlarm"}
METRICS = {str(metric) for metric in Metric}
RESOURCES = template()["Resources"]
# Without CheckFunction: its failure rolls the deployment back.
FUNCTIONS = {
    name
    for name, one in RESOURCES.items()
    if one["Type"] == "AWS::Serverless::Function" and one["Properties"].get("Events")
}
# By whom they serve; public routes count as buyers'.
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
LINK = re.compile(r" What to do: \$\{RunbookUrl\}#([\w-]+)$")


def _documented() -> dict[str, str]:
    """Return the metrics of the runbook's table, with their units."""
    return dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", RUNBOOK.read_text(), re.MULTILINE))


def _watch(metric: str, dimension: str) -> dict[str, set[str]]:
    """Return for each alarm the resources whose metric of this name it watches."""
    found: dict[str, set[str]] = {}
    for name in ALARMS:
        for one in watched(name):
            for named in one["Dimensions"]:
                if one["MetricName"] == metric and named["Name"] == dimension:
                    found.setdefault(name, set()).add(named["Value"]["Ref"])
    return found


def test_the_runbook_lists_all_metrics_with_their_units() -> None:
    """And no others."""
    assert _documented() == {str(metric): UNITS.get(metric, "Count") for metric in Metric}


def test_the_dashboard_shows_every_metric() -> None:
    """And no metric that does not exist."""
    rows = [row for widget in widgets() for row in widget["properties"]["metrics"] if row[0] == NAMESPACE]
    assert {row[1] for row in rows} == METRICS
    assert {tuple(row[2:4]) for row in rows} == {("stack", "${AWS::StackName}")}


def test_no_widget_overlaps_another() -> None:
    """The dashboard is 24 columns wide."""
    taken: set[tuple[int, int]] = set()
    for widget in widgets():
        x, y = widget["x"], widget["y"]
        cells = {(x + n, y + m) for n in range(widget["width"]) for m in range(widget["height"])}
        assert not cells & taken
        assert max(column for column, _ in cells) < 24
        taken |= cells


def test_the_lines_on_the_dashboard_are_the_alarms_thresholds() -> None:
    """A curve below its line means a silent alarm."""
    ours = {name: one for name, one in own_alarms().items() if name not in RUNG_BY_SILENCE}.items()
    thresholds = {one["MetricName"]: alarms()[name]["Threshold"] for name, one in ours} | {"Latency": 3000}
    thresholds["PromiseViolations"] += 1  # over 0 means 1
    assert alarms()["ApiLatencyAlarm"]["Threshold"] == thresholds["Latency"]
    drawn = []
    for widget in widgets():
        for line in widget["properties"].get("annotations", {}).get("horizontal", []):
            [metric] = {row[1] for row in widget["properties"]["metrics"]} & thresholds.keys()
            assert line["value"] == thresholds[metric]
            drawn.append(metric)
    assert sorted(drawn) == [
        "EmptyingAge", "Latency", "OverdueHoldAge", "PromiseViolations", "PromotionLatency", "StrandedAge",
    ]  # fmt: skip


@pytest.mark.parametrize("alarm", sorted(own_alarms()))
def test_our_own_alarms_watch_metrics_that_the_code_writes(alarm: str) -> None:
    """To CloudWatch, a typing error looks like silence."""
    assert own_alarms()[alarm]["MetricName"] in METRICS
    assert own_alarms()[alarm]["Dimensions"] == [{"Name": "stack", "Value": {"Ref": "AWS::StackName"}}]


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_links_to_the_runbook(alarm: str) -> None:
    """Its description ends with a link, and that section names the alarm."""
    description = alarms()[alarm]["AlarmDescription"]["Fn::Sub"]
    link = LINK.search(description)
    assert link, description
    assert f"`{alarm}`" in sections()[link[1]]


def test_each_section_of_the_runbook_belongs_to_an_alarm() -> None:
    """And names no alarm that does not exist."""
    linked = {link[1] for one in alarms().values() if (link := LINK.search(one["AlarmDescription"]["Fn::Sub"]))}
    assert sections().keys() == linked
    named = {name for text in sections().values() for name in re.findall(r"`(\w+Alarm)`", text)}
    assert named == set(ALARMS)


@pytest.mark.parametrize("section", sorted(sections()))
def test_a_section_says_what_ends_its_drill(section: str) -> None:
    """One of its steps, or nothing that operators do."""
    text = sections()[section]
    [ended] = re.findall(r"^In the drill: (.+)\.$", text, re.MULTILINE)
    steps = set(re.findall(r"^(\d)\.", text, re.MULTILINE))
    assert set(re.findall(r"\d", ended)) <= steps
    assert "step" in ended or "by itself" in ended or "rolled back" in ended


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_notifies_the_topic_and_decides_about_missing_data(alarm: str) -> None:
    """When it begins and when it ends."""
    told = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    body = alarms()[alarm]
    assert (body["AlarmActions"], body["OKActions"]) == (told, told)
    assert body["TreatMissingData"] == ("breaching" if alarm in RUNG_BY_SILENCE else "notBreaching")
    assert 1 <= body.get("DatapointsToAlarm", 1) <= body["EvaluationPeriods"]


@pytest.mark.parametrize("alarm", [name for name in ALARMS if "Metrics" in alarms()[name]])
def test_an_alarm_on_an_expression_returns_one_series(alarm: str) -> None:
    """CloudWatch must know which series is meant, and takes ten metrics and ten expressions at most, of one period.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html: Metrics
    """
    metrics = alarms()[alarm]["Metrics"]
    assert len([one for one in metrics if one.get("ReturnData", True)]) == 1
    assert len([one for one in metrics if "MetricStat" in one]) <= METRICS_MAX
    assert len([one for one in metrics if "Expression" in one]) <= METRICS_MAX
    assert len({one["MetricStat"]["Period"] for one in metrics if "MetricStat" in one}) <= 1


def test_every_function_is_watched() -> None:
    """Errors and throttles by whom a function serves, and the duration in proportion to its time-out."""
    groups = {"Buyers": BUYERS, "Organisers": ORGANISERS, "Background": BACKGROUND}
    assert _watch("Throttles", "FunctionName") == {f"{who}ThrottlesAlarm": names for who, names in groups.items()}
    sweep = {"SweepFunction"}  # it runs every five minutes, so its alarm has another period
    errors = {f"{who}ErrorsAlarm": names - sweep for who, names in groups.items()} | {"SweepErrorsAlarm": sweep}
    assert _watch("Errors", "FunctionName") == errors
    durations = _watch("Duration", "FunctionName")
    alone = {f"{name.removesuffix('Function')}DurationAlarm": {name} for name in BACKGROUND}
    assert durations == {"BuyersDurationAlarm": BUYERS, "OrganisersDurationAlarm": ORGANISERS, **alone}
    for parameters in ({}, {"SweepTimeout": "270"}):
        thresholds, system = alarms(**parameters), load(TEMPLATE, parameters)
        for alarm, functions in durations.items():
            for function in functions:
                time_out_s = system.functions[function].timeout_s
                assert 0.6 * time_out_s <= thresholds[alarm]["Threshold"] / 1000 < time_out_s


def test_an_alarm_on_dynamodbs_metrics_ends() -> None:
    """DynamoDB publishes nothing where there is nothing to count, and CloudWatch ignores that: FILL makes it 0."""
    for name in ALARMS:
        text = json.dumps(alarms()[name]["Metrics"])
        [watched_one] = [one for one in alarms()[name]["Metrics"] if one["Id"] == "watched"]
        if "AWS/DynamoDB" in text or name in RUNG_BY_SILENCE:
            assert "FILL(" in watched_one["Expression"], name


def test_every_table_is_watched() -> None:
    """Its reads and writes, its indexes, conflicts, and DynamoDB's own faults."""
    indexes = {
        (name, index["IndexName"])
        for name in TABLES
        for index in RESOURCES[name]["Properties"].get("GlobalSecondaryIndexes", [])
    }
    for metric in ("ReadThrottleEvents", "WriteThrottleEvents"):
        of_tables = [one for one in watched("DatabaseThrottlesAlarm") if one["MetricName"] == metric]
        assert [len(one["Dimensions"]) for one in of_tables] == [1] * len(TABLES)
        assert _watch(metric, "TableName")["DatabaseThrottlesAlarm"] == TABLES
        of_indexes = [
            one["Dimensions"]
            for alarm in ("IndexThrottlesAlarm", "HoldIndexThrottlesAlarm")
            for one in watched(alarm)
            if one["MetricName"] == metric
        ]
        assert [[one["Name"] for one in each] for each in of_indexes] == [INDEX_DIMENSIONS] * len(indexes)
        assert {(table["Value"]["Ref"], index["Value"]) for table, index in of_indexes} == indexes
    assert _watch("TransactionConflict", "TableName") == {"ConflictsAlarm": TABLES}
    _filled, query = alarms()["DatabaseFaultsAlarm"]["Metrics"]
    assert set(re.findall(r"'\$\{(\w+)\}'", query["Expression"]["Fn::Sub"])) == TABLES


def test_mappings_count_the_records_that_they_give_up() -> None:
    """The bucket's own metric comes once a day; the mapping's must be enabled."""
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
    """Metrics are lines of level INFO or above."""
    assert set(template()["Parameters"]["LogLevel"]["AllowedValues"]) <= {"DEBUG", "INFO"}
    assert template()["Globals"]["Function"]["Environment"]["Variables"]["STACK"] == {"Ref": "AWS::StackName"}
    assert telemetry.logger.log_level <= 20  # INFO
