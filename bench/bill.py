"""The whole bill of an event and of a stack: from the units and log bytes of a run, template.yaml, and list prices.

What an event brings is assumed and stated: how many users come for each ticket, and how often they look. What each of
these requests costs is counted.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench import record
from bench.cost import (
    COUNTED,
    GB_SECONDS_USD,
    HTTP_REQUESTS_USD,
    INVOCATIONS_USD,
    LANES_MANY,
    LOG_LINE_BYTES,
    NOTHING_DUE,
    NOTHING_TO_SWEEP,
    PAST_EVENTS,
    PAST_TO_SWEEP,
    RUNS_MONTHLY,
    SWEPT,
    TOKENS_USD,
    USERS_USD,
    of_lanes,
    promoters,
)
from local import intrinsics
from local.template import TEMPLATE
from shared.telemetry import Metric

# US dollars, in us-east-1. Of those with a free tier, it is left out.
LOGS_GB_USD = 0.50 + 0.03  # https://aws.amazon.com/cloudwatch/pricing/: collected, and stored for a month
METRIC_USD, ALARM_USD, DASHBOARD_USD = 0.30, 0.10, 3.00  # a month each, the same page; of an alarm, for each metric
CUSTOM_EVENTS_USD = 1.00  # https://aws.amazon.com/eventbridge/pricing/: a million, each up to 64 KB
TABLE_GB_USD = 0.25 + 0.20  # https://aws.amazon.com/dynamodb/pricing/on-demand/: stored for a month, with recovery
SWEEPS_MONTHLY = RUNS_MONTHLY / 5
PAST_MANY = 1_000_000  # events
USERS_FREE = 10_000  # monthly active users of the tiers LITE and ESSENTIALS

_ID = "5f0c7a54-61f2-4f0e-8a57-b1a1f0c0de05"
_REPORT = [
    f"REPORT RequestId: {_ID}", "Duration: 12.34 ms", "Billed Duration: 13 ms", "Memory Size: 1024 MB",
    "Max Memory Used: 110 MB", "\n",
]  # fmt: skip
LINES_OF_LAMBDA = (  # of each invocation, in Lambda's own format
    f"START RequestId: {_ID} Version: 12\n",
    f"END RequestId: {_ID}\n",
    "\t".join(_REPORT),
)
ACCESS = {  # what API Gateway puts into a line of the access log
    "requestId": "JKJaXmPLvHcESHA=", "requestTime": "01/May/2026:18:00:00 +0000", "routeKey": "GET /status/{eventId}",
    "status": "200", "responseLatency": "12", "responseLength": "412",
}  # fmt: skip

RUN_MS = 15  # billed for a request by a warm function; the page says what each millisecond more costs
JOINS, RETURNS = 0.5, 0.05  # users who join the list and tickets that come back, for each ticket
LOOKS, LISTS = 20, 2  # statuses and lists that each user asks for
WATCHED_S = 600  # how long an event is watched so closely that it is counted each second
FUNCTIONS_COUNTING = {"small": 1, "medium": 4, "large": 60}  # warm functions that count the event each second
EVENTS = {"small": (50, 1), "medium": (5_000, 96), "large": (100_000, 96)}  # tickets, and lanes


@dataclass(frozen=True)
class Requests:
    """So many requests of one kind, each with so many announcements."""

    row: str  # in cost.json
    number: float
    announced: int = 0
    is_http: bool = True
    invocations: int = 1


def section() -> str:
    """Render the part of docs/benchmark.md."""
    head = ["", *(f"{name}: {tickets:,} tickets" for name, (tickets, _) in EVENTS.items())]
    bills = {name: of_event(name) for name in EVENTS}
    cells = [[part, *(f"{bill[part]:.4f}" for bill in bills.values())] for part in next(iter(bills.values()))]
    cells.append(["**all**", *(f"**{sum(bill.values()):.3f}**" for bill in bills.values())])
    month = of_month()
    stack = [[part, f"{usd:.2f}"] for part, usd in month.items()]
    stack.append(["**all**", f"**{sum(month.values()):.2f}**"])
    swept = {lanes: f"${_swept_usd(lanes):.2f}" for lanes in map(of_lanes, (1, LANES_MANY))}
    counting = " or ".join(map(str, FUNCTIONS_COUNTING.values()))
    tier = {name: f"${usd:.2f} with `{name}`" for name, usd in USERS_USD.items()}
    return f"""### The whole bill

In US dollars, from the run above, `template.yaml`, and list prices without free tiers. For each ticket {JOINS:g} users
join the waiting list, and {RETURNS:g} tickets come back and are promoted. Each user reads {LOOKS} statuses and {LISTS}
lists. The event is counted each second for {WATCHED_S // 60} minutes by {counting} functions. A request takes
{RUN_MS} ms; each millisecond more costs ${GB_SECONDS_USD / 1000:.4f} for a million.

{record.table(head, cells)}

A confirmed booking writes {booking_log_bytes():,} bytes of logs: {own_log_bytes():,} of its own, and lines of Lambda
and of the access log, each with {LOG_LINE_BYTES} bytes that CloudWatch adds.

A stack costs this a month, even if nothing is sold. It has {_count("AWS::CloudWatch::Alarm")} alarms, which watch
{_alarm_metrics()} metrics, and {len(Metric)} metrics of its own if all of them occur:

{record.table(["", "$ a month"], stack)}

The sweep audits a sold-out event when it has changed since the last clean audit. If an event changes within every five
minutes of a month, that costs {swept[of_lanes(1)]} for a small one, and {swept[of_lanes(LANES_MANY)]} for one of
{LANES_MANY} lanes. Otherwise it is in no index that the sweep reads: {PAST_EVENTS} past events add
{past_units():g} read units to each of its {SWEEPS_MONTHLY:,.0f} runs. So with {PAST_MANY:,} past events the sweep costs
${sweep_usd(PAST_MANY):.2f} a month: ${sweep_usd():.2f} for its runs, and ${sweep_usd(PAST_MANY) - sweep_usd():.2f} for
these events.

With the stack's own user pool, Cognito charges for each user who is active within a month, above the first
{USERS_FREE:,}. 1,000 of them cost {tier["LITE"]} (`UserPoolTier`; less above 100,000), {tier["ESSENTIALS"]}, and
{tier["PLUS"]}, which has no free users. The large event brings {_users():,} users: ${_users_usd():,.0f} with `LITE`,
at most. The app client of an organiser's or a shop's program costs something for each month, and ${TOKENS_USD} for
1,000 tokens; a token lasts an hour. These are public figures of 2025: compare them with
[Cognito's prices](https://aws.amazon.com/cognito/pricing/). With `JwtIssuer` there is no such charge.
"""


def of_event(name: str) -> dict[str, float]:
    """Return the parts of an event's bill, in US dollars."""
    tickets, lanes = EVENTS[name]
    users, returned = tickets * (1 + JOINS), tickets * RETURNS
    counted = WATCHED_S * FUNCTIONS_COUNTING[name]
    many = of_lanes(lanes)
    requests = [
        Requests(f"initialize: {many}", 1, 1),
        Requests("book, on sale", tickets, 1),
        Requests("book, sold out: join the waiting list", tickets * JOINS, 1),
        Requests("cancel, sold out", returned, 1),
        Requests(f"promoter, one promotion: {many}", returned, 1, is_http=False, invocations=promoters(lanes)),
        Requests(COUNTED, users * LOOKS),
        Requests("bookings of a user: their booking on one event", users * LISTS),
    ]
    rows = _rows()
    calls = sum(one.number * one.invocations for one in requests)
    https = sum(one.number for one in requests if one.is_http)
    announced = sum(one.number * one.announced for one in requests)
    units = (
        sum(one.number * rows[one.row]["unitsUsd"] for one in requests) + counted * rows[f"status: {many}"]["unitsUsd"]
    )
    ours = sum(one.number * rows[one.row]["logBytes"] for one in requests)
    platform = _lambda_log_bytes() * (calls + announced)
    ran = (calls + announced) * RUN_MS / 1000 * GB_SECONDS_USD
    stored = (tickets + tickets * JOINS) * 1_000 * TABLE_GB_USD / 1e9
    return {
        "DynamoDB, indexes included": units / 1e6,
        "DynamoDB, stored for a month": stored,
        "API Gateway": https * HTTP_REQUESTS_USD / 1e6,
        "Lambda, invocations": (calls + announced) * INVOCATIONS_USD / 1e6,
        "Lambda, run time": ran / 1e6,
        "EventBridge": announced * CUSTOM_EVENTS_USD / 1e6,
        "logs of the functions": (ours + platform) * LOGS_GB_USD / 1e9,
        "access logs": https * (len(access_line()) + LOG_LINE_BYTES) * LOGS_GB_USD / 1e9,
    }


def of_month() -> dict[str, float]:
    """Return the parts of what a stack costs in a month of 30 days without a booking."""
    rows = _rows()
    minutely_usd = rows[NOTHING_DUE]["totalUsd"] + _ran_usd(100)
    return {
        "alarms": _alarm_metrics() * ALARM_USD,
        "dashboard": _count("AWS::CloudWatch::Dashboard") * DASHBOARD_USD,
        "metrics": len(Metric) * METRIC_USD,
        "ExpireFunction, each minute": RUNS_MONTHLY * minutely_usd / 1e6,
        "SweepFunction, every five minutes": sweep_usd(),
    }


def sweep_usd(past_events: int = 0) -> float:
    """Return what the sweep costs in a month of 30 days with so many past events, if nothing changes."""
    each_usd = (_rows()[PAST_TO_SWEEP]["unitsUsd"] - _rows()[NOTHING_TO_SWEEP]["unitsUsd"]) / PAST_EVENTS
    run_usd = _rows()[NOTHING_TO_SWEEP]["totalUsd"] + _ran_usd(300) + past_events * each_usd
    return float(SWEEPS_MONTHLY * run_usd / 1e6)


def past_units() -> float:
    """Return how many read units more a sweep costs after PAST_EVENTS past events."""
    return float(_rows()[PAST_TO_SWEEP]["readUnits"] - _rows()[NOTHING_TO_SWEEP]["readUnits"])


def _swept_usd(lanes: str) -> float:
    """Return what the sweep costs in a month for an event that has sold out, without its run time."""
    [row] = [row for name, row in _rows().items() if name.startswith(f"{SWEPT}: {lanes}")]
    return float(SWEEPS_MONTHLY * row["totalUsd"] / 1e6)


def booking_log_bytes() -> int:
    """Return the bytes of all log lines of a booking that is confirmed."""
    return own_log_bytes() + _lambda_log_bytes() + len(access_line()) + LOG_LINE_BYTES


def _lambda_log_bytes() -> int:
    """Return the bytes of Lambda's own lines of an invocation."""
    return sum(len(line) + LOG_LINE_BYTES for line in LINES_OF_LAMBDA)


def own_log_bytes() -> int:
    """Return the bytes of a booking's own log line."""
    return int(_rows()["book, on sale"]["logBytes"])


def _rows() -> Mapping[str, Any]:
    return {row["request"]: row for row in record.read("cost")["office"]}


def _ran_usd(milliseconds: float) -> float:
    """Return the price of a million runs of so long, with 1 GB of memory."""
    return milliseconds / 1000 * GB_SECONDS_USD


def _users() -> int:
    return int(EVENTS["large"][0] * (1 + JOINS))


def _users_usd() -> float:
    return (_users() - USERS_FREE) / 1_000 * USERS_USD["LITE"]


def access_line() -> str:
    """Return a line of the access log: the template's format with values; "-" is what is not there."""
    [api] = [one for one in _resources() if one["Type"] == "AWS::Serverless::HttpApi"]
    line: str = api["Properties"]["AccessLogSettings"]["Format"]
    return re.sub(r"\$context\.([\w.]*\w)", lambda name: ACCESS.get(name[1], "-"), line)


def _count(kind: str) -> int:
    return sum(one["Type"] == kind for one in _resources())


def _alarm_metrics() -> int:
    """Count the metrics that alarms watch: those of a formula are each paid for."""
    alarms = [one["Properties"] for one in _resources() if one["Type"] == "AWS::CloudWatch::Alarm"]
    return sum(sum("MetricStat" in one for one in alarm.get("Metrics", ())) or 1 for alarm in alarms)


@cache
def _resources() -> tuple[dict[str, Any], ...]:
    return tuple(intrinsics.read(TEMPLATE)["Resources"].values())
