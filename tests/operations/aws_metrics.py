"""Derive AWS's own metrics from a local run.

Their definitions are in the manual of each service:
AWS/Lambda      https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
AWS/ApiGateway  https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
AWS/DynamoDB    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.operations.cloudwatch import Datum, Line
from tests.operations.proxy import Body, Exchange

SERVER_FAULT = 500
READS = frozenset({"GetItem", "BatchGetItem", "Query", "Scan"})
THROTTLED = frozenset({"ProvisionedThroughputExceededException", "ThrottlingException"})


@dataclass(frozen=True, slots=True)
class Response:
    """A request to the API and its response, on the monotonic clock."""

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
