"""The floor and the ceiling: what the office's own code does with an engine alone, without HTTP and log lines.

Both make the same requests of the database as the office. For the floor boto3's client sends them, from as many
processes as the office has workers; the office may be faster, since it does not use boto3's client
(docs/decisions/0006). For the ceiling the office's own client sends them, from enough processes to keep the engine
busy.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.handlers import generate_idempotent_uuid

from shared import runtime
from shared.booking import cancellation, catalog, office, waiting_list
from shared.booking.attempt import BookingAttempt
from shared.booking.settle import settle
from shared.model import REQUEST_BUDGET_S, Stuck
from shared.runtime import Deadline
from shared.store import dynamodb
from shared.store.aws_client import Client, RequestFailed

USERS_MAX = 100_000  # of one process: more than it can serve
CEILING_PROCESSES = 6  # while some wait for the engine, others prepare what they ask next

Act = Callable[[str, str], object]  # of a user on an event


class Boto3Client:
    """boto3's client with the interface of the office's own."""

    def __init__(self) -> None:
        """Connect as the environment says; nothing is retried."""
        self._client: Any = boto3.client("dynamodb", config=Config(retries={"total_max_attempts": 1}))
        events = self._client.meta.events  # no token for each transaction: the engine looks through all of them
        events.unregister("before-parameter-build.dynamodb.TransactWriteItems", generate_idempotent_uuid)

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return its answer. Raises RequestFailed."""
        try:
            answer: dict[str, Any] = getattr(self._client, xform_name(operation))(**request)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            code, reasons = error.response["Error"]["Code"], error.response.get("CancellationReasons")
            raise RequestFailed(operation, status, code, reasons=reasons) from error  # type: ignore[arg-type]
        return answer


def floor(act: Act, event_id: str, users: Sequence[Iterable[str]], seconds: float) -> float:
    """Do this with boto3's client, in a process for the users of each; return the rate."""
    return _per_second(Boto3Client, act, event_id, users, seconds)


def ceiling(act: Act, event_id: str, seconds: float) -> float:
    """Do this with the office's own client, in CEILING_PROCESSES, for new users; return the rate."""
    users = [new_users(process) for process in range(CEILING_PROCESSES)]
    return _per_second(Client.of_environment, act, event_id, users, seconds)


def new_users(process: int) -> Iterable[str]:
    """Return the names of new users of a process, USERS_MAX of them."""
    return [f"floor-{process}-{number}" for number in range(USERS_MAX)]


def book(event_id: str, user: str) -> None:
    """Book, or join the waiting list."""
    office.book(event_id, user, _deadline())


def join_by_its_commits(event_id: str, user: str) -> None:
    """Draw a place and write booking, entry and count: a join without what it reads."""
    attempt = BookingAttempt.of(catalog.read_event(event_id, _deadline()), user)
    tail = waiting_list._draw(attempt.event, _deadline())  # noqa: SLF001  # no one else needs a step of a join
    refused = dynamodb.commit(
        waiting_list._join(attempt, attempt.waiting(tail.last_sequence)),  # noqa: SLF001  # as above
        _deadline(),
    )
    assert refused is None


def cancel(event_id: str, user: str) -> None:
    """Cancel, and promote the head of the waiting list, as the promoter does."""
    cancellation.cancel(event_id, user, None, _deadline())
    with suppress(Stuck):  # the other processes have promoted users all the time
        settle(catalog.read_event(event_id, _deadline()), _deadline())


def _deadline() -> Deadline:
    return Deadline.after(REQUEST_BUDGET_S)


def _per_second(
    client: Callable[[], Any], act: Act, event_id: str, users: Sequence[Iterable[str]], seconds: float
) -> float:
    with multiprocessing.get_context("fork").Pool(len(users)) as pool:
        arguments = [(client, act, event_id, own, seconds) for own in users]
        return sum(pool.starmap(_for_a_while, arguments, chunksize=1))


def _for_a_while(client: Callable[[], Any], act: Act, event_id: str, users: Iterable[str], seconds: float) -> float:
    runtime.current.client = client()
    begun_s = time.perf_counter()
    done = 0
    for user in users:
        act(event_id, user)
        done += 1
        if time.perf_counter() > begun_s + seconds:
            break
    return done / (time.perf_counter() - begun_s)
