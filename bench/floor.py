"""The floor: bare boto3 clients against the engine alone, with the same transactions and nothing around them.

As many processes as the office has workers. What the office does per second, divided by this, is what the HTTP
server, the handlers and the protocol's reads leave of it.
"""

import multiprocessing
import time
import uuid
import zlib
from typing import Any

import boto3
from botocore.config import Config
from botocore.handlers import generate_idempotent_uuid


def bookings_per_second(endpoint: str, event_id: str, lanes: int, processes: int, seconds: float) -> float:
    """Take tickets from an event's lanes with bare clients; return the rate."""
    context = multiprocessing.get_context("fork")
    with context.Pool(processes) as pool:
        arguments = [(endpoint, event_id, lanes, number, seconds) for number in range(processes)]
        return sum(pool.starmap(_take_for, arguments, chunksize=1))


def _take_for(endpoint: str, event_id: str, lanes: int, process: int, seconds: float) -> float:
    client = boto3.client("dynamodb", endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1}))
    client.meta.events.unregister("before-parameter-build.dynamodb.TransactWriteItems", generate_idempotent_uuid)
    taken, begun_s = 0, time.perf_counter()
    while time.perf_counter() < begun_s + seconds:
        user = f"floor-{process}-{taken}"
        home = zlib.crc32(user.encode()) % lanes
        client.transact_write_items(TransactItems=_take(f"{event_id}#{home}", user))  # type: ignore[arg-type]  # plain mappings
        taken += 1
    return taken / (time.perf_counter() - begun_s)


def _take(lane_id: str, user_id: str) -> list[dict[str, Any]]:
    lane = {
        "TableName": "LanesTable",
        "Key": {"laneId": {"S": lane_id}},
        "UpdateExpression": "ADD available :taken, changes :one",
        "ConditionExpression": "available > :none AND attribute_not_exists(closedAt)",
        "ExpressionAttributeValues": {":none": {"N": "0"}, ":taken": {"N": "-1"}, ":one": {"N": "1"}},
    }
    booking = {
        "TableName": "BookingsTable",
        "Item": {
            "laneId": {"S": lane_id},
            "userId": {"S": user_id},
            "eventId": {"S": lane_id.rpartition("#")[0]},
            "bookingId": {"S": str(uuid.uuid4())},
            "claim": {"N": "1"},
            "status": {"S": "CONFIRMED"},
            "bookedAt": {"S": "2026-05-01T18:00:00.000Z"},
        },
        "ConditionExpression": "attribute_not_exists(userId)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return [{"Update": lane}, {"Put": booking}]
