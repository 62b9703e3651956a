"""The database: its client, reads that retry, and one function that runs a transaction.

How it handles a response:

    conflict, throttling, 5xx, time-out   sends the request again with full jitter until the deadline, then TryAgain
    a condition that does not hold        a result, not an error: commit returns Refused
    anything else                         a bug or a broken set-up: RequestFailed

A request that timed out may have taken effect, or may take effect later. Sending a write again is harmless (P7): its
own success makes its condition false, or it changes nothing the second time; a number that is drawn twice leaves a gap.
`Refused.uncertain` says that an earlier try may have succeeded. The client must then not hear that nothing changed.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, cast

from shared import runtime, telemetry
from shared.model import TryAgain
from shared.runtime import Deadline
from shared.store import items
from shared.store.aws_client import Client, NoResponse, RequestFailed
from shared.store.items import Item, text

# First and longest pause. A conflict ends with the other transaction; a throttled partition recovers only when it gets
# fewer requests. bench/scale shows what other pauses would do.
BACKOFF_CONFLICT_S = (0.01, 0.1)
BACKOFF_S = (0.02, 0.5)
BATCH_GET_MAX = 100  # items, DynamoDB's limit for one BatchGetItem

TransactItem = Mapping[str, Any]  # a Put, Update or Delete for TransactWriteItems
Name = Hashable  # of an item in a transaction, such as "lane" or ("booking", user_id)

# Codes that mean "not now". A transaction's cancellation reasons have other names for some of them.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_CONFLICT: Final = frozenset(
    {
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
_CONTENTION: Final = _CONFLICT | frozenset(
    {
        "ThrottlingError",
        "ThrottlingException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
    }
)
_SERVER_FAULT_STATUS: Final = 500

# For each table, the variable that holds its deployed name.
_VARIABLES: Final = {
    items.EVENTS: "EVENTS_TABLE",
    items.LANES: "LANES_TABLE",
    items.BOOKINGS: "BOOKINGS_TABLE",
    items.WAITING_LIST: "WAITING_LIST_TABLE",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """What a refused transaction reports for one item: whether its condition was refused, and what is stored."""

    refused: bool
    item: Item | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A transaction or update that a condition refused. A transaction has a reason for each item, by name, in order."""

    reasons: Mapping[Name, Reason]
    uncertain: bool = False  # an earlier try got no response or a 5xx: it may have happened, or may still happen

    def __getitem__(self, name: Name) -> Reason:
        """Return the reason of the item with this name."""
        return self.reasons[name]


def commit(
    transaction: Mapping[Name, TransactItem], deadline: Deadline, *, retry_conflicts: bool = True
) -> Refused | None:
    """Run a transaction of 1 to 100 named items: all or nothing. Return None if it succeeded.

    Without `retry_conflicts`, it is not sent again after a conflict: it returns as Refused, with no item refused. A
    settler reads the list again instead.

    Raises TryAgain after the deadline; then the transaction may or may not have happened.
    """
    sent = [*transaction.values()]
    for retry in _retries("TransactWriteItems", deadline):
        try:
            _send("TransactWriteItems", {"TransactItems": sent})
            return None
        except RequestFailed as error:
            if reasons := _reasons(error):
                return Refused(dict(zip(transaction, reasons, strict=True)), retry.uncertain)
            if not retry_conflicts and _codes(error) <= _CONFLICT:
                telemetry.contention("TransactWriteItems", error.code)
                return Refused(dict.fromkeys(transaction, Reason(refused=False)), retry.uncertain)
            retry.failed(error)
        except NoResponse as error:
            retry.failed(error)
    raise AssertionError("unreachable: _retries raises TryAgain")


def update(deadline: Deadline, **request: Any) -> Item:
    """Run an UpdateItem that is safe to repeat. Return the attributes that its ReturnValues asks for."""
    return cast(Item, _call("UpdateItem", deadline, request).get("Attributes", {}))


def update_if(deadline: Deadline, **request: Any) -> Item | Refused:
    """Run an UpdateItem that has a condition and is safe to repeat. Return what its ReturnValues asks for.

    Raises TryAgain after the deadline; then the update may or may not have happened.
    """
    for retry in _retries("UpdateItem", deadline):
        try:
            return cast(Item, _send("UpdateItem", request).get("Attributes", {}))
        except RequestFailed as error:
            if error.code == "ConditionalCheckFailedException":
                return Refused({}, retry.uncertain)
            retry.failed(error)
        except NoResponse as error:
            retry.failed(error)
    raise AssertionError("unreachable: _retries raises TryAgain")


def set_once(deadline: Deadline, table: str, key: Item, attribute: str, moment: str) -> str | None:
    """Set a moment (ISO 8601) if it is not set. Return the moment that was set before, or None.

    Of many callers that set it at once, one gets None; if its response is lost, none does.

    Raises TryAgain.
    """
    before = update(
        deadline,
        TableName=table,
        Key=key,
        UpdateExpression=f"SET {attribute} = if_not_exists({attribute}, :moment)",
        ExpressionAttributeValues={":moment": text(moment)},
        ReturnValues="UPDATED_OLD",
    )
    return str(before[attribute]["S"]) if before else None


def get(deadline: Deadline, table: str, key: Item) -> Item | None:
    """Read one item, strongly consistent."""
    request = {"TableName": table, "Key": key, "ConsistentRead": True}
    return _call("GetItem", deadline, request).get("Item")


def get_all(deadline: Deadline, keys: Mapping[str, Sequence[Item]]) -> dict[str, list[Item]]:
    """Read up to BATCH_GET_MAX items by table and key, strongly consistent, in no order. Leaves out missing items.

    Each item is read at a moment of its own, so together they are a snapshot only while nothing changes.
    """
    pending: Mapping[str, Any] = {
        table: {"Keys": list(some), "ConsistentRead": True} for table, some in keys.items() if some
    }
    found: dict[str, list[Item]] = {table: [] for table in keys}
    for retry in _retries("BatchGetItem", deadline):
        response = _call("BatchGetItem", deadline, {"RequestItems": pending})
        for table, some in response["Responses"].items():
            found[table] += some
        pending = response.get("UnprocessedKeys", {})
        if not pending:
            return found
        retry.cause = "UnprocessedKeys"  # BatchGetItem reports throttling this way
    raise AssertionError("unreachable: _retries raises TryAgain")


def query(deadline: Deadline, **request: Any) -> dict[str, Any]:
    """Read one page of a Query."""
    return _call("Query", deadline, request)


def all_items(operation: str, deadline: Deadline, **request: Any) -> Iterator[Item]:
    """Read all items of a "Query" or "Scan", page by page, one page in memory. Raises TryAgain."""
    while True:
        page = _call(operation, deadline, request)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def pause(tries: int, backoff_s: tuple[float, float], deadline: Deadline) -> None:
    """Pause for a random time (full jitter). Its upper bound doubles with each try, from the first to the longest.

    A pause ends at the deadline at the latest.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    first_s, longest_s = backoff_s
    drawn_s = runtime.current.uniform(0, min(longest_s, first_s * 2.0 ** min(tries, 16)))
    runtime.current.sleep(min(drawn_s, deadline.left_s))


class _Retry:
    """A request being tried: why the last try failed, how long to pause, and whether a try may have taken effect."""

    cause = "deadline"
    backoff_s = BACKOFF_S
    uncertain = False

    def failed(self, error: RequestFailed | NoResponse) -> None:
        """Note the cause. Raise the error again if another try cannot help."""
        self.backoff_s = BACKOFF_S
        self.uncertain = self.uncertain or isinstance(error, NoResponse) or _is_server_fault(error)
        if isinstance(error, NoResponse):
            self.cause = error.cause
        elif _is_contention(error) or _is_server_fault(error):
            self.cause = error.code
            if _codes(error) <= _CONFLICT:
                self.backoff_s = BACKOFF_CONFLICT_S
        else:
            raise error


def _retries(operation: str, deadline: Deadline) -> Iterator[_Retry]:
    """Yield tries, with pauses between them, until the deadline. Raises TryAgain after it."""
    retry = _Retry()
    for tries in count():
        if deadline.has_passed:
            raise TryAgain(retry.cause)
        yield retry
        telemetry.contention(operation, retry.cause)
        pause(tries, retry.backoff_s, deadline)


def _call(operation: str, deadline: Deadline, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run a request that is safe to repeat."""
    for retry in _retries(operation, deadline):
        try:
            return _send(operation, request)
        except (RequestFailed, NoResponse) as error:
            retry.failed(error)
    raise AssertionError("unreachable: _retries raises TryAgain")


def _send(operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Send a request once, with the deployed names of the tables. Return the response with our names.

    It has no ClientRequestToken: DynamoDB remembers one for ten minutes only, and our conditions hold at any time.
    """
    deployed = _deployed_names()
    if not deployed:
        return client().call(operation, request)
    response = client().call(operation, _renamed(request, deployed))
    ours = {theirs: ours for ours, theirs in deployed.items()}
    return {
        part: {ours[table]: found for table, found in value.items()}
        if part in {"Responses", "UnprocessedKeys"}
        else value
        for part, value in response.items()
    }


def _deployed_names() -> Mapping[str, str]:
    """Return the deployed name of each table by our name; empty if they are the same. The first call reads them."""
    if runtime.current.table_names is None:
        environment = runtime.current.environment
        deployed = {ours: environment[variable] for ours, variable in _VARIABLES.items()}
        runtime.current.table_names = {} if all(ours == theirs for ours, theirs in deployed.items()) else deployed
    return runtime.current.table_names


def _renamed(request: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the request with other names for its tables."""
    if "TransactItems" in request:
        return {**request, "TransactItems": [
            {verb: {**write, "TableName": names[write["TableName"]]} for verb, write in item.items()}
            for item in request["TransactItems"]
        ]}  # fmt: skip
    if "RequestItems" in request:
        return {**request, "RequestItems": {names[table]: keys for table, keys in request["RequestItems"].items()}}
    return {**request, "TableName": names[request["TableName"]]}


def client() -> Client:
    """Return the client of this process. The first call makes it."""
    made: Client | None = runtime.current.client
    if made is None:
        if runtime.current.environment.get("TRACING") == "Active":
            from shared.store import tracing  # noqa: PLC0415  # only an office that traces loads it

            made = tracing.Traced.of_environment()
        else:
            made = Client.of_environment()
        runtime.current.client = made
    return made


def _reasons(error: RequestFailed) -> tuple[Reason, ...]:
    """Return the reasons of a transaction that a condition refused; () if it failed for another cause.

    A refused condition is a fact, even if another item met contention.
    """
    if not any(reason["Code"] == "ConditionalCheckFailed" for reason in error.reasons):
        return ()
    return tuple(Reason(reason["Code"] == "ConditionalCheckFailed", reason.get("Item")) for reason in error.reasons)


def _is_contention(error: RequestFailed) -> bool:
    """Tell whether the request met another request or a limit: trying again is safe and may succeed."""
    return bool(_codes(error) & _CONTENTION)


def _codes(error: RequestFailed) -> set[str]:
    """Return the codes that say why a request failed: for a cancelled transaction, the codes of the items at fault."""
    return {reason["Code"] for reason in error.reasons if reason["Code"] != "None"} or {error.code}


def _is_server_fault(error: RequestFailed) -> bool:
    """Tell whether the database itself failed: then the request may or may not have taken effect."""
    return error.status >= _SERVER_FAULT_STATUS


if runtime.current.is_lambda:
    client()  # sets up TLS during init, when Lambda gives a full CPU
