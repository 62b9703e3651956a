"""What happens to a shard's records: batches, retries, halves, giving up. The clock is the test's."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from local import batches
from local.batches import Batches, GivenUp, Record
from local.template import Stream

STREAM = Stream(
    "FT",
    "T",
    "F",
    patterns=({"dynamodb": {"keep": [True]}},),
    batch_size=4,
    window_s=0,
    retries=2,
    max_age_s=100,
    bisect=False,
    reports_failures=True,
)
NOW_S = 1_000_000.0


@dataclass
class Clock:
    """The monotonic clock; a test turns it on."""

    now_s: float = 1000.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put both clocks of the module into the test's hands."""
    monkeypatch.setattr("local.batches.time.time", lambda: NOW_S)
    clock = Clock()
    monkeypatch.setattr("local.batches.time.monotonic", lambda: clock.now_s)
    return clock


def records(*numbers: int, keep: bool = True, age_s: float = 0.0) -> list[Record]:
    """Make records that the filter passes, or not."""
    return [
        {"dynamodb": {"SequenceNumber": str(number), "keep": keep, "ApproximateCreationDateTime": NOW_S - age_s}}
        for number in numbers
    ]


class Shard:
    """A shard whose function fails for the sequence numbers in `poison`: says so, or raises."""

    def __init__(self, stream: Stream = STREAM, poison: set[int] | None = None, since_s: float = NOW_S) -> None:
        self.poison = poison or set()
        self.raises = not stream.reports_failures
        self.calls: list[list[int]] = []
        self.given_up: list[GivenUp] = []
        self.batches = Batches(stream, self._function, self.given_up.append, since_s=since_s)

    def _function(self, batch: list[Record]) -> Any:
        numbers = [int(batches.sequence(record)) for record in batch]
        self.calls.append(numbers)
        bad = [number for number in numbers if number in self.poison]
        if bad and self.raises:
            raise RuntimeError("poison")
        return {"batchItemFailures": [{"itemIdentifier": str(number)} for number in reversed(bad)]}

    def run(self) -> list[float]:
        """Go on until nothing is left; give the pauses."""
        pauses = []
        while not self.batches.empty:
            pauses.append(self.batches.advance())
        return pauses

    def lost(self) -> list[tuple[list[int], str]]:
        """Give what was given up, and why."""
        return [([int(batches.sequence(record)) for record in one.records], one.condition) for one in self.given_up]


def test_records_go_in_order_and_in_batches_that_filtered_ones_do_not_fill() -> None:
    """The position after a batch includes the filtered records behind it."""
    shard = Shard()
    shard.batches.add(records(1, 2) + records(3, keep=False) + records(4, 5, 6) + records(7, keep=False))

    shard.batches.advance()
    assert shard.batches.done == "5"
    shard.batches.advance()
    assert shard.batches.done == "7"
    assert shard.calls == [[1, 2, 4, 5], [6]]
    assert shard.batches.empty


def test_records_that_no_filter_passes_are_done_at_once() -> None:
    """They call nobody."""
    shard = Shard()
    shard.batches.add(records(1, 2, keep=False))
    assert shard.batches.empty
    assert shard.batches.done == "2"


def test_without_a_window_a_batch_is_invoked_at_once(clock: Clock) -> None:
    """However few records it has."""
    shard = Shard()
    assert shard.batches.due_s > 1e9
    shard.batches.add(records(1))
    assert shard.batches.due_s <= clock.now_s


def test_a_batch_waits_for_more_until_its_window_is_over(clock: Clock) -> None:
    """Counted from its first record; those that come meanwhile go with it, and the place after it is theirs."""
    shard = Shard(replace(STREAM, window_s=2))
    shard.batches.add(records(1) + records(2, keep=False))
    clock.now_s += 1.5
    shard.batches.add(records(3) + records(4, keep=False))
    assert clock.now_s < shard.batches.due_s <= clock.now_s + 0.5
    assert shard.batches.done is None
    shard.batches.advance()
    assert shard.calls == [[1, 3]]
    assert shard.batches.done == "4"


def test_a_full_batch_waits_for_nobody(clock: Clock) -> None:
    """What is over its size is another batch, with a window of its own."""
    shard = Shard(replace(STREAM, window_s=2))
    shard.batches.add(records(1, 2, 3))
    assert shard.batches.due_s > clock.now_s
    clock.now_s += 1
    shard.batches.add(records(4, 5, 6, 7, 8, 9))
    for _ in range(2):
        assert shard.batches.due_s <= clock.now_s
        shard.batches.advance()
    assert shard.calls == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert shard.batches.due_s == clock.now_s + 2


def test_what_failed_waits_for_nothing_more(clock: Clock) -> None:
    """Neither the rest of a batch nor its halves are filled up: they are tried again as they are."""
    reported = Shard(replace(STREAM, window_s=2), poison={3})
    halved = Shard(replace(STREAM, window_s=2, bisect=True, reports_failures=False), poison={3})
    for shard in (reported, halved):
        shard.batches.add(records(1, 2, 3, 4))
        shard.batches.advance()
        assert shard.batches.due_s <= clock.now_s


def test_a_reported_failure_is_tried_again_from_the_lowest_on() -> None:
    """What is before it is done and does not come again."""
    shard = Shard(poison={2, 4})
    shard.batches.add(records(1, 2, 3, 4))
    shard.batches.advance()
    assert shard.batches.done == "1"
    shard.poison = set()
    shard.run()
    assert shard.calls == [[1, 2, 3, 4], [2, 3, 4]]
    assert shard.batches.done == "4"


def test_a_batch_is_given_up_after_its_retries_with_growing_pauses() -> None:
    """With two retries a record is tried three times; the next batch follows."""
    shard = Shard(poison={1})
    shard.batches.add(records(1, 2, 3, 4, 5))
    pauses = shard.run()
    assert shard.calls == [[1, 2, 3, 4]] * 3 + [[5]]
    assert pauses == [0.1, 0.2, 0.0, 0.0]
    assert shard.lost() == [([1, 2, 3, 4], "RetryAttemptsExhausted")]
    assert shard.given_up[0].invocations == 3
    assert shard.batches.done == "5"


def test_progress_gives_the_rest_all_its_retries() -> None:
    """Each failing record has as many as the first."""
    shard = Shard(poison={3})
    shard.batches.add(records(1, 2, 3, 4))
    shard.run()
    assert shard.calls == [[1, 2, 3, 4]] + [[3, 4]] * 3


def test_a_batch_that_raises_is_halved_until_the_bad_record_is_alone() -> None:
    """Halving is not counted as a retry; the good records are done."""
    shard = Shard(replace(STREAM, bisect=True, reports_failures=False), poison={3})
    shard.batches.add(records(1, 2, 3, 4))
    shard.run()
    assert shard.calls == [[1, 2, 3, 4], [1, 2], [3, 4], [3], [3], [3], [4]]
    assert shard.lost() == [([3], "RetryAttemptsExhausted")]
    assert shard.given_up[0].raised
    assert shard.batches.done == "4"


def test_a_batch_that_raises_is_whole_again_where_the_template_does_not_halve() -> None:
    """All of it is given up in the end."""
    shard = Shard(replace(STREAM, reports_failures=False), poison={3})
    shard.batches.add(records(1, 2, 3, 4))
    shard.run()
    assert shard.calls == [[1, 2, 3, 4]] * 3
    assert shard.lost() == [([1, 2, 3, 4], "RetryAttemptsExhausted")]


def test_without_a_limit_a_batch_is_tried_for_ever() -> None:
    """-1 is AWS's default; the pause is bounded."""
    shard = Shard(replace(STREAM, retries=-1), poison={1})
    shard.batches.add(records(1))
    pauses = [shard.batches.advance() for _ in range(2000)]
    assert not shard.batches.empty
    assert max(pauses) == batches.BACKOFF_S_MAX


def test_a_record_that_is_too_old_is_given_up_before_it_is_tried() -> None:
    """Younger ones behind it are not."""
    shard = Shard(since_s=0.0)
    shard.batches.add(records(1, 2, age_s=101) + records(3, age_s=99))
    shard.run()
    assert shard.calls == [[3]]
    assert shard.lost() == [([1, 2], "RecordAgeExceeded")]
    assert shard.batches.done == "3"


def test_a_record_does_not_age_while_nobody_could_read_it() -> None:
    """A cancellation made just before a weekend off is promoted on Monday."""
    shard = Shard(since_s=NOW_S - 1)
    shard.batches.add(records(1, age_s=200_000))
    shard.run()
    assert shard.calls == [[1]]
    assert not shard.given_up


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}, ""])
def test_an_answer_without_failures_is_success(answer: Any) -> None:
    """As Lambda documents it."""
    shard = Batches(STREAM, lambda _batch: answer, lambda _given_up: None, since_s=NOW_S)
    shard.add(records(1))
    shard.advance()
    assert shard.empty


@pytest.mark.parametrize(
    "answer",
    [
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": "99"}]},
        {"batchItemFailures": [{"other": "1"}]},
        {"batchItemFailures": [{"itemIdentifier": "2"}, {"itemIdentifier": None}]},
        {"batchItemFailures": ["2"]},
        "text",
    ],
)
def test_an_answer_that_names_no_record_of_the_batch_fails_all_of_it(answer: Any) -> None:
    """As Lambda documents it."""
    shard = Batches(STREAM, lambda _batch: answer, lambda _given_up: None, since_s=NOW_S)
    shard.add(records(1, 2))
    shard.advance()
    assert not shard.empty
    assert shard.done is None


def test_failed_records_are_written_as_lambda_writes_them(tmp_path: Path) -> None:
    """With the whole payload, so that they can be handled later."""
    lost = records(7, 8)
    given_up = GivenUp(lost, "RetryAttemptsExhausted", invocations=3, raised=True)
    written = json.loads(batches.write_failed(tmp_path, given_up, "shard-1", "arn:stream", "arn:function").read_text())

    assert written.pop("timestamp").endswith("Z")
    assert written["requestContext"].pop("requestId")
    assert json.loads(written.pop("payload")) == {"Records": lost}
    assert written == {
        "requestContext": {
            "functionArn": "arn:function",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 3,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "DDBStreamBatchInfo": {
            "shardId": "shard-1",
            "startSequenceNumber": "7",
            "endSequenceNumber": "8",
            "approximateArrivalOfFirstRecord": "1970-01-12T13:46:40Z",
            "approximateArrivalOfLastRecord": "1970-01-12T13:46:40Z",
            "batchSize": 2,
            "streamArn": "arn:stream",
        },
    }
