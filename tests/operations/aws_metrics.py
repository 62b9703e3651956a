"""Derive AWS's own metrics from a local run.

Their definitions are in the manual of each service:
AWS/Lambda      https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
AWS/ApiGateway  https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
AWS/DynamoDB    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from local import patterns
from local.system import System
from tests.operations.cloudwatch import Datum, Line
from tests.operations.proxy import Body, Exchange

SERVER_FAULT = 500
READS = frozenset({"GetItem", "BatchGetItem", "Query", "Scan"})
THROTTLED = frozenset({"ProvisionedThroughputExceededException", "ThrottlingException"})


@dataclass(frozen=True, slots=True)
class Response:
    """A request to the API and its response, on the monotonic clock."""

    function: str
    status: int
    asked_s: float
    answered_s: float


def of_functions(lines: Iterable[Line]) -> Iterator[Datum]:
    """Yield Errors, 0 or 1 for each invocation, and Duration."""
    for line in lines:
        if "invoked" in line:  # written by tests/operations/live.py
            function = {"FunctionName": line["invoked"]}
            yield Datum("AWS/Lambda", "Errors", function, line["is_error"])
            yield Datum("AWS/Lambda", "Duration", function, line["duration_ms"])


def of_concurrency(
    answers: Sequence[Response], lines: Iterable[Line], environments: int, system: System
) -> Iterator[Datum]:
    """Yield Throttles: a request that finds no free environment.

    Here such a request waits, and background functions have their own processes. So this counts each invocation that
    begins while as many requests are in progress as there would be environments.
    """
    of_routes = {route.function for route in system.routes}
    asked = [(one.function, one.asked_s) for one in answers]
    asked += [(one["invoked"], one["asked_s"]) for one in lines if "invoked" in one and one["invoked"] not in of_routes]
    for function, asked_s in asked:
        in_hand = sum(other.asked_s < asked_s < other.answered_s for other in answers)
        if in_hand >= environments:
            yield Datum("AWS/Lambda", "Throttles", {"FunctionName": function}, 1)


def of_api(answers: Iterable[Response]) -> Iterator[Datum]:
    """Yield Count, 5xx and Latency."""
    for one in answers:
        yield Datum("AWS/ApiGateway", "Count", {"ApiId": "Api"}, 1)
        yield Datum("AWS/ApiGateway", "5xx", {"ApiId": "Api"}, one.status >= SERVER_FAULT)
        yield Datum("AWS/ApiGateway", "Latency", {"ApiId": "Api"}, 1000 * (one.answered_s - one.asked_s))


def of_tables(exchanges: Iterable[Exchange]) -> Iterator[Datum]:
    """Yield ReadThrottleEvents, WriteThrottleEvents, SystemErrors and TransactionConflict.

    Throttle events are counted for each table of the request, or for the index if the response names one: a table's
    metric leaves out its indexes. TransactionConflict counts items, not requests.
    """
    for one in exchanges:
        code = one.answer.get("__type", "").rpartition("#")[2]
        indexes = [_index(reason["resource"]) for reason in one.answer.get("ThrottlingReasons", ())]
        tables = [{"TableName": table} for table in sorted(set(_tables(one.request)))]
        if code in THROTTLED:
            kind = "ReadThrottleEvents" if one.operation in READS else "WriteThrottleEvents"
            for where in indexes or tables:
                yield Datum("AWS/DynamoDB", kind, where, 1)
        for where in tables:
            if one.status >= SERVER_FAULT:
                yield Datum("AWS/DynamoDB", "SystemErrors", where | {"Operation": one.operation}, 1)
        for item, reason in zip(
            one.request.get("TransactItems", ()), one.answer.get("CancellationReasons", ()), strict=False
        ):
            if reason["Code"] == "TransactionConflict":
                [table] = _tables(item)
                yield Datum("AWS/DynamoDB", "TransactionConflict", {"TableName": table}, 1)


def of_streams(exchanges: Iterable[Exchange], system: System) -> Iterator[Datum]:
    """Yield IteratorAge, the age of the last record of a batch in milliseconds.

    The proxy does not know which function reads a stream, so each reader of that stream gets the value.
    """
    keys = {table.name: {part["AttributeName"] for part in table.arguments["KeySchema"]} for table in system.tables}
    for one in exchanges:
        for stream in system.streams if one.operation == "GetRecords" else ():
            of_table = [
                record for record in one.answer["Records"] if record["dynamodb"]["Keys"].keys() == keys[stream.table]
            ]
            wanted = [record for record in of_table if patterns.matches(stream.patterns, record)]
            if wanted:
                written_s = wanted[-1]["dynamodb"]["ApproximateCreationDateTime"]
                age_ms = max(0.0, 1000 * (one.at_s - written_s))
                yield Datum("AWS/Lambda", "IteratorAge", {"FunctionName": stream.function}, age_ms)


def of_destination(files: Iterable[Body]) -> Iterator[Datum]:
    """Yield OnFailureDestinationDeliveredEventCount."""
    for one in files:
        info = one["DDBStreamBatchInfo"]
        table = next(part for part in info["streamArn"].split("/") if part.endswith("Table"))
        function = one["requestContext"]["functionArn"].rpartition(":")[2]
        mapping = {"EventSourceMappingUUID": function + table.removesuffix("Table")}
        count = info["batchSize"]
        yield Datum("AWS/Lambda", "OnFailureDestinationDeliveredEventCount", mapping, count)


def _index(arn: str) -> dict[str, str]:
    """Return the dimensions of an index, whose ARN ends with table/TABLE/index/NAME."""
    _, table, _, name = arn.split("/")
    return {"TableName": table, "GlobalSecondaryIndexName": name}


def _tables(request: Body) -> Iterator[str]:
    """Yield the tables of a request or of an item of a transaction."""
    if "TableName" in request:
        yield request["TableName"]
    yield from request.get("RequestItems", ())
    for item in request.get("TransactItems", ()):
        yield from _tables(item)
    for action in ("Put", "Update", "Delete", "ConditionCheck"):
        if action in request:
            yield request[action]["TableName"]
