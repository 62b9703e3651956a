"""Batches, retries, halving and giving up; the tests control the clock."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from local import batches
from local.batches import Batches, GivenUp, Record
from local.system import Stream

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
    """The monotonic clock, which a test advances."""

    now_s: float = 1000.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace both clocks of the module."""
    monkeypatch.setattr("local.batches.time.time", lambda: NOW_S)
    clock = Clock()
    monkeypatch.setattr("local.batches.time.monotonic", lambda: clock.now_s)
    return clock


def records(*numbers: int, keep: bool = True, age_s: float = 0.0) -> list[Record]:
    """Return records; the filter passes those with `keep`."""
    return [
        {"dynamodb": {"SequenceNumber": str(number), "keep": keep, "ApproximateCreationDateTime": NOW_S - age_s}}
        for number in numbers
    ]


class Shard:
    """A shard whose function fails for the sequence numbers in `poison`: it reports them, or raises."""

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
        """Advance until no batch is left; return the pauses."""
        pauses = []
        while not self.batches.empty:
            pauses.append(self.batches.advance())
        return pauses

    def lost(self) -> list[tuple[list[int], str]]:
        """Return the records that were given up, and why."""
        return [([int(batches.sequence(record)) for record in one.records], one.condition) for one in self.given_up]


def test_records_are_invoked_in_order_and_in_batches() -> None:
    """Filtered records fill no batch, and are done together with the batch before them."""
    shard = Shard()
    shard.batches.add(records(1, 2) + records(3, keep=False) + records(4, 5, 6) + records(7, keep=False))

    shard.batches.advance()
    assert shard.batches.done == "5"
    shard.batches.advance()
    assert shard.batches.done == "7"
    assert shard.calls == [[1, 2, 4, 5], [6]]
    assert shard.batches.empty


def test_records_that_no_filter_passes_are_done_at_once() -> None:
    """The function is not invoked."""
    shard = Shard()
    shard.batches.add(records(1, 2, keep=False))
    assert shard.batches.empty
    assert shard.batches.done == "2"


def test_without_a_window_a_batch_is_invoked_at_once(clock: Clock) -> None:
    """Even with a single record."""
    shard = Shard()
    assert shard.batches.due_s > 1e9
    shard.batches.add(records(1))
    assert shard.batches.due_s <= clock.now_s


def test_a_batch_waits_for_more_records_until_its_window_ends(clock: Clock) -> None:
    """The window begins with the first record; later records join the batch."""
    shard = Shard(replace(STREAM, window_s=2))
    shard.batches.add(records(1) + records(2, keep=False))
    clock.now_s += 1.5
    shard.batches.add(records(3) + records(4, keep=False))
    assert clock.now_s < shard.batches.due_s <= clock.now_s + 0.5
    assert shard.batches.done is None
    shard.batches.advance()
    assert shard.calls == [[1, 3]]
    assert shard.batches.done == "4"


def test_a_full_batch_does_not_wait(clock: Clock) -> None:
    """Further records make another batch with its own window."""
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


def test_a_failed_batch_does_not_wait_for_more_records(clock: Clock) -> None:
    """The rest of a batch and its halves are tried again as they are."""
    reported = Shard(replace(STREAM, window_s=2), poison={3})
    halved = Shard(replace(STREAM, window_s=2, bisect=True, reports_failures=False), poison={3})
    for shard in (reported, halved):
        shard.batches.add(records(1, 2, 3, 4))
        shard.batches.advance()
        assert shard.batches.due_s <= clock.now_s


def test_a_batch_is_tried_again_from_the_first_reported_failure_on() -> None:
    """The records before it are done."""
    shard = Shard(poison={2, 4})
    shard.batches.add(records(1, 2, 3, 4))
    shard.batches.advance()
    assert shard.batches.done == "1"
    shard.poison = set()
    shard.run()
    assert shard.calls == [[1, 2, 3, 4], [2, 3, 4]]
    assert shard.batches.done == "4"


def test_a_batch_is_given_up_after_its_retries_with_growing_pauses() -> None:
    """With two retries a batch is tried three times; then the next one follows."""
    shard = Shard(poison={1})
    shard.batches.add(records(1, 2, 3, 4, 5))
    pauses = shard.run()
    assert shard.calls == [[1, 2, 3, 4]] * 3 + [[5]]
    assert pauses == [0.1, 0.2, 0.0, 0.0]
    assert shard.lost() == [([1, 2, 3, 4], "RetryAttemptsExhausted")]
    assert shard.given_up[0].invocations == 3
    assert shard.batches.done == "5"


def test_progress_gives_the_rest_all_its_retries() -> None:
    """Each failing record has all retries of its own."""
    shard = Shard(poison={3})
    shard.batches.add(records(1, 2, 3, 4))
    shard.run()
    assert shard.calls == [[1, 2, 3, 4]] + [[3, 4]] * 3


def test_a_batch_that_raises_is_halved_until_the_bad_record_is_alone() -> None:
    """Halving is not a retry, and the good records are done."""
    shard = Shard(replace(STREAM, bisect=True, reports_failures=False), poison={3})
    shard.batches.add(records(1, 2, 3, 4))
    shard.run()
    assert shard.calls == [[1, 2, 3, 4], [1, 2], [3, 4], [3], [3], [3], [4]]
    assert shard.lost() == [([3], "RetryAttemptsExhausted")]
    assert shard.given_up[0].raised
    assert shard.batches.done == "4"


def test_a_batch_that_raises_stays_whole_without_bisecting() -> None:
    """All of its records are given up together."""
    shard = Shard(replace(STREAM, reports_failures=False), poison={3})
    shard.batches.add(records(1, 2, 3, 4))
    shard.run()
    assert shard.calls == [[1, 2, 3, 4]] * 3
    assert shard.lost() == [([1, 2, 3, 4], "RetryAttemptsExhausted")]


def test_without_a_limit_a_batch_is_tried_forever() -> None:
    """This is AWS's default (-1); the pauses are bounded."""
    shard = Shard(replace(STREAM, retries=-1), poison={1})
    shard.batches.add(records(1))
    pauses = [shard.batches.advance() for _ in range(2000)]
    assert not shard.batches.empty
    assert max(pauses) == batches.BACKOFF_S_MAX


def test_a_record_that_is_too_old_is_given_up_before_it_is_tried() -> None:
    """Younger records behind it are tried."""
    shard = Shard(since_s=0.0)
    shard.batches.add(records(1, 2, age_s=101) + records(3, age_s=99))
    shard.run()
    assert shard.calls == [[3]]
    assert shard.lost() == [([1, 2], "RecordAgeExceeded")]
    assert shard.batches.done == "3"


def test_a_record_does_not_age_while_the_program_is_stopped() -> None:
    """A cancellation just before a weekend off leads to a promotion on Monday."""
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
    """They contain the whole payload, so that it can be redriven later."""
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
            "shardId": "shard-1", "startSequenceNumber": "7", "endSequenceNumber": "8",
            "approximateArrivalOfFirstRecord": "1970-01-12T13:46:40Z",
            "approximateArrivalOfLastRecord": "1970-01-12T13:46:40Z", "batchSize": 2, "streamArn": "arn:stream",
        },
    }  # fmt: skip
