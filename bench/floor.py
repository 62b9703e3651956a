"""The floor: bare boto3 clients against the engine alone, with the same requests and nothing around them.

As many processes as the office has workers. What the office does per second, divided by this, is what the HTTP
server and the handlers leave of it. It may be more than 1: the office does not use boto3's client
(docs/decisions/0006).
"""

import multiprocessing
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.handlers import generate_idempotent_uuid

Act = Callable[[Any, str, int, str], object]  # with a client: event, lanes, user

_MOMENT = {"S": "2026-05-01T18:00:00.000Z"}
_ONE, _LESS, _NONE = {"N": "1"}, {"N": "-1"}, {"N": "0"}
_ON_SALE = "(attribute_not_exists(opensAt) OR opensAt <= :now) AND (attribute_not_exists(closesAt) OR closesAt > :now)"


def per_second(act: Act, endpoint: str, event_id: str, processes: int, seconds: float) -> float:
    """Do this, for one user after the other, with bare clients; return the rate."""
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        arguments = [(act, endpoint, event_id, number, seconds) for number in range(processes)]
        return sum(pool.starmap(_for_a_while, arguments, chunksize=1))


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
        TableName="EventsTable", Key=_event(event_id), UpdateExpression="ADD lastSequence :one",
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


def status(client: Any, event_id: str, lanes: int, _user: str) -> None:
    """Read the event and all lanes."""
    keys = {"EventsTable": [_event(event_id)]}
    keys["LanesTable"] = [{"laneId": {"S": f"{event_id}#{lane}"}} for lane in range(lanes)]
    client.batch_get_item(RequestItems={table: {"Keys": some, "ConsistentRead": True} for table, some in keys.items()})


def _for_a_while(act: Act, endpoint: str, event_id: str, process: int, seconds: float) -> float:
    client = _client(endpoint)
    lanes = int(client.get_item(TableName="EventsTable", Key=_event(event_id))["Item"]["lanes"]["N"])
    begun_s = time.perf_counter()
    done = 0
    for user in _users(process):
        act(client, event_id, lanes, user)
        done += 1
        if time.perf_counter() > begun_s + seconds:
            break
    return done / (time.perf_counter() - begun_s)


def _users(process: int) -> Iterator[str]:
    number = 0
    while True:
        yield f"floor-{process}-{number}"
        number += 1


def _client(endpoint: str) -> Any:
    client: Any = boto3.client("dynamodb", endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1}))
    client.meta.events.unregister("before-parameter-build.dynamodb.TransactWriteItems", generate_idempotent_uuid)
    return client


def _event(event_id: str) -> Any:
    return {"eventId": {"S": event_id}}


def _lane_id(event_id: str, lanes: int, user: str) -> dict[str, str]:
    return {"S": f"{event_id}#{zlib.crc32(user.encode()) % lanes}"}


def _booking_key(event_id: str, lanes: int, user: str) -> Any:
    return {"laneId": _lane_id(event_id, lanes, user), "userId": {"S": user}}


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
        "claim": _ONE,
        "status": {"S": status},
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
