"""A feeder: one process that hands the records of streams to one function, as its event source mappings do.

python -m local.feeder ARGUMENTS (JSON, from the supervisor)

Each function has a feeder of its own, so that none waits for another. Shards are read in turn, a parent to its end
before its children. What cannot be read now (the database is away, a limit of AWS's) is read later: the feeder never
gives up on that by itself.
"""

import marshal
import math
import os
import time
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from local import runtime
from local.batches import Batches, GivenUp, Record, sequence, write_failed
from local.checkpoint import Checkpoint, Position
from local.child import GIVES_WAY, child
from local.database import Database
from local.errors import StartError
from local.runtime import Runtime
from local.template import Stream
from shared.store.aws_client import DYNAMODB, NoAnswer, RequestFailed, Service

STREAMS: Final = Service(
    "dynamodb", "DynamoDBStreams_20120810", "1.0", "streams.dynamodb", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS"
)
READ_RECORDS_MAX = 1000  # of one GetRecords, DynamoDB's limit
IDLE_S_LOCAL = 0.1
IDLE_S_AWS = 0.25  # what Lambda does; a shard takes five reads a second. A mapping with a window is read so, too
DISCOVERY_S = 2.0  # after a shard ended, until its children are listed
AWAY_S_MIN = 0.1
AWAY_S_MAX = 5.0


class Shard:
    """One shard: where reading stands, and what was read but is not done."""

    def __init__(self, shard_id: str, parent: str | None, position: Position, batches: Batches) -> None:
        """Begin where the position says."""
        self.shard_id = shard_id
        self.parent = parent
        self.position = position
        self.batches = batches
        self.iterator: str | None = None
        self.read_through = position.sequence  # of the last record that was read, done or not
        self.ended = False  # every record was read
        self.due_s = 0.0
        self.read_due_s = 0.0


class Feeder:
    """All shards of one stream, as one event source mapping reads them."""

    def __init__(self, stream: Stream, function: Runtime, database: Database, checkpoint: Checkpoint, failed: Path):
        """Take the stream of the template, the function it feeds, and where to keep what."""
        self._stream = stream
        self._function = function
        self._tables = database.wire(DYNAMODB)
        self._streams = database.wire(STREAMS)
        self._idle_s = IDLE_S_AWS if database.is_real or stream.window_s else IDLE_S_LOCAL
        self._checkpoint = checkpoint
        self._failed = failed
        self._arn = ""
        self._positions: dict[str, Position] = {}
        self._shards: dict[str, Shard] = {}
        self._discovery_due_s = 0.0
        self._away_s = AWAY_S_MIN

    def turn(self) -> float:
        """Do what is due, at most one batch or one read per shard; give the seconds until there is more."""
        now = time.monotonic()
        try:
            if now >= self._discovery_due_s:
                self._discover()
            for shard in self._ready():
                if shard.due_s <= now:
                    self._advance(shard)
            self._away_s = AWAY_S_MIN
        except (NoAnswer, RequestFailed, BotoCoreError, ClientError) as error:  # botocore's: of renewing credentials
            runtime.log(
                "the stream cannot be read now", mapping=self._stream.name, error=str(error), again_after_s=self._away_s
            )
            pause_s, self._away_s = self._away_s, min(AWAY_S_MAX, self._away_s * 2)
            return pause_s
        due = [shard.due_s for shard in self._ready()] + [self._discovery_due_s]
        return max(0.0, min(min(due) - time.monotonic(), self._idle_s))

    def _ready(self) -> list[Shard]:
        """Give the shards to read: those whose parent is read to its end, or is there no more."""
        return [shard for shard in self._shards.values() if shard.parent not in self._shards]

    def _advance(self, shard: Shard) -> None:
        if shard.batches.due_s <= time.monotonic():
            shard.due_s = time.monotonic() + shard.batches.advance()
        elif shard.read_due_s <= time.monotonic():
            # A fuller shard is not read more often, as on Lambda: more records make longer batches, not more of them.
            shard.read_due_s = 0.0 if self._read(shard) else time.monotonic() + self._idle_s
            if shard.ended:
                shard.read_due_s = math.inf
        shard.due_s = max(shard.due_s, min(shard.batches.due_s, shard.read_due_s))
        if shard.batches.done != shard.position.sequence:
            shard.position.sequence = shard.batches.done
            self._checkpoint.save()
        if shard.ended and shard.batches.empty:
            shard.position.finished = True
            self._checkpoint.save()
            del self._shards[shard.shard_id]
            self._discovery_due_s = 0.0

    def _read(self, shard: Shard) -> bool:
        """Read once; say whether there may be more at once."""
        if shard.iterator is None:
            shard.iterator = self._iterator(shard)
        try:
            answer = self._streams.call("GetRecords", {"ShardIterator": shard.iterator, "Limit": READ_RECORDS_MAX})
        except RequestFailed as error:
            if error.code == "TrimmedDataAccessException":  # older than DynamoDB keeps: go on with what there is
                runtime.log("records were lost: the stream was not read for too long", shard_id=shard.shard_id)
                shard.read_through = shard.position.sequence = shard.batches.done = None
            elif error.code != "ExpiredIteratorException":
                raise
            shard.iterator = None
            return True
        records = answer["Records"]
        for record in records:
            record["eventSourceARN"] = self._arn
            shard.read_through = sequence(record)
        shard.iterator = answer.get("NextShardIterator")
        # Only this says that a shard has ended: the engine gives every shard an EndingSequenceNumber.
        shard.ended = shard.iterator is None
        shard.batches.add(records)
        return len(records) == READ_RECORDS_MAX

    def _iterator(self, shard: Shard) -> str:
        request = {"StreamArn": self._arn, "ShardId": shard.shard_id, "ShardIteratorType": "TRIM_HORIZON"}
        if shard.read_through is not None:
            request |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": shard.read_through}
        try:
            iterator: str = self._streams.call("GetShardIterator", request)["ShardIterator"]
        except RequestFailed as error:
            if error.code != "TrimmedDataAccessException":
                raise
            runtime.log("records were lost: the stream was not read for too long", shard_id=shard.shard_id)
            request = {"StreamArn": self._arn, "ShardId": shard.shard_id, "ShardIteratorType": "TRIM_HORIZON"}
            iterator = self._streams.call("GetShardIterator", request)["ShardIterator"]
        return iterator

    def _discover(self) -> None:
        """List the shards: at the start, and after one ended until its children are there."""
        if not self._arn:
            table = self._tables.call("DescribeTable", {"TableName": self._stream.table})["Table"]
            if "LatestStreamArn" not in table:
                raise StartError(f"the table {self._stream.table} has no stream")
            self._arn = table["LatestStreamArn"]
            self._positions = self._checkpoint.of(self._stream.name, self._arn)
        listed = self._list_shards()
        for shard_id, parent in listed.items():
            position = self._positions.setdefault(shard_id, Position())
            if shard_id not in self._shards and not position.finished:
                batches = Batches(self._stream, self._invoke, self._give_up(shard_id), done=position.sequence)
                self._shards[shard_id] = Shard(shard_id, parent, position, batches)
        for gone in self._positions.keys() - listed.keys() - self._shards.keys():
            del self._positions[gone]  # trimmed: neither it nor its children will be listed again
        parents = set(listed.values())
        childless = any(position.finished and name not in parents for name, position in self._positions.items())
        # New shards are children of shards that ended, so while all are open there is nothing to look for.
        self._discovery_due_s = time.monotonic() + DISCOVERY_S if childless else float("inf")

    def _list_shards(self) -> dict[str, str | None]:
        """Give all shards of the stream, each with its parent."""
        found: dict[str, str | None] = {}
        start: dict[str, str] = {}
        while True:
            page = self._streams.call("DescribeStream", {"StreamArn": self._arn, **start})["StreamDescription"]
            found |= {shard["ShardId"]: shard.get("ParentShardId") for shard in page["Shards"]}
            if not page.get("LastEvaluatedShardId"):
                return found
            start = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}

    def _invoke(self, records: list[Record]) -> Any:
        """Call the function with its own copy of the records, as over the wire."""
        payload = marshal.loads(marshal.dumps({"Records": records}))  # noqa: S302  # ours; a fifth of what JSON takes
        try:
            return self._function.invoke(payload, str(uuid.uuid4()))
        except (Exception, runtime.TimedOut):  # noqa: BLE001 - whatever it is, it fails the batch
            runtime.log(
                "the function failed",
                function_name=self._function.function.name,
                first=sequence(records[0]),
                records=len(records),
                exception=traceback.format_exc(),
            )
            raise RuntimeError("the function failed") from None

    def _give_up(self, shard_id: str) -> Callable[[GivenUp], None]:
        def write(given_up: GivenUp) -> None:
            path = write_failed(self._failed, given_up, shard_id, self._arn, runtime.arn(self._function.function))
            facts = {"condition": given_up.condition, "records": len(given_up.records), "file": str(path)}
            runtime.log("records were given up", shard_id=shard_id, **facts)

        return write


def main() -> None:
    """Feed until the supervisor says stop; the batch in hand is finished first."""
    with child() as (arguments, lifeline, system):
        name = arguments["function"]
        function = runtime.load([system.functions[name]])[name]
        database = Database(**arguments["database"])
        checkpoint, failed = Checkpoint(Path(arguments["checkpoint"])), Path(arguments["failed_records"])
        streams = [stream for stream in system.streams if stream.function == name]
        feeders = [Feeder(stream, function, database, checkpoint, failed) for stream in streams]
        if all(stream.window_s for stream in streams):
            os.nice(GIVES_WAY)
        lifeline.ready()
        while not lifeline.stop.wait(min(feeder.turn() for feeder in feeders)):
            pass


if __name__ == "__main__":
    main()
