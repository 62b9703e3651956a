"""The feeder reads the real engine's stream, and shards that end and have children, which the engine lacks."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from harness.running import client_of
from local import engine
from local.checkpoint import Checkpoint
from local.database import Database
from local.engine import Engine
from local.errors import StartError
from local.feeder import AWAY_S_MAX, AWAY_S_MIN, IDLE_S, IDLE_WINDOW_S, Feeder
from local.parts import wait_until_ready
from local.runtime import Runtime
from local.system import Function, Stream, System, Table
from shared.store.aws_client import NoResponse, RequestFailed, Service

TABLE = Table(
    "Things",
    {
        "TableName": "Things",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    },
)
SYSTEM = System(functions={}, routes=(), tables=(TABLE,), streams=(), schedules=(), cors=None, path=Path())
STREAM = Stream(
    "FThings",
    "Things",
    "F",
    patterns=(),
    batch_size=100,
    window_s=0,
    retries=1,
    max_age_s=3600,
    bisect=True,
    reports_failures=True,
)
WITHIN_S = 10.0


@dataclass
class Promoter:
    """A function that records its payloads and fails as a test tells it."""

    failing: Callable[[list[str]], Any] = lambda _ids: None
    payloads: list[dict[str, Any]] = field(default_factory=list)
    function: Function = field(default_factory=lambda: Function("F", "f.handler", 3, 128, {}))

    def invoke(self, payload: dict[str, Any], request_id: str) -> Any:
        """Receive one batch."""
        assert request_id
        self.payloads.append(payload)
        return self.failing(self.ids(payload))

    @staticmethod
    def ids(payload: dict[str, Any]) -> list[str]:
        """Return the keys of a batch's items."""
        return [record["dynamodb"]["Keys"]["id"]["S"] for record in payload["Records"]]

    def seen(self) -> list[list[str]]:
        """Return the keys of all batches."""
        return [self.ids(payload) for payload in self.payloads]


@dataclass
class Bench:
    """An engine with a table, and a folder for what feeders keep."""

    database: Database
    folder: Path
    feeders: list[Feeder] = field(default_factory=list)

    def put(self, *ids: str, **more: Any) -> None:
        """Write items one after the other."""
        client = client_of(self.database.endpoint)
        for one in ids:
            client.put_item(TableName="Things", Item={"id": {"S": one}, **more})

    def feeder(self, promoter: Promoter, stream: Stream = STREAM, checkpoint: Checkpoint | None = None) -> Feeder:
        """Return a feeder that goes on where the last one stopped."""
        checkpoint = checkpoint or Checkpoint(self.folder / "checkpoint.json")
        self.feeders.append(Feeder(stream, cast("Runtime", promoter), self.database, checkpoint, self.folder))
        return self.feeders[-1]

    def close(self) -> None:
        """Close the feeders' connections."""
        for feeder in self.feeders:
            for client in (feeder._tables, feeder._streams):  # noqa: SLF001
                client.connection.close()

    def failed(self) -> list[dict[str, Any]]:
        """Return the failed records, in order."""
        found = [json.loads(path.read_text()) for path in self.folder.glob("*.json") if path.name != "checkpoint.json"]
        return sorted(found, key=lambda one: str(one["DDBStreamBatchInfo"]["startSequenceNumber"]))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Start an engine of its own for a test."""
    with engine.running(None, SYSTEM) as endpoint, closing(Bench(Database.embedded(endpoint), tmp_path)) as made:
        yield made


def run(feeder: Feeder, until: Callable[[], bool]) -> None:
    """Feed until a condition holds."""
    deadline = time.monotonic() + WITHIN_S
    while not until():
        assert time.monotonic() < deadline, "the condition does not hold in time"
        time.sleep(min(feeder.turn(), 0.2))


def test_records_reach_the_function_in_order_in_lambdas_form(bench: Bench) -> None:
    """Binary values are base64, times are numbers, and each record names its stream."""
    promoter = Promoter()
    bench.put("a", "b", bytes={"B": b"\xff"}, set={"BS": [b"\x00"]}, number={"N": "1.50"})
    run(bench.feeder(promoter), lambda: len(promoter.payloads) == 1)

    [payload] = promoter.payloads
    assert promoter.seen() == [["a", "b"]]
    record = payload["Records"][0]
    assert record["eventSource"] == "aws:dynamodb"
    assert record["eventName"] == "INSERT"
    assert ":table/Things/stream/" in record["eventSourceARN"]
    assert isinstance(record["dynamodb"]["ApproximateCreationDateTime"], int | float)
    image = record["dynamodb"]["NewImage"]
    assert image == {"id": {"S": "a"}, "bytes": {"B": "/w=="}, "set": {"BS": ["AA=="]}, "number": {"N": "1.5"}}


def test_a_feeder_goes_on_after_the_last_record_that_is_done(bench: Bench) -> None:
    """Only failed records come again after a stop."""

    def fail(ids: list[str]) -> Any:
        return {
            "batchItemFailures": [
                {"itemIdentifier": promoter.payloads[-1]["Records"][ids.index("b")]["dynamodb"]["SequenceNumber"]}
            ]
        }

    promoter = Promoter(fail)
    bench.put("a", "b", "c")
    run(bench.feeder(promoter), lambda: len(promoter.payloads) == 1)
    assert promoter.seen() == [["a", "b", "c"]]

    again = Promoter()
    run(bench.feeder(again), lambda: len(again.payloads) == 1)
    assert again.seen() == [["b", "c"]]


def test_two_mappings_read_one_stream_independently(bench: Bench) -> None:
    """Each has its own position, filter and failed records."""
    first, second = Promoter(), Promoter(lambda ids: {"batchItemFailures": [{"itemIdentifier": "nobody"}]})
    good = replace(STREAM, name="FGood", patterns=({"dynamodb": {"NewImage": {"kind": {"S": ["good"]}}}},))
    checkpoint = Checkpoint(bench.folder / "checkpoint.json")

    def feeders(*promoters: Promoter) -> list[Feeder]:
        mappings = zip((good, replace(STREAM, name="FAll")), promoters, strict=True)
        return [bench.feeder(promoter, stream, checkpoint) for stream, promoter in mappings]

    bench.put("a", kind={"S": "bad"})
    bench.put("b", kind={"S": "good"})
    both = feeders(first, second)
    run(both[0], lambda: first.seen() == [["b"]])
    run(both[1], lambda: len(second.seen()) == 2)
    assert [Promoter.ids(json.loads(failed["payload"])) for failed in bench.failed()] == [["a", "b"]]

    bench.put("c", kind={"S": "good"})
    checkpoint = Checkpoint(bench.folder / "checkpoint.json")
    first, second = Promoter(), Promoter()
    both = feeders(first, second)
    run(both[0], lambda: bool(first.seen()))
    run(both[1], lambda: bool(second.seen()))
    assert first.seen() == second.seen() == [["c"]]


def test_feeding_goes_on_when_the_engine_is_back(tmp_path: Path) -> None:
    """The feeder waits as long as the engine is away."""
    away = Engine(tmp_path / "tickets.db", tmp_path / "engine.log")
    away.start()
    wait_until_ready([away], time.monotonic() + WITHIN_S)
    bench = Bench(Database.embedded(away.endpoint), tmp_path)
    try:
        engine.create_tables(bench.database, SYSTEM)
        promoter = Promoter()
        feeder = bench.feeder(promoter)
        bench.put("a")
        run(feeder, lambda: promoter.seen() == [["a"]])
        away.wait(0.0)  # kills it
        for _ in range(3):
            time.sleep(min(feeder.turn(), 0.1))
        away.start()
        wait_until_ready([away], time.monotonic() + WITHIN_S)
        bench.put("b")
        run(feeder, lambda: promoter.seen() == [["a"], ["b"]])
    finally:
        bench.close()
        away.stop()


def test_a_damaged_checkpoint_is_reported_in_one_line(tmp_path: Path) -> None:
    """This program replaces the file as a whole, so it cannot be torn."""
    for text in ("{", "[]", '{"a": {"b": 1}}', '{"a": {"b": {"other": 1}}}', "\x00"):
        (tmp_path / "checkpoint.json").write_text(text)
        with pytest.raises(StartError, match=r"the data folder is corrupt: .*checkpoint\.json") as told:
            Checkpoint(tmp_path / "checkpoint.json")
        assert "\n" not in str(told.value)


class FakeStream:
    """A stream with shards that end and have children, iterators that expire, and records that are trimmed."""

    def __init__(self) -> None:
        self.shards: dict[str, dict[str, Any]] = {}
        self.generation = 0  # iterators of earlier generations have expired
        self.trimmed: set[str] = set()
        self.listed = 0
        self.arn = "arn:aws:dynamodb:eu-west-1:1:table/Things/stream/1"

    def add(self, shard: str, parent: str | None, *numbers: int, open_: bool = False) -> None:
        """Add a shard with its records."""
        self.shards[shard] = {"parent": parent, "numbers": list(numbers), "open": open_}

    def aws_client(self, _: Service | None = None) -> "FakeStream":
        """Return itself: it is database and client in one."""
        return self

    def call(self, operation: str, request: dict[str, Any]) -> Any:
        """Answer a request."""
        return getattr(self, operation)(**request)

    def DescribeTable(self, TableName: str) -> Any:  # noqa: N802, N803 - AWS's names, here and below
        """Return the stream's ARN."""
        assert TableName == "Things"
        return {"Table": {"LatestStreamArn": self.arn}}

    def DescribeStream(self, StreamArn: str, ExclusiveStartShardId: str = "") -> Any:  # noqa: N802, N803
        """Return one shard per page."""
        assert StreamArn == self.arn
        self.listed += 1
        names = sorted(self.shards)
        place = names.index(ExclusiveStartShardId) + 1 if ExclusiveStartShardId else 0
        name = names[place]
        parent = self.shards[name]["parent"]
        page: dict[str, Any] = {"Shards": [{"ShardId": name, **({"ParentShardId": parent} if parent else {})}]}
        if place + 1 < len(names):
            page["LastEvaluatedShardId"] = name
        return {"StreamDescription": page}

    def GetShardIterator(  # noqa: N802
        self,
        StreamArn: str,  # noqa: N803
        ShardId: str,  # noqa: N803
        ShardIteratorType: str,  # noqa: N803
        SequenceNumber: str = "0",  # noqa: N803
    ) -> Any:
        """Return an iterator that contains its position."""
        assert (StreamArn, ShardIteratorType) in ((self.arn, "TRIM_HORIZON"), (self.arn, "AFTER_SEQUENCE_NUMBER"))
        if ShardIteratorType == "AFTER_SEQUENCE_NUMBER" and ShardId in self.trimmed:
            raise RequestFailed("GetShardIterator", 400, "TrimmedDataAccessException")
        return {"ShardIterator": f"{ShardId}|{SequenceNumber}|{self.generation}"}

    def GetRecords(self, ShardIterator: str, Limit: int) -> Any:  # noqa: N802, N803
        """Read at most two records."""
        assert Limit == 1000
        name, after, generation = ShardIterator.split("|")
        if int(generation) < self.generation:
            raise RequestFailed("GetRecords", 400, "ExpiredIteratorException")
        shard = self.shards[name]
        numbers = [number for number in shard["numbers"] if number > int(after)][:2]
        made = [
            {
                "dynamodb": {
                    "SequenceNumber": str(n),
                    "Keys": {"id": {"S": str(n)}},
                    "ApproximateCreationDateTime": time.time(),
                }
            }
            for n in numbers
        ]
        answer: dict[str, Any] = {"Records": made}
        last = numbers[-1] if numbers else int(after)
        if shard["open"] or last < max(shard["numbers"], default=0):
            answer["NextShardIterator"] = f"{name}|{last}|{generation}"
        return answer


def order(promoter: Promoter) -> list[str]:
    """Return all records that a function got."""
    return [one for batch in promoter.seen() for one in batch]


def test_shards_are_read_to_their_end_before_their_children(tmp_path: Path) -> None:
    """The order of an item's changes holds across shards, even those that appear later."""
    stream = FakeStream()
    stream.add("shard-3", "shard-1", 5, 6, 7, open_=True)  # listed before its parent has ended
    stream.add("shard-1", "shard-0", 1, 2, 3)
    bench = Bench(cast("Database", stream), tmp_path)
    promoter = Promoter()
    feeder = bench.feeder(promoter)
    run(feeder, lambda: len(order(promoter)) == 6)
    assert order(promoter) == ["1", "2", "3", "5", "6", "7"]

    stream.shards["shard-3"]["open"] = False
    run(feeder, lambda: stream.listed > 4)  # it looks for children until there are some
    stream.add("shard-4", "shard-3", 8)
    run(feeder, lambda: len(order(promoter)) == 7)
    assert order(promoter)[-1] == "8"

    again = Promoter()
    stream.add("shard-5", "shard-4", 9, open_=True)
    run(bench.feeder(again), lambda: order(again) == ["9"])  # finished shards stay finished


def test_records_that_wait_in_a_batch_are_not_read_again(tmp_path: Path) -> None:
    """Even if the iterator expires meanwhile."""
    stream = FakeStream()
    stream.add("shard-1", None, 1, 2, 3, 4, open_=True)
    promoter = Promoter()
    feeder = Bench(cast("Database", stream), tmp_path).feeder(promoter, replace(STREAM, window_s=1))
    feeder.turn()
    assert promoter.seen() == []
    stream.generation += 1
    run(feeder, lambda: bool(promoter.seen()))
    assert order(promoter) == ["1", "2", "3", "4"]


def test_a_function_cannot_change_the_records(bench: Bench) -> None:
    """Retries and failed records are as the stream has them."""

    def spoil(_ids: list[str]) -> None:
        promoter.payloads[-1]["Records"][0]["dynamodb"]["Keys"].clear()
        raise RuntimeError("spoilt")

    promoter = Promoter(spoil)
    bench.put("a")
    run(bench.feeder(promoter), lambda: bool(bench.failed()))
    assert len(promoter.payloads) == 2
    assert Promoter.ids(json.loads(bench.failed()[0]["payload"])) == ["a"]


@pytest.mark.parametrize(("window_s", "idle_s"), [(0, IDLE_S), (1, IDLE_WINDOW_S)])
def test_an_idle_stream_is_read_several_times_a_second(tmp_path: Path, window_s: int, idle_s: float) -> None:
    """Less often for a mapping that waits for fuller batches."""
    stream = FakeStream()
    stream.add("shard-1", None, open_=True)
    feeder = Bench(cast("Database", stream), tmp_path).feeder(Promoter(), replace(STREAM, window_s=window_s))
    assert feeder.turn() == pytest.approx(idle_s, abs=0.04)


@pytest.mark.parametrize(
    "trouble",
    [
        NoResponse("GetRecords", "TimeoutError"),
        RequestFailed("GetRecords", 400, "LimitExceededException"),
        RequestFailed("GetRecords", 500, "InternalServerError"),
    ],
    ids=str,
)
def test_a_stream_that_cannot_be_read_now_is_read_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Exception
) -> None:
    """The pauses between tries grow up to a limit."""
    stream = FakeStream()
    stream.add("shard-1", None, 1, 2, open_=True)
    promoter = Promoter()
    feeder = Bench(cast("Database", stream), tmp_path).feeder(promoter)

    def away(*_: Any) -> Any:
        raise trouble

    with monkeypatch.context() as patch:
        patch.setattr(stream, "call", away)
        pauses = [feeder.turn() for _ in range(10)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (AWAY_S_MIN, AWAY_S_MAX)
    run(feeder, lambda: order(promoter) == ["1", "2"])


def test_the_stream_of_a_recreated_table_is_read_from_its_start(tmp_path: Path) -> None:
    """The old checkpoint belongs to another stream."""
    stream = FakeStream()
    stream.add("shard-1", None, 1, 2, open_=True)
    bench = Bench(cast("Database", stream), tmp_path)
    for name in ("arn:one", "arn:two"):
        stream.arn = name
        promoter = Promoter()
        run(bench.feeder(promoter), lambda seen=promoter: order(seen) == ["1", "2"])  # type: ignore[misc]


def test_trimmed_records_are_skipped(tmp_path: Path) -> None:
    """Reading goes on with the records that are left; the sweep finds the rest."""
    stream = FakeStream()
    stream.add("shard-1", None, 1, open_=True)
    bench = Bench(cast("Database", stream), tmp_path)
    promoter = Promoter()
    run(bench.feeder(promoter), lambda: order(promoter) == ["1"])
    stream.trimmed.add("shard-1")
    stream.shards["shard-1"]["numbers"] = [8, 9]
    again = Promoter()
    run(bench.feeder(again), lambda: order(again) == ["8", "9"])
