"""The feeder on the real engine's stream, and on shards as only AWS has them."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from local import engine, template
from local.checkpoint import Checkpoint
from local.database import Database
from local.engine import Engine
from local.errors import StartError
from local.feeder import AWAY_S_MAX, AWAY_S_MIN, IDLE_S_AWS, IDLE_S_LOCAL, STREAMS, Feeder
from local.runtime import Runtime
from local.template import Function, Stream, System, Table
from shared.store.aws_client import CALL_TIMEOUT_S, DYNAMODB, NoAnswer, RequestFailed, Service

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
SYSTEM = System(functions={}, routes=(), tables=(TABLE,), streams=(), schedules=(), cors=None)
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
    """A function that notes the records it gets, and fails as it is told."""

    failing: Callable[[list[str]], Any] = lambda _ids: None
    payloads: list[dict[str, Any]] = field(default_factory=list)
    function: Function = field(default_factory=lambda: Function("F", "f.handler", 3, 128, {}))

    def invoke(self, payload: dict[str, Any], request_id: str) -> Any:
        """Take one batch."""
        assert request_id
        self.payloads.append(payload)
        return self.failing(self.ids(payload))

    @staticmethod
    def ids(payload: dict[str, Any]) -> list[str]:
        """Give the keys of a batch's items."""
        return [record["dynamodb"]["Keys"]["id"]["S"] for record in payload["Records"]]

    def seen(self) -> list[list[str]]:
        """Give the keys of all batches."""
        return [self.ids(payload) for payload in self.payloads]


@dataclass
class Bench:
    """An engine with a table, and a folder."""

    database: Database
    folder: Path
    feeders: list[Feeder] = field(default_factory=list)

    def put(self, *ids: str, **more: Any) -> None:
        """Write items, one after the other."""
        client = self.database.client()
        for one in ids:
            client.put_item(TableName="Things", Item={"id": {"S": one}, **more})

    def feeder(self, promoter: Promoter, stream: Stream = STREAM, checkpoint: Checkpoint | None = None) -> Feeder:
        """Make a feeder that goes on where the last one was."""
        checkpoint = checkpoint or Checkpoint(self.folder / "checkpoint.json")
        self.feeders.append(Feeder(stream, cast("Runtime", promoter), self.database, checkpoint, self.folder))
        return self.feeders[-1]

    def close(self) -> None:
        """End the feeders' connections, as the end of their process does."""
        for feeder in self.feeders:
            for client in (feeder._tables, feeder._streams):  # noqa: SLF001
                client.connection.close()

    def failed(self) -> list[dict[str, Any]]:
        """Give what was given up."""
        found = [json.loads(path.read_text()) for path in self.folder.glob("*.json") if path.name != "checkpoint.json"]
        return sorted(found, key=lambda one: str(one["DDBStreamBatchInfo"]["startSequenceNumber"]))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Start an engine of our own: it keeps a stream's records even when the table is deleted."""
    with engine.running(None, SYSTEM) as endpoint, closing(Bench(Database.embedded(endpoint), tmp_path)) as made:
        yield made


def run(feeder: Feeder, until: Callable[[], bool]) -> None:
    """Feed until something is so."""
    deadline = time.monotonic() + WITHIN_S
    while not until():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(min(feeder.turn(), 0.2))


def test_records_reach_the_function_in_order_in_lambdas_form(bench: Bench) -> None:
    """Binary values as base64, times as numbers, the stream's name with each."""
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


def test_only_records_that_a_filter_passes_reach_the_function(bench: Bench) -> None:
    """And the others are not read again."""
    promoter = Promoter()
    stream = replace(STREAM, patterns=({"dynamodb": {"NewImage": {"kind": {"S": ["good"]}}}},), batch_size=2)
    bench.put("a", "b", kind={"S": "bad"})
    bench.put("c", "d", "e", kind={"S": "good"})
    bench.put("f", kind={"S": "bad"})
    run(bench.feeder(promoter, stream), lambda: len(promoter.payloads) == 2)
    assert promoter.seen() == [["c", "d"], ["e"]]

    bench.put("g", kind={"S": "good"})
    again = Promoter()
    run(bench.feeder(again, stream), lambda: len(again.payloads) == 1)
    assert again.seen() == [["g"]]


def test_a_mapping_with_a_window_gets_fewer_and_fuller_batches(bench: Bench) -> None:
    """Read after read fills one batch; a full one goes at once, the rest when the window is over."""
    promoter = Promoter()
    stream = replace(STREAM, batch_size=3, window_s=1)
    feeder = bench.feeder(promoter, stream)
    for one in "abc":
        assert promoter.seen() == []
        bench.put(one)
        until_s = time.monotonic() + IDLE_S_AWS
        run(feeder, lambda until_s=until_s: time.monotonic() > until_s)  # type: ignore[misc]
    run(feeder, lambda: promoter.seen() == [["a", "b", "c"]])
    bench.put("d")
    begun_s = time.monotonic()
    run(feeder, lambda: len(promoter.seen()) == 2)
    assert promoter.seen()[1] == ["d"]
    assert time.monotonic() - begun_s > stream.window_s


def test_a_feeder_goes_on_after_the_last_record_that_is_done(bench: Bench) -> None:
    """What failed comes again after a stop; what was done does not (P7 holds anyway)."""

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


def test_a_poisoned_record_ends_among_the_failed_ones_and_the_rest_goes_on(bench: Bench) -> None:
    """The function raises: its batch is halved, and the one bad record is given up after its retries."""

    def explode(ids: list[str]) -> None:
        assert "c" not in ids, "poison"

    promoter = Promoter(explode)
    bench.put("a", "b", "c", "d")
    run(bench.feeder(promoter), lambda: ["d"] in promoter.seen())

    assert promoter.seen() == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"], ["c"], ["c"], ["d"]]
    [failed] = bench.failed()
    assert failed["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert failed["requestContext"]["approximateInvokeCount"] == 2
    assert failed["DDBStreamBatchInfo"]["streamArn"].startswith("arn:aws:dynamodb:")
    assert Promoter.ids(json.loads(failed["payload"])) == ["c"]


def test_two_mappings_of_one_stream_go_each_its_own_way(bench: Bench) -> None:
    """What one has done with, or has given up, is still there for the other: each has its own place and its filter."""
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
    """While it is away the feeder waits, however long that takes."""
    away = Engine(tmp_path / "tickets.db", tmp_path / "engine.log")
    away.start()
    bench = Bench(Database.embedded(away.endpoint), tmp_path)
    try:
        engine.create_tables(bench.database.client(), SYSTEM)
        promoter = Promoter()
        feeder = bench.feeder(promoter)
        bench.put("a")
        run(feeder, lambda: promoter.seen() == [["a"]])
        assert away.process
        away.process.kill()
        for _ in range(3):
            time.sleep(min(feeder.turn(), 0.1))
        away.start()
        bench.put("b")
        run(feeder, lambda: promoter.seen() == [["a"], ["b"]])
    finally:
        bench.close()
        away.stop()


def test_a_torn_checkpoint_is_told_in_one_line(tmp_path: Path) -> None:
    """It is not this program's doing: it replaces the file as a whole."""
    for text in ("{", "[]", '{"a": {"b": 1}}', '{"a": {"b": {"other": 1}}}', "\x00"):
        (tmp_path / "checkpoint.json").write_text(text)
        with pytest.raises(StartError, match=r"the data folder is corrupt: .*checkpoint\.json") as told:
            Checkpoint(tmp_path / "checkpoint.json")
        assert "\n" not in str(told.value)


class FakeStream:
    """A stream as AWS has it: shards that end and have children; iterators that expire, records that are trimmed."""

    def __init__(self) -> None:
        self.shards: dict[str, dict[str, Any]] = {}
        self.generation = 0  # iterators of an earlier one have expired
        self.trimmed: set[str] = set()
        self.listed = 0
        self.arn = "arn:aws:dynamodb:eu-west-1:1:table/Things/stream/1"

    def add(self, shard: str, parent: str | None, *numbers: int, open_: bool = False) -> None:
        """Add a shard with its records."""
        self.shards[shard] = {"parent": parent, "numbers": list(numbers), "open": open_}

    is_real = False

    def wire(self, _: Service) -> "FakeStream":
        """Be the database."""
        return self

    def call(self, operation: str, request: dict[str, Any]) -> Any:
        """Answer a request."""
        return getattr(self, operation)(**request)

    def DescribeTable(self, TableName: str) -> Any:  # noqa: N802, N803 - AWS's names, here and below
        """Name the stream."""
        assert TableName == "Things"
        return {"Table": {"LatestStreamArn": self.arn}}

    def DescribeStream(self, StreamArn: str, ExclusiveStartShardId: str = "") -> Any:  # noqa: N802, N803
        """List one shard a page."""
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
        """Make an iterator that says where it stands."""
        assert (StreamArn, ShardIteratorType) in ((self.arn, "TRIM_HORIZON"), (self.arn, "AFTER_SEQUENCE_NUMBER"))
        if ShardIteratorType == "AFTER_SEQUENCE_NUMBER" and ShardId in self.trimmed:
            raise RequestFailed("GetShardIterator", 400, "TrimmedDataAccessException")
        return {"ShardIterator": f"{ShardId}|{SequenceNumber}|{self.generation}"}

    def GetRecords(self, ShardIterator: str, Limit: int) -> Any:  # noqa: N802, N803
        """Read two records at most."""
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
    """Give all that was seen, batches put together."""
    return [one for batch in promoter.seen() for one in batch]


def test_shards_are_read_to_their_end_before_their_children(tmp_path: Path) -> None:
    """The order of one item's changes goes on across shards, also for those that appear later."""
    stream = FakeStream()
    stream.add("shard-3", "shard-1", 5, 6, 7, open_=True)  # listed after its sibling, before its parent's end
    stream.add("shard-1", "shard-0", 1, 2, 3)
    bench = Bench(cast("Database", stream), tmp_path)
    promoter = Promoter()
    feeder = bench.feeder(promoter)
    run(feeder, lambda: len(order(promoter)) == 6)
    assert order(promoter) == ["1", "2", "3", "5", "6", "7"]

    stream.shards["shard-3"]["open"] = False
    run(feeder, lambda: stream.listed > 4)  # it ended: its children are looked for until they are there
    stream.add("shard-4", "shard-3", 8)
    run(feeder, lambda: len(order(promoter)) == 7)
    assert order(promoter)[-1] == "8"

    again = Promoter()
    stream.add("shard-5", "shard-4", 9, open_=True)
    run(bench.feeder(again), lambda: order(again) == ["9"])  # finished shards stay finished


def test_an_expired_iterator_is_made_anew_where_reading_stood(tmp_path: Path) -> None:
    """Nothing is lost and nothing comes twice."""
    stream = FakeStream()
    stream.add("shard-1", None, 1, 2, 3, 4, open_=True)
    promoter = Promoter()
    feeder = Bench(cast("Database", stream), tmp_path).feeder(promoter)
    run(feeder, lambda: order(promoter) == ["1", "2"])
    stream.generation += 1
    run(feeder, lambda: len(order(promoter)) == 4)
    assert order(promoter) == ["1", "2", "3", "4"]


def test_an_iterator_that_expires_while_a_batch_waits_brings_none_twice(tmp_path: Path) -> None:
    """What was read and waits for a fuller batch is not done, but it is not read again."""
    stream = FakeStream()
    stream.add("shard-1", None, 1, 2, 3, 4, open_=True)
    promoter = Promoter()
    feeder = Bench(cast("Database", stream), tmp_path).feeder(promoter, replace(STREAM, window_s=1))
    feeder.turn()
    assert promoter.seen() == []
    stream.generation += 1
    run(feeder, lambda: bool(promoter.seen()))
    assert order(promoter) == ["1", "2", "3", "4"]


def test_a_function_that_changes_its_records_changes_its_copy_only(bench: Bench) -> None:
    """As over the wire: what is tried again, or given up, is what the stream has."""

    def spoil(_ids: list[str]) -> None:
        promoter.payloads[-1]["Records"][0]["dynamodb"]["Keys"].clear()
        raise RuntimeError("spoilt")

    promoter = Promoter(spoil)
    bench.put("a")
    run(bench.feeder(promoter), lambda: bool(bench.failed()))
    assert len(promoter.payloads) == 2
    assert Promoter.ids(json.loads(bench.failed()[0]["payload"])) == ["a"]


@pytest.mark.parametrize(
    ("endpoint", "service", "host"),
    [
        ("https://dynamodb.eu-west-1.amazonaws.com", DYNAMODB, "dynamodb.eu-west-1.amazonaws.com"),
        ("https://dynamodb.eu-west-1.amazonaws.com", STREAMS, "streams.dynamodb.eu-west-1.amazonaws.com"),
        ("https://dynamodb.cn-north-1.amazonaws.com.cn", STREAMS, "streams.dynamodb.cn-north-1.amazonaws.com.cn"),
        ("http://127.0.0.1:8000", DYNAMODB, "127.0.0.1"),
        ("http://127.0.0.1:8000", STREAMS, "127.0.0.1"),
    ],
)
def test_streams_have_a_host_of_their_own_on_aws(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, service: Service, host: str
) -> None:
    """Another database has all at one address. Both have more time for an answer than a request of a user's has."""
    for name, value in Database.at(endpoint).environment.items():
        monkeypatch.setenv(name, value)
    connection = Database.at(endpoint).wire(service).connection
    assert connection._host == host  # noqa: SLF001
    assert connection.call_timeout_s > CALL_TIMEOUT_S


@pytest.mark.parametrize(
    ("window_s", "is_real", "idle_s"),
    [(0, False, IDLE_S_LOCAL), (0, True, IDLE_S_AWS), (1, False, IDLE_S_AWS)],
)
def test_an_idle_stream_is_read_so_often(tmp_path: Path, window_s: int, is_real: bool, idle_s: float) -> None:
    """On AWS as Lambda does; on one machine sooner, but for a mapping that waits for fuller batches anyway."""
    stream = FakeStream()
    stream.is_real = is_real
    stream.add("shard-1", None, open_=True)
    feeder = Bench(cast("Database", stream), tmp_path).feeder(Promoter(), replace(STREAM, window_s=window_s))
    assert feeder.turn() == pytest.approx(idle_s, abs=0.04)


@pytest.mark.parametrize(
    "trouble",
    [
        NoAnswer("GetRecords", "TimeoutError"),
        RequestFailed("GetRecords", 400, "LimitExceededException"),
        RequestFailed("GetRecords", 500, "InternalServerError"),
        NoCredentialsError(),
        ClientError({"Error": {"Code": "ExpiredToken"}}, "AssumeRole"),
    ],
    ids=str,
)
def test_what_cannot_be_read_now_is_read_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Exception
) -> None:
    """Whatever the reason: the last two are those of renewing a profile's credentials, on AWS."""
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


def test_a_table_made_anew_is_read_from_its_start(tmp_path: Path) -> None:
    """Its stream has another name: the old checkpoint is not for it."""
    stream = FakeStream()
    stream.add("shard-1", None, 1, 2, open_=True)
    bench = Bench(cast("Database", stream), tmp_path)
    for name in ("arn:one", "arn:two"):
        stream.arn = name
        promoter = Promoter()
        run(bench.feeder(promoter), lambda seen=promoter: order(seen) == ["1", "2"])  # type: ignore[misc]


def test_what_aws_has_trimmed_is_passed_over(tmp_path: Path) -> None:
    """After more than a day off: reading goes on with what is left, and the sweep finds the rest."""
    stream = FakeStream()
    stream.add("shard-1", None, 1, open_=True)
    bench = Bench(cast("Database", stream), tmp_path)
    promoter = Promoter()
    run(bench.feeder(promoter), lambda: order(promoter) == ["1"])
    stream.trimmed.add("shard-1")
    stream.shards["shard-1"]["numbers"] = [8, 9]
    again = Promoter()
    run(bench.feeder(again), lambda: order(again) == ["8", "9"])


def test_the_projects_streams_feed_its_functions() -> None:
    """The template's own mappings are such as the feeder understands, each under a name of its own."""
    system = template.load()
    assert {stream.table for stream in system.streams} <= {table.name for table in system.tables}
    assert {stream.function for stream in system.streams} <= system.functions.keys()
    assert len({stream.name for stream in system.streams}) == len(system.streams)
