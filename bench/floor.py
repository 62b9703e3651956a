"""The floor and the ceiling: what an engine alone does, with the same requests and no web around them.

The floor is what bare boto3 clients reach, in as many processes as the office has workers. What the office does per
second, divided by this, is what the HTTP server and the handlers leave of it. It may be more than 1: the office does
not use boto3's client (docs/decisions/0006).

The ceiling is what the functions' own code and the engine reach together on this machine's processors, called in enough
processes to keep the engine busy, without HTTP and without log lines.
"""

import multiprocessing
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.handlers import generate_idempotent_uuid

from shared import runtime
from shared.booking import office
from shared.model import REQUEST_BUDGET_S
from shared.store.aws_client import Client
from shared.store.dynamodb import Deadline

USERS_MAX = 100_000  # of one process: more than it can serve
CEILING_PROCESSES = 6  # while some wait for the engine, others prepare what they ask next

Act = Callable[[Any, str, int, str], object]  # with a client: event, lanes, user

_MOMENT = {"S": "2026-05-01T18:00:00.000Z"}
_ONE, _LESS, _NONE = {"N": "1"}, {"N": "-1"}, {"N": "0"}
_ON_SALE = "(attribute_not_exists(opensAt) OR opensAt <= :now) AND (attribute_not_exists(closesAt) OR closesAt > :now)"


def per_second(act: Act, endpoint: str, event_id: str, users: Sequence[Iterable[str]], seconds: float) -> float:
    """Do this with bare clients, each in a process for its users, one after the other; return the rate."""
    with multiprocessing.get_context("fork").Pool(len(users), _with_own_connection) as pool:
        arguments = [(act, endpoint, event_id, own, seconds) for own in users]
        return sum(pool.starmap(_for_a_while, arguments, chunksize=1))


def new_users(process: int) -> Iterable[str]:
    """Return the names of new users of a process, USERS_MAX of them."""
    return [f"floor-{process}-{number}" for number in range(USERS_MAX)]


def book(client: Any, event_id: str, lanes: int, user: str) -> None:
    """Take a ticket."""
    put = _booking(event_id, lanes, user, "CONFIRMED", {"bookedAt": _MOMENT})
    values = {":less": _LESS, ":one": _ONE, ":none": _NONE, ":now": _MOMENT}
    take = _lane(event_id, lanes, user, "ADD available :less, changes :one", values)
    take["Update"]["ConditionExpression"] = f"available > :none AND attribute_not_exists(closedAt) AND {_ON_SALE}"
    take["Update"]["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    client.transact_write_items(TransactItems=[take, put])


def join(client: Any, event_id: str, lanes: int, user: str) -> None:
    """Join the waiting list: look for a booking, draw a number, write."""
    client.get_item(TableName="BookingsTable", Key=_booking_key(event_id, lanes, user), ConsistentRead=True)
    drawn = client.update_item(
        TableName="WaitingListTable", Key=_tail(event_id), UpdateExpression="ADD lastSequence :one",
        ExpressionAttributeValues={":one": _ONE}, ReturnValues="ALL_NEW",
    )["Attributes"]["lastSequence"]  # fmt: skip
    put = _booking(event_id, lanes, user, "WAITING", {"sequence": drawn, "joinedAt": _MOMENT})
    booking_id = put["Put"]["Item"]["bookingId"]
    entry = {
        "stripeId": {"S": f"{event_id}#0"}, "sequence": drawn, "userId": {"S": user},
        "bookingId": booking_id, "joinedAt": _MOMENT,
    }  # fmt: skip
    count = _lane(event_id, lanes, user, "ADD waiting :one, changes :one", {":one": _ONE, ":now": _MOMENT})
    count["Update"] |= {"ConditionExpression": _ON_SALE, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    client.transact_write_items(TransactItems=[put, {"Put": {"TableName": "WaitingListTable", "Item": entry}}, count])


def cancel(client: Any, event_id: str, lanes: int, user: str) -> None:
    """Give a ticket back, and hand it to the head of the list."""
    key = _booking_key(event_id, lanes, user)
    booking = client.get_item(TableName="BookingsTable", Key=key, ConsistentRead=True)["Item"]
    release = _status(key, "CONFIRMED to CANCELLED", "cancelledAt = :now", "bookingId", booking["bookingId"])
    back = _lane(event_id, lanes, user, "ADD available :one, changes :one", {":one": _ONE})
    client.transact_write_items(TransactItems=[release, back])
    while not _promoted(client, event_id, lanes):
        pass  # the other processes are at the same head


def _promoted(client: Any, event_id: str, lanes: int) -> bool:
    """Settle: read the list's tail, the lanes and the head; promote it."""
    last = client.get_item(TableName="WaitingListTable", Key=_tail(event_id), ConsistentRead=True)["Item"]
    found = _lanes(client, event_id, lanes)
    free = max(found, key=lambda lane: int(lane["available"]["N"]))
    entries = client.query(
        TableName="WaitingListTable", Limit=1, ConsistentRead=True,
        KeyConditionExpression="stripeId = :stripe AND #sequence <= :last",
        ExpressionAttributeNames={"#sequence": "sequence"},
        ExpressionAttributeValues={":stripe": {"S": f"{event_id}#0"}, ":last": last["lastSequence"]},
    )["Items"]  # fmt: skip
    if not entries or int(free["available"]["N"]) < 1:
        return True  # another process has handed it out
    [head] = entries
    key = _booking_key(event_id, lanes, head["userId"]["S"])
    confirm = _status(key, "WAITING to CONFIRMED", "bookedAt = :now, promotedAt = :now", "sequence", head["sequence"])
    gone = {"TableName": "WaitingListTable", "Key": {"stripeId": head["stripeId"], "sequence": head["sequence"]}}
    take = {
        "TableName": "LanesTable", "Key": {"laneId": free["laneId"]},
        "UpdateExpression": "ADD available :less, waiting :less, changes :one",
        "ConditionExpression": "available >= :one", "ExpressionAttributeValues": {":less": _LESS, ":one": _ONE},
    }  # fmt: skip
    try:
        client.transact_write_items(TransactItems=[confirm, {"Delete": gone}, {"Update": take}])
    except ClientError as error:
        if error.response["Error"]["Code"] != "TransactionCanceledException":
            raise
        return False
    return True


def status(client: Any, event_id: str, lanes: int, _user: str) -> None:
    """Read the event and all lanes."""
    _lanes(client, event_id, lanes, {"EventsTable": {"Keys": [_event(event_id)], "ConsistentRead": True}})


def office_book(_client: Any, event_id: str, _lanes: int, user: str) -> None:
    """Book, or join, as functions/book does."""
    office.book(event_id, user, Deadline.after(REQUEST_BUDGET_S))


def office_status(_client: Any, event_id: str, _lanes: int, _user: str) -> None:
    """Count what is left, as functions/status does."""
    office.status(event_id, None, Deadline.after(REQUEST_BUDGET_S))


def _with_own_connection() -> None:
    runtime.current.client = Client.of_environment()


def _for_a_while(act: Act, endpoint: str, event_id: str, users: Iterable[str], seconds: float) -> float:
    client = _client(endpoint)
    lanes = int(client.get_item(TableName="EventsTable", Key=_event(event_id))["Item"]["lanes"]["N"])
    begun_s = time.perf_counter()
    done = 0
    for user in users:
        act(client, event_id, lanes, user)
        done += 1
        if time.perf_counter() > begun_s + seconds:
            break
    return done / (time.perf_counter() - begun_s)


def _client(endpoint: str) -> Any:
    client: Any = boto3.client("dynamodb", endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1}))
    client.meta.events.unregister("before-parameter-build.dynamodb.TransactWriteItems", generate_idempotent_uuid)
    return client


def _event(event_id: str) -> Any:
    return {"eventId": {"S": event_id}}


def _tail(event_id: str) -> Any:
    return {"stripeId": {"S": f"{event_id}#tail"}, "sequence": _NONE}


def _lane_id(event_id: str, lanes: int, user: str) -> dict[str, str]:
    return {"S": f"{event_id}#{zlib.crc32(user.encode()) % lanes}"}


def _booking_key(event_id: str, lanes: int, user: str) -> Any:
    return {"laneId": _lane_id(event_id, lanes, user), "userId": {"S": user}}


def _lanes(client: Any, event_id: str, lanes: int, more: Any = None) -> list[Any]:
    keys = [{"laneId": {"S": f"{event_id}#{lane}"}} for lane in range(lanes)]
    found = client.batch_get_item(RequestItems={"LanesTable": {"Keys": keys, "ConsistentRead": True}, **(more or {})})
    lanes_found: list[Any] = found["Responses"]["LanesTable"]
    return lanes_found


def _status(key: Any, change: str, moments: str, named: str, known: Any) -> Any:
    """Return the change of a booking, such as "CONFIRMED to CANCELLED", if an attribute is still what is known."""
    was, to = change.split(" to ")
    return {
        "Update": {
            "TableName": "BookingsTable",
            "Key": key,
            "UpdateExpression": f"SET #status = :to, {moments}",
            "ConditionExpression": "#named = :known AND #status = :was",
            "ExpressionAttributeNames": {"#status": "status", "#named": named},
            "ExpressionAttributeValues": {":to": {"S": to}, ":was": {"S": was}, ":now": _MOMENT, ":known": known},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def _lane(event_id: str, lanes: int, user: str, change: str, values: Any) -> Any:
    return {
        "Update": {
            "TableName": "LanesTable",
            "Key": {"laneId": _lane_id(event_id, lanes, user)},
            "UpdateExpression": change,
            "ExpressionAttributeValues": values,
        }
    }


def _booking(event_id: str, lanes: int, user: str, status: str, facts: Any) -> Any:
    item = {
        **_booking_key(event_id, lanes, user),
        "eventId": {"S": event_id},
        "bookingId": {"S": str(uuid.uuid4())},
        "generation": _ONE,
        "status": {"S": status},
        "createdAt": _MOMENT,
        **facts,
    }
    return {
        "Put": {
            "TableName": "BookingsTable",
            "Item": item,
            "ConditionExpression": "attribute_not_exists(userId)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }
