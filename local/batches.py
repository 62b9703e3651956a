"""Lambda's handling of a shard's records: batches, retries, bisecting, giving up.

https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html and
https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html

    read -> filter -> [ batch | batch | ... ]   the first is invoked until it is done or given up; the last waits for
                        |                       more records until it is full or its window ends
                        |
                        +- all succeeded: next batch
                        +- record n failed: the records before n are done; n and later are tried again
                        +- raised: tried again, in two halves if the template says so (halving is not a retry)
                        +- no retry left, or too old: to the failed records, next batch
"""

import json
import math
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local import patterns
from local.system import Stream

BACKOFF_S_MIN = 0.1
BACKOFF_S_MAX = 10.0

Record = dict[str, Any]  # as in a function's payload
Invoke = Callable[[list[Record]], Any]  # raises the function's exception


@dataclass(slots=True)
class _Batch:
    records: list[Record]
    through: str  # the position after the batch, which includes filtered records behind it
    due_s: float = 0.0  # when it is invoked even if it is not full, on the monotonic clock
    invocations: int = 0
    raised: bool = False


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Records that will not be tried again, and why, in Lambda's terms."""

    records: Sequence[Record]
    condition: str
    invocations: int
    raised: bool


@dataclass(slots=True)
class Batches:
    """The records of a shard that were read but are not done; they age from `since_s` on at the earliest."""

    stream: Stream
    invoke: Invoke
    give_up: Callable[[GivenUp], None]
    since_s: float = field(default_factory=time.time)
    done: str | None = None  # the position up to which every record is done
    _pending: deque[_Batch] = field(default_factory=deque)

    @property
    def empty(self) -> bool:
        """Whether no record waits."""
        return not self._pending

    @property
    def due_s(self) -> float:
        """When to `advance`, on the monotonic clock; until then more records may be added."""
        if not self._pending:
            return math.inf
        first = self._pending[0]
        return 0.0 if len(first.records) >= self.stream.batch_size else first.due_s

    def add(self, records: Sequence[Record]) -> None:
        """Add records in order; those that no filter passes are done at once."""
        if not records:
            return
        wanted = [record for record in records if patterns.matches(self.stream.patterns, record)]
        size, due_s = self.stream.batch_size, time.monotonic() + self.stream.window_s
        if self._pending:  # the only batch is not full, and was not invoked yet
            there = self._pending[0].records
            missing = size - len(there)
            there += wanted[:missing]
            wanted = wanted[missing:]
        for start in range(0, len(wanted), size):
            batch = wanted[start : start + size]
            self._pending.append(_Batch(batch, sequence(batch[-1]), due_s))
        last = sequence(records[-1])
        if self._pending:
            self._pending[-1].through = last
        else:
            self.done = last

    def advance(self) -> float:
        """Invoke the function once, with the first batch; return the seconds to wait before the next call."""
        batch = self._pending[0]
        if self._give_up_old(batch):
            return 0.0
        batch.invocations += 1
        batch.due_s = 0.0  # if it fails, the rest waits for no more records
        try:
            answer = self.invoke(batch.records)
        except Exception:  # noqa: BLE001 - any exception fails the batch
            batch.raised = True
            failed_from: int | None = 0
        else:
            batch.raised = False
            failed_from = _failed_from(batch.records, answer) if self.stream.reports_failures else None
        if failed_from is None:
            self._finish(batch)
            return 0.0
        return self._failed(batch, failed_from)

    def _failed(self, batch: _Batch, failed_from: int) -> float:
        if failed_from > 0:  # progress: the rest is another batch, with all its retries
            self.done = sequence(batch.records[failed_from - 1])
            batch.records = batch.records[failed_from:]
            batch.invocations = 0
            return BACKOFF_S_MIN
        if batch.raised and self.stream.bisect and len(batch.records) > 1:
            middle = (len(batch.records) + 1) // 2
            first = _Batch(batch.records[:middle], sequence(batch.records[middle - 1]), batch.invocations - 1)
            second = _Batch(batch.records[middle:], batch.through, batch.invocations - 1)
            self._pending.popleft()
            self._pending.extendleft((second, first))
            return BACKOFF_S_MIN
        if 0 <= self.stream.retries < batch.invocations:
            self.give_up(GivenUp(batch.records, "RetryAttemptsExhausted", batch.invocations, batch.raised))
            self._finish(batch)
            return 0.0
        return min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2.0 ** min(batch.invocations - 1, 16))

    def _give_up_old(self, batch: _Batch) -> bool:
        """Give up the first records if they are too old; return whether the whole batch was."""
        if self.stream.max_age_s < 0:
            return False
        # A record does not age while the program is stopped.
        oldest = time.time() - self.stream.max_age_s
        young = next(
            (
                index
                for index, record in enumerate(batch.records)
                if max(record["dynamodb"]["ApproximateCreationDateTime"], self.since_s) >= oldest
            ),
            len(batch.records),
        )
        if young:
            self.give_up(GivenUp(batch.records[:young], "RecordAgeExceeded", batch.invocations, batch.raised))
            self.done = sequence(batch.records[young - 1])
            batch.records = batch.records[young:]
            batch.invocations = 0
        if not batch.records:
            self._finish(batch)
        return not batch.records

    def _finish(self, batch: _Batch) -> None:
        self.done = batch.through
        self._pending.popleft()


def sequence(record: Record) -> str:
    """Return a record's sequence number."""
    number: str = record["dynamodb"]["SequenceNumber"]
    return number


def _failed_from(records: Sequence[Record], answer: Any) -> int | None:
    """Return the index of the first failed record in a partial batch response, or None.

    As on Lambda, no answer or an empty list is success, and an unknown identifier fails the whole batch.
    """
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) else answer
    if not failures:
        return None
    places = {sequence(record): place for place, record in enumerate(records)}
    try:
        return min(places[failure["itemIdentifier"]] for failure in failures)
    except (KeyError, TypeError):
        return 0


def write_failed(folder: Path, given_up: GivenUp, shard: str, stream_arn: str, function_arn: str) -> Path:
    """Write records that were given up as Lambda writes them to S3, as a whole or not at all. Raises: OSError."""
    now = datetime.now(UTC)
    records = given_up.records
    document = {
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": function_arn,
            "condition": given_up.condition,
            "approximateInvokeCount": given_up.invocations,
        },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled" if given_up.raised else None,
        },
        "version": "1.0",
        "timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z",
        "DDBStreamBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": sequence(records[0]),
            "endSequenceNumber": sequence(records[-1]),
            "approximateArrivalOfFirstRecord": _arrival(records[0]),
            "approximateArrivalOfLastRecord": _arrival(records[-1]),
            "batchSize": len(records),
            "streamArn": stream_arn,
        },
        "payload": json.dumps({"Records": records}),
    }
    path = folder / f"{now:%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}.json"
    temporary = path.with_suffix(".new")
    try:
        temporary.write_text(json.dumps(document, indent=1), "utf-8")
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary.rename(path)


def _arrival(record: Record) -> str:
    return f"{datetime.fromtimestamp(record['dynamodb']['ApproximateCreationDateTime'], UTC):%Y-%m-%dT%H:%M:%SZ}"
