"""Reads template.yaml for one machine: routes, functions, tables, streams and schedules.

Properties that concern only AWS (policies, log groups, alarms) are ignored. Any other property that is not supported
here is refused, so that the office on one machine never silently differs from the stack on AWS. The
ranges of values are checked by cfn-lint in `make lint`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from local import PROJECT, http_api, intrinsics, patterns
from local.errors import TemplateError
from local.http_api import HttpApi, only
from local.system import Function, Route, Schedule, Stream, System, Table

TEMPLATE = PROJECT / "template.yaml"

# Resource types that could add routes, tables or triggers and are not read here.
_REFUSED_TYPES = (
    "AWS::ApiGateway::",
    "AWS::ApiGatewayV2::",
    "AWS::Serverless::Api",
    "AWS::Serverless::SimpleTable",
    "AWS::Serverless::StateMachine",
    "AWS::DynamoDB::GlobalTable",
    "AWS::Events::Rule",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Scheduler::",
)
_STREAM_PROPERTIES = {
    "Stream",
    "StartingPosition",
    "BatchSize",
    "FunctionResponseTypes",
    "BisectBatchOnFunctionError",
    "MaximumRetryAttempts",
    "MaximumRecordAgeInSeconds",
    "DestinationConfig",
    "FilterCriteria",
    "MaximumBatchingWindowInSeconds",
    "ParallelizationFactor",  # order holds per item only; one batch at a time per shard is stricter
    "MetricsConfig",
}
# All but the source and the destination, whose ARNs only AWS has.
_STREAM_READ = _STREAM_PROPERTIES - {"Stream", "DestinationConfig"}
_SCHEDULE_PROPERTIES = {"OmitName", "ScheduleExpression", "Schedule", "RetryPolicy", "Name", "Description"}
_TABLE_PROPERTIES = {  # the last two lines do not matter here
    "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "StreamSpecification", "BillingMode",
    "DeletionProtectionEnabled", "PointInTimeRecoverySpecification", "SSESpecification", "Tags", "TableClass",
    "WarmThroughput",
}  # fmt: skip
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


def load(path: Path = TEMPLATE, parameters: Mapping[str, str] | None = None) -> System:
    """Read the template with its parameters' defaults, overridden by `parameters`. A file is parsed once.

    Raises: TemplateError, one line, for anything missing, wrong or not supported.
    """
    written = path.stat() if path.exists() else None
    return _load(path, written and (written.st_mtime_ns, written.st_size), tuple((parameters or {}).items()))


@lru_cache(maxsize=16)
def _load(path: Path, _written: tuple[int, int] | None, parameters: tuple[tuple[str, str], ...]) -> System:
    document = intrinsics.read(path)
    values = intrinsics.Values(document, dict(parameters))
    defaults = (document.get("Globals") or {}).get("Function") or {}
    functions: dict[str, Function] = {}
    tables: list[Table] = []
    triggers: list[Route | Stream | Schedule] = []
    apis: list[HttpApi] = []
    buses: list[str] = []
    for name, kind, body in _resources(document, values):
        if kind == "AWS::Serverless::Function":
            functions[name] = _function(name, _merged(defaults, body), values)
            triggers += [_trigger(name, event, body["Events"][event], values) for event in body.get("Events") or ()]
        elif kind == "AWS::DynamoDB::Table":
            tables.append(_table(name, body, values))
        elif kind == "AWS::Serverless::HttpApi":
            apis.append(http_api.read(name, body, values))
        elif kind == "AWS::Events::EventBus":
            buses.append(name)
    streams = tuple(trigger for trigger in triggers if isinstance(trigger, Stream))
    if len(apis) > 1:
        raise TemplateError(f"one HTTP API is read here, the template has {len(apis)}")
    api = apis[0] if apis else HttpApi()
    _check_tables(streams, tables)
    return System(
        functions=functions,
        routes=_behind(api, _distinct([trigger for trigger in triggers if isinstance(trigger, Route)])),
        tables=tuple(tables),
        streams=streams,
        schedules=tuple(trigger for trigger in triggers if isinstance(trigger, Schedule)),
        cors=api.cors,
        has_bus=bool(buses),
        path=path.absolute(),
    )


def _resources(document: Mapping[str, Any], values: intrinsics.Values) -> Iterable[tuple[str, str, dict[str, Any]]]:
    """Yield logical id, type and unresolved properties of each resource whose condition holds."""
    for name, resource in document["Resources"].items():
        kind = resource.get("Type") if isinstance(resource, dict) else None
        if not isinstance(kind, str):
            raise TemplateError(f"{name} has no Type")
        if "Condition" in resource and not values.holds(resource["Condition"], name):
            continue
        if kind.startswith(_REFUSED_TYPES):
            raise TemplateError(f"{name}: resources of the type {kind} are not supported here")
        yield name, kind, resource.get("Properties") or {}


def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a function's properties into the Globals as SAM does: maps are merged, other values replaced."""
    merged = {**defaults, **own}
    for key in defaults.keys() & own.keys():
        if isinstance(defaults[key], dict) and isinstance(own[key], dict):
            merged[key] = _merged(defaults[key], own[key])
    return merged


def _function(name: str, body: Mapping[str, Any], values: intrinsics.Values) -> Function:
    if "Handler" not in body:
        raise TemplateError(f"{name} has no Handler")
    environment = values.resolve((body.get("Environment") or {}).get("Variables") or {}, f"{name}.Environment")
    return Function(
        name=name,
        handler=str(values.resolve(body["Handler"], f"{name}.Handler")),
        timeout_s=_integer(values.resolve(body.get("Timeout", 3), name), f"{name}.Timeout"),  # 3: Lambda's default
        memory_mb=_integer(values.resolve(body.get("MemorySize", 128), name), f"{name}.MemorySize"),
        environment={key: _text(value) for key, value in environment.items()},
    )


def _trigger(function: str, event: str, trigger: Any, values: intrinsics.Values) -> Route | Stream | Schedule:
    where = f"{function}.Events.{event}"
    kind = trigger.get("Type")
    properties = trigger.get("Properties") or {}
    if kind == "HttpApi":
        return _route(function, properties, values, where)
    if kind == "DynamoDB":
        return _stream(function, event, properties, values)
    if kind in ("Schedule", "ScheduleV2"):
        return _schedule(function, properties, values, where)
    raise TemplateError(f"{where}: events of the type {kind} are not supported here")


def _route(function: str, properties: Mapping[str, Any], values: intrinsics.Values, where: str) -> Route:
    only(properties, {"ApiId", "Auth", "Method", "Path"}, where)
    method = str(values.resolve(properties.get("Method", "ANY"), where)).upper()
    path = str(values.resolve(properties.get("Path", "$default"), where))
    if method == "ANY" or not path.startswith("/") or "+}" in path:
        raise TemplateError(f"{where}: a route has one method and a path of fixed length here, not {method} {path}")
    auth = properties.get("Auth")
    if auth not in (None, {"Authorizer": "NONE"}):
        raise TemplateError(f"{where}.Auth: a route has the default authorizer or none here")
    return Route(method, path, function, takes_token=auth is None)


def _stream(function: str, event: str, properties: Mapping[str, Any], values: intrinsics.Values) -> Stream:
    where = f"{function}.Events.{event}"
    only(properties, _STREAM_PROPERTIES, where)
    source = properties.get("Stream")
    attribute = source.get("Fn::GetAtt") if isinstance(source, dict) else None
    table, _, name = (".".join(attribute) if isinstance(attribute, list) else str(attribute)).partition(".")
    if name != "StreamArn":
        raise TemplateError(f"{where}.Stream: give a table of this template as !GetAtt Table.StreamArn")
    rest = values.resolve({key: value for key, value in properties.items() if key in _STREAM_READ}, where)
    if rest.get("StartingPosition") != "TRIM_HORIZON":
        raise TemplateError(f"{where}.StartingPosition: only TRIM_HORIZON is supported here, which loses nothing")
    responses = rest.get("FunctionResponseTypes") or []
    if responses not in ([], ["ReportBatchItemFailures"]):
        raise TemplateError(f"{where}.FunctionResponseTypes: {responses} is not supported here")
    return Stream(
        name=function + event,
        table=table,
        function=function,
        patterns=_patterns(rest.get("FilterCriteria") or {}, f"{where}.FilterCriteria"),
        batch_size=_integer(rest.get("BatchSize", 100), f"{where}.BatchSize"),
        window_s=_integer(rest.get("MaximumBatchingWindowInSeconds", 0), f"{where}.MaximumBatchingWindow"),
        retries=_integer(rest.get("MaximumRetryAttempts", -1), f"{where}.MaximumRetryAttempts"),
        max_age_s=_integer(rest.get("MaximumRecordAgeInSeconds", -1), f"{where}.MaximumRecordAge"),
        bisect=rest.get("BisectBatchOnFunctionError", False) is True,
        reports_failures=bool(responses),
    )


def _patterns(criteria: Mapping[str, Any], where: str) -> tuple[Mapping[str, Any], ...]:
    found = []
    for filter_ in criteria.get("Filters") or ():
        try:
            pattern = json.loads(filter_["Pattern"])
        except (KeyError, TypeError, ValueError):
            raise TemplateError(f"{where}: a filter has a Pattern in JSON") from None
        patterns.check(pattern, where)
        found.append(pattern)
    return tuple(found)


def _schedule(function: str, properties: Mapping[str, Any], values: intrinsics.Values, where: str) -> Schedule:
    only(properties, _SCHEDULE_PROPERTIES, where)
    name = "ScheduleExpression" if "ScheduleExpression" in properties else "Schedule"
    expression = str(values.resolve(properties.get(name), f"{where}.{name}"))
    match = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if not match or int(match[1]) < 1:
        raise TemplateError(f"{where}: a schedule is rate(N minutes|hours|days) here, not {expression}")
    return Schedule(function, int(match[1]) * _SECONDS[match[2]])


def _table(name: str, body: Mapping[str, Any], values: intrinsics.Values) -> Table:
    only(body, _TABLE_PROPERTIES, name)
    wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    arguments = {key: values.resolve(body[key], f"{name}.{key}") for key in wanted if key in body}
    if arguments.get("BillingMode") != "PAY_PER_REQUEST":
        raise TemplateError(f"{name}.BillingMode: only PAY_PER_REQUEST is supported here")
    if stream := values.resolve(body.get("StreamSpecification"), f"{name}.StreamSpecification"):
        arguments["StreamSpecification"] = {"StreamEnabled": True, **stream}
    return Table(name, {"TableName": name, **arguments})


def _check_tables(streams: Iterable[Stream], tables: Iterable[Table]) -> None:
    streaming = {table.name for table in tables if "StreamSpecification" in table.arguments}
    for stream in streams:
        if stream.table not in streaming:
            raise TemplateError(f"{stream.function} reads the stream of {stream.table}, which has none")


def _distinct(routes: list[Route]) -> tuple[Route, ...]:
    seen: dict[tuple[str, str], Route] = {}
    for route in routes:
        shape = (route.method, re.sub(r"\{\w+\}", "{}", route.path))
        if shape in seen:
            raise TemplateError(f"{route.function} and {seen[shape].function} both answer {route.method} {route.path}")
        seen[shape] = route
    return tuple(routes)


def _behind(api: HttpApi, routes: tuple[Route, ...]) -> tuple[Route, ...]:
    if unknown := sorted(api.security.keys() - {(route.method, route.path) for route in routes}):
        raise TemplateError(f"the HTTP API names {' '.join(unknown[0])}, which no function answers")
    return tuple(
        replace(route, takes_token=route.takes_token and api.takes_token(route.method, route.path)) for route in routes
    )


def _integer(value: Any, where: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise TemplateError(f"{where}: {value} is not a whole number") from None


def _text(value: Any) -> str:
    """Write a value as CloudFormation puts it into an environment variable."""
    return str(value).lower() if isinstance(value, bool) else str(value)
