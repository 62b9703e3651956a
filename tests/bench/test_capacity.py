"""The limits of a simulated table. Each test is told the limit that it defends; none passes without it."""

from collections import Counter
from itertools import count

import pytest

from bench.scale.capacity import HASHES, Throughput, hash_of
from bench.scale.limits import (
    BURST_MAX_S,
    DOUBLING_S,
    NEW_TABLE_READS_S,
    NEW_TABLE_WRITES_S,
    PARTITION_READS_S,
    PARTITION_WRITES_S,
    SPLIT_AFTER_S,
)

LOAD_S = 100  # attempts for each unit of the limit would be too many; enough to be over every limit here
AMPLE = {"writes_s": 40_000, "reads_s": 120_000}


def taken_s(throughput: Throughput, kind: str, keys: list[int], *, rate_s: int, begin_s: float, seconds: int) -> float:
    """Ask for one unit so many times a second, of each key in turn; return how many a second were let in."""
    let_in = 0
    for n in range(rate_s * seconds):
        hashed = keys[n % len(keys)]
        if throughput.lets_in(kind, hashed, begin_s + n / rate_s):
            throughput.take(kind, hashed, 1)
            let_in += 1
    return let_in / seconds


@pytest.mark.parametrize(("kind", "limit_s"), [("writes", PARTITION_WRITES_S), ("reads", PARTITION_READS_S)])
def test_a_key_takes_what_a_partition_takes(kind: str, limit_s: int) -> None:
    """1,000 write or 3,000 read units a second, whatever the table has."""
    throughput = Throughput(**AMPLE)
    taken_s(throughput, kind, [7], rate_s=2 * limit_s, begin_s=0, seconds=2)  # what was saved is gone
    assert taken_s(throughput, kind, [7], rate_s=2 * limit_s, begin_s=2, seconds=3) == pytest.approx(limit_s, rel=0.01)


@pytest.mark.parametrize(("kind", "limit_s"), [("writes", NEW_TABLE_WRITES_S), ("reads", NEW_TABLE_READS_S)])
def test_a_new_table_takes_what_a_new_table_takes(kind: str, limit_s: int) -> None:
    """4,000 write or 12,000 read units a second, however even the keys."""
    throughput, keys = Throughput(), [HASHES * n // 64 for n in range(64)]
    taken_s(throughput, kind, keys, rate_s=2 * limit_s, begin_s=0, seconds=2)
    assert taken_s(throughput, kind, keys, rate_s=2 * limit_s, begin_s=2, seconds=2) == pytest.approx(limit_s, rel=0.01)


def test_a_table_takes_no_more_than_its_warm_throughput() -> None:
    """Although its partitions would: reads brought more of them than writes need."""
    throughput, keys = Throughput(5_000, 60_000, quota_s=60_000), [HASHES * n // 64 for n in range(64)]
    assert len(throughput.partitions) == 20
    taken_s(throughput, "writes", keys, rate_s=10_000, begin_s=0, seconds=2)
    assert taken_s(throughput, "writes", keys, rate_s=10_000, begin_s=2, seconds=1) == pytest.approx(5_000, rel=0.01)


def test_what_was_not_used_may_be_used_later_where_bursts_are_counted_on() -> None:
    """Up to 300 s of it, once."""
    throughput = Throughput(**AMPLE, burst_s=BURST_MAX_S)
    assert taken_s(throughput, "writes", [7], rate_s=20_000, begin_s=0, seconds=1) == 20_000
    saved = PARTITION_WRITES_S * BURST_MAX_S
    throughput.take("writes", 7, round(saved))
    assert not throughput.lets_in("writes", 7, 1.0)


def test_keys_of_one_partition_share_what_it_takes() -> None:
    """Two hot lanes that hash to the same partition."""
    throughput = Throughput()
    taken_s(throughput, "writes", [7, 8], rate_s=2_000, begin_s=0, seconds=2)
    assert taken_s(throughput, "writes", [7, 8], rate_s=2_000, begin_s=2, seconds=2) == pytest.approx(1_000, rel=0.01)


def heat_s(throughput: Throughput, keys: list[int], until_s: float) -> None:
    """Keep the keys hot, with a look every second."""
    for second in range(int(until_s)):
        taken_s(throughput, "writes", keys, rate_s=1_200, begin_s=second, seconds=1)


def test_a_partition_that_stays_hot_is_split_between_its_keys() -> None:
    """Not at once: in minutes."""
    throughput = Throughput(**AMPLE)
    heat_s(throughput, [7, 8], SPLIT_AFTER_S - 10)
    assert len(throughput.partitions) == 40
    for second in range(int(SPLIT_AFTER_S) - 10, int(SPLIT_AFTER_S) + 10):
        taken_s(throughput, "writes", [7, 8], rate_s=1_200, begin_s=second, seconds=1)
    assert len(throughput.partitions) == 41
    assert throughput.shard_of(7) != throughput.shard_of(8)


def test_one_hot_key_is_never_split() -> None:
    """A counter, or a waiting list, stays what it is."""
    throughput = Throughput(**AMPLE)
    heat_s(throughput, [7], SPLIT_AFTER_S + 60)
    assert len(throughput.partitions) == 40


def test_a_table_takes_twice_its_peak_after_half_an_hour() -> None:
    """And not before; on as many partitions more."""
    throughput, keys = Throughput(), [HASHES * n // 256 for n in range(256)]
    half_s = DOUBLING_S / 2
    assert taken_s(throughput, "writes", keys, rate_s=3_500, begin_s=half_s, seconds=2) == 3_500
    taken_s(throughput, "writes", keys, rate_s=9_000, begin_s=half_s + 2, seconds=2)
    assert taken_s(throughput, "writes", keys, rate_s=9_000, begin_s=half_s + 4, seconds=2) == NEW_TABLE_WRITES_S
    later = taken_s(throughput, "writes", keys, rate_s=7_500, begin_s=DOUBLING_S + 1, seconds=3)
    assert later == 7_500
    assert len(throughput.partitions) >= 8


def test_no_table_begins_above_its_quota() -> None:
    """Warm throughput beyond it needs a higher quota first."""
    with pytest.raises(AssertionError, match="quota"):
        Throughput(50_000)


def test_keys_spread_over_partitions_by_chance() -> None:
    """64 keys on 64 partitions: none has them all, some have several."""
    throughput = Throughput(40_000, 120_000)
    keys = (f"event#{n}" for n in count())
    found = Counter(throughput.shard_of(hash_of(next(keys))) for _ in range(64))
    assert 3 <= max(found.values()) <= 9
    assert len(found) > 25
