"""A feeder: a process that passes stream records to one function, as its event source mappings do on AWS.

python -m local.feeder ARGUMENTS (JSON, from the supervisor)

Each function has its own feeder, so that no function waits for another. A shard is read to its end before its children.
Whatever stops a feeder (a stopped database, a full disk), it tries again later and never gives up.
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

from local import runtime
from local.batches import Batches, GivenUp, Record, sequence, write_failed
from local.checkpoint import Checkpoint, Position
from local.child import LOW_PRIORITY, child
from local.database import Database
from local.errors import StartError
from local.folder import check_space, with_failed_records
from local.runtime import Runtime
from local.system import Stream
from shared.store.aws_client import NoResponse, RequestFailed, Service

STREAMS: Final = Service(
    "dynamodb", "DynamoDBStreams_20120810", "1.0", "streams.dynamodb", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS"
)
READ_RECORDS_MAX = 1000  # of one GetRecords, DynamoDB's limit
IDLE_S = 0.1  # between two reads of a stream without new records
IDLE_WINDOW_S = 0.25  # the same for a mapping that waits for fuller batches; it is what Lambda does
DISCOVERY_S = 2.0  # after a shard ended, until its children are listed
# Pauses while something is away: the database, the function, or room on the disk. The first, doubled up to the longest.
AWAY_S_MIN = 0.1
AWAY_S_MAX = 5.0


class Shard:
    """A shard: how far it was read, and the records that were read but are not done."""

    def __init__(self, shard_id: str, parent: str | None, position: Position, batches: Batches) -> None:
        """Begin at the position."""
        self.shard_id = shard_id
        self.parent = parent
        self.position = position
        self.batches = batches
        self.iterator: str | None = None
        self.read_through = position.sequence  # of the last record that was read, done or not
        self.ended = False  # every record was read, and no more will come
        self.due_s = 0.0
        self.read_due_s = 0.0


class Feeder:
    """Reads all shards of one stream for one event source mapping."""

    def __init__(self, stream: Stream, function: Runtime, database: Database, checkpoint: Checkpoint, failed: Path):
        """Take the mapping, its function, and where to keep the checkpoint and the failed records."""
        self._stream = stream
        self._function = function
        self._tables = database.aws_client()
        self._streams = database.aws_client(STREAMS)
        self._idle_s = IDLE_WINDOW_S if stream.window_s else IDLE_S
        self._checkpoint = checkpoint
        self._failed = failed
        self._arn = ""
        self._positions: dict[str, Position] = {}
        self._shards: dict[str, Shard] = {}
        self._discovery_due_s = 0.0
        self._away_s = AWAY_S_MIN
        self._is_saved = True  # the checkpoint says how far everything is done

    def turn(self) -> float:
        """Do what is due, at most one batch or one read per shard; return the seconds until the next turn."""
        now = time.monotonic()
        try:
            check_space(self._failed)  # on a full disk every call would fail and use up a retry
            self._save()
            if now >= self._discovery_due_s:
                self._discover()
            for shard in self._ready():
                if shard.due_s <= now:
                    self._advance(shard)
            self._away_s = AWAY_S_MIN
        except (NoResponse, RequestFailed, OSError) as error:
            facts = {"mapping": self._stream.name, "error": str(error), "again_after_s": self._away_s}
            runtime.log("the stream cannot be read now", **facts)
            pause_s, self._away_s = self._away_s, min(AWAY_S_MAX, self._away_s * 2)
            return pause_s
        due = [shard.due_s for shard in self._ready()] + [self._discovery_due_s]
        return max(0.0, min(min(due) - time.monotonic(), self._idle_s))

    def _ready(self) -> list[Shard]:
        """Return the shards to read: those whose parent is finished or gone."""
        return [shard for shard in self._shards.values() if shard.parent not in self._shards]

    def _advance(self, shard: Shard) -> None:
        if shard.batches.due_s <= time.monotonic():
            shard.due_s = time.monotonic() + shard.batches.advance()
        elif shard.read_due_s <= time.monotonic():
            # As on Lambda, a fuller shard is not read more often: more records make larger batches, not more of them.
            shard.read_due_s = 0.0 if self._read(shard) else time.monotonic() + self._idle_s
            if shard.ended:
                shard.read_due_s = math.inf
        shard.due_s = max(shard.due_s, min(shard.batches.due_s, shard.read_due_s))
        if shard.batches.done != shard.position.sequence:
            shard.position.sequence = shard.batches.done
            self._is_saved = False
        if shard.ended and shard.batches.empty:
            shard.position.finished = True
            self._is_saved = False
            del self._shards[shard.shard_id]
            self._discovery_due_s = 0.0
        self._save()

    def _save(self) -> None:
        if not self._is_saved:
            self._checkpoint.save()
            self._is_saved = True

    def _read(self, shard: Shard) -> bool:
        """Read once; return whether more records may be waiting."""
        if shard.iterator is None:
            shard.iterator = self._iterator(shard)
        try:
            answer = self._streams.call("GetRecords", {"ShardIterator": shard.iterator, "Limit": READ_RECORDS_MAX})
        except RequestFailed as error:
            if error.code not in ("TrimmedDataAccessException", "ExpiredIteratorException"):
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
            runtime.log("records were lost: the stream was not read for a day", shard_id=shard.shard_id)
            request = {"StreamArn": self._arn, "ShardId": shard.shard_id, "ShardIteratorType": "TRIM_HORIZON"}
            iterator = self._streams.call("GetShardIterator", request)["ShardIterator"]
        return iterator

    def _discover(self) -> None:
        """List the shards: at the start, and after a shard ended until its children appear."""
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
            del self._positions[gone]  # the stream no longer has it
        parents = set(listed.values())
        childless = any(position.finished and name not in parents for name, position in self._positions.items())
        # New shards are children of shards that ended: while all are open there is nothing to look for.
        self._discovery_due_s = time.monotonic() + DISCOVERY_S if childless else math.inf

    def _list_shards(self) -> dict[str, str | None]:
        """Return all shards of the stream, each with its parent."""
        found: dict[str, str | None] = {}
        start: dict[str, str] = {}
        while True:
            page = self._streams.call("DescribeStream", {"StreamArn": self._arn, **start})["StreamDescription"]
            found |= {shard["ShardId"]: shard.get("ParentShardId") for shard in page["Shards"]}
            if not page.get("LastEvaluatedShardId"):
                return found
            start = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}

    def _invoke(self, records: list[Record]) -> Any:
        """Call the function with its own copy of the records."""
        payload = marshal.loads(marshal.dumps({"Records": records}))  # noqa: S302  # ours; a fifth of what JSON takes
        try:
            return self._function.invoke(payload, str(uuid.uuid4()))
        except (Exception, runtime.TimedOut):  # noqa: BLE001 - any exception fails the batch
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
    """Feed until the supervisor says stop, and finish the batch in hand."""
    with child() as (arguments, lifeline, system):
        name = arguments["function"]
        function = runtime.load([with_failed_records(system.functions[name], arguments["failed_records"])])[name]
        database = Database(**arguments["database"])
        checkpoint, failed = Checkpoint(Path(arguments["checkpoint"])), Path(arguments["failed_records"])
        streams = [stream for stream in system.streams if stream.function == name]
        feeders = [Feeder(stream, function, database, checkpoint, failed) for stream in streams]
        if all(stream.window_s for stream in streams):
            os.nice(LOW_PRIORITY)
        lifeline.ready()
        while not lifeline.stop.wait(min(feeder.turn() for feeder in feeders)):
            pass


if __name__ == "__main__":
    main()
