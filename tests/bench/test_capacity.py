"""The limits of a simulated table. Each test is told the limit that it defends; none passes without it."""

import pytest

from bench.scale.capacity import Throughput
from bench.scale.limits import NEW_TABLE_READS_S, NEW_TABLE_WRITES_S, PARTITION_READS_S, PARTITION_WRITES_S
from proof.requests import Key

AMPLE = {"writes_s": 40_000, "reads_s": 120_000}


def key(number: int) -> Key:
    """Return one of many keys."""
    return "LanesTable", (f"event#{number}",)


MANY = [key(number) for number in range(1_000)]
HOT = key(7)
BESIDE_HOT = next(one for one in MANY if one != HOT and Throughput().shard_of(one) == Throughput().shard_of(HOT))


def taken_s(throughput: Throughput, kind: str, keys: list[Key], rate_s: int) -> float:
    """Ask for one unit so many times a second, of each key in turn, for four seconds; return what the last two let in.

    What was saved up is used by then.
    """
    let_in = 0
    for n in range(rate_s * 4):
        if throughput.lets_in(kind, keys[n % len(keys)], n / rate_s):
            throughput.take(kind, keys[n % len(keys)], 1)
            let_in += n >= rate_s * 2
    return let_in / 2


@pytest.mark.parametrize(("kind", "limit_s"), [("writes", PARTITION_WRITES_S), ("reads", PARTITION_READS_S)])
def test_a_key_has_the_limit_of_a_partition(kind: str, limit_s: int) -> None:
    """1,000 write or 3,000 read units a second, even if the table has more."""
    assert taken_s(Throughput(**AMPLE), kind, [HOT], 2 * limit_s) == pytest.approx(limit_s, rel=0.01)


@pytest.mark.parametrize(("kind", "limit_s"), [("writes", NEW_TABLE_WRITES_S), ("reads", NEW_TABLE_READS_S)])
def test_a_new_table_has_the_limit_of_a_new_table(kind: str, limit_s: int) -> None:
    """4,000 write or 12,000 read units a second, over keys that lie on all its partitions."""
    assert taken_s(Throughput(), kind, MANY, 2 * limit_s) == pytest.approx(limit_s, rel=0.02)


def test_a_table_takes_no_more_than_its_warm_throughput() -> None:
    """Even if its partitions could: the reads need more partitions than the writes."""
    throughput = Throughput(5_000, 60_000, quota_s=60_000)
    assert len(throughput.partitions) == 20
    assert taken_s(throughput, "writes", MANY, 10_000) == pytest.approx(5_000, rel=0.01)


def test_keys_of_one_partition_share_its_limit() -> None:
    """Two hot lanes that hash to the same partition."""
    assert taken_s(Throughput(), "writes", [HOT, BESIDE_HOT], 2_000) == pytest.approx(1_000, rel=0.01)


def test_no_table_begins_above_its_quota() -> None:
    """Warm throughput above it needs a higher quota first."""
    with pytest.raises(AssertionError, match="quota"):
        Throughput(50_000)
