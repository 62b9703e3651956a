"""How much a table takes: its partitions with their limits, how keys hash to them, and how it grows.

A table begins with as many partitions as its warm throughput needs, which is also what a new one is said to have. They
share the hashes evenly; where a key lies is for its hash to say, so of 64 keys several share a partition while others
have none.
"""

import hashlib
from bisect import bisect_right
from collections import Counter
from itertools import pairwise
from math import ceil

from bench.scale.limits import (
    BURST_S,
    DOUBLING_S,
    HEAT_FORGOTTEN_AFTER_S,
    NEW_TABLE_READS_S,
    NEW_TABLE_WRITES_S,
    PARTITION_READS_S,
    PARTITION_WRITES_S,
    SPLIT_AFTER_S,
    TABLE_QUOTA_S,
)

HASHES = 2**32


def hash_of(key: str) -> int:
    """Return a key's place among HASHES. Which hash DynamoDB uses is not published; any good one spreads alike."""
    return int.from_bytes(hashlib.md5(key.encode(), usedforsecurity=False).digest()[:4])


class Bucket:
    """Units that come at a rate and are kept up to a depth. A request is let in while there are any."""

    def __init__(self, rate_s: float, depth_s: float) -> None:
        """Begin full."""
        self.rate_s = rate_s
        self._depth = rate_s * depth_s
        self._units: float = self._depth
        self._at_s = 0.0

    def has_any(self, now_s: float) -> bool:
        """Tell whether it lets a request in."""
        self._units = min(self._depth, self._units + self.rate_s * (now_s - self._at_s))
        self._at_s = now_s
        return self._units > 0

    def take(self, units: int) -> None:
        """Take what the request cost, known only when it is done, even if that is more than there is."""
        self._units -= units


class Partition:
    """A range of hashes, from `low` to where the next one begins."""

    def __init__(self, low: int, burst_s: float) -> None:
        """Begin idle."""
        self.low = low
        self.writes = Bucket(PARTITION_WRITES_S, burst_s)
        self.reads = Bucket(PARTITION_READS_S, burst_s)
        self.taken: Counter[int] = Counter()  # units by hash, of one that is hot
        self.throttled = 0
        self._hot_since_s = 0.0
        self._throttled_at_s = float("-inf")

    def note(self, hashed: int, units: int) -> None:
        """Remember which keys make a hot partition hot."""
        if self.throttled:
            self.taken[hashed] += units

    def throttle(self, now_s: float) -> bool:
        """Note that a request was refused; tell whether that has gone on for so long that the partition is split."""
        if now_s - self._throttled_at_s > HEAT_FORGOTTEN_AFTER_S:
            self._hot_since_s = now_s
        self._throttled_at_s = now_s
        self.throttled += 1
        return now_s - self._hot_since_s >= SPLIT_AFTER_S


class Throughput:
    """What one table takes."""

    def __init__(
        self,
        writes_s: int = NEW_TABLE_WRITES_S,
        reads_s: int = NEW_TABLE_READS_S,
        *,
        burst_s: float = BURST_S,
        quota_s: int = TABLE_QUOTA_S,
    ) -> None:
        """Begin with this warm throughput, which is not below that of a new table, nor above the quota."""
        assert writes_s <= quota_s, "warm throughput above the quota of a table: raise both"
        self._burst_s = burst_s
        self._quota_s = quota_s
        self._warm = {"writes": max(writes_s, NEW_TABLE_WRITES_S), "reads": max(reads_s, NEW_TABLE_READS_S)}
        count = max(ceil(self._warm["writes"] / PARTITION_WRITES_S), ceil(self._warm["reads"] / PARTITION_READS_S))
        self.partitions = [Partition(HASHES * number // count, burst_s) for number in range(count)]
        self._lows = [partition.low for partition in self.partitions]
        self._table = {kind: Bucket(rate_s, burst_s) for kind, rate_s in self._warm.items()}
        self._window, self._second = 0, 0
        self._peak: Counter[str] = Counter()
        self._now_taken: Counter[str] = Counter()
        self.limited = True  # False while a run is prepared

    def shard_of(self, hashed: int) -> int:
        """Return the number of the partition that a key lies on."""
        return bisect_right(self._lows, hashed) - 1

    def lets_in(self, kind: str, hashed: int, now_s: float) -> bool:
        """Tell whether a request of this kind, "writes" or "reads", is let in, or throttled."""
        if not self.limited:
            return True
        self._grow(now_s)
        if not self._table[kind].has_any(now_s):
            return False
        partition = self.partitions[self.shard_of(hashed)]
        bucket = partition.writes if kind == "writes" else partition.reads
        if bucket.has_any(now_s):
            return True
        if partition.throttle(now_s):
            self._split(partition)
        return False

    def take(self, kind: str, hashed: int, units: int) -> None:
        """Take what a request cost that was let in."""
        if not self.limited:
            return
        partition = self.partitions[self.shard_of(hashed)]
        (partition.writes if kind == "writes" else partition.reads).take(units)
        partition.note(hashed, units)
        self._table[kind].take(units)
        self._now_taken[kind] += units

    def _split(self, partition: Partition) -> None:
        """Split a hot partition so that each part has half of its heat. What one key makes hot stays as it is."""
        keys = sorted(partition.taken)
        half, below = partition.taken.total() / 2, 0.0
        for key, following in pairwise(keys):
            below += partition.taken[key]
            if below >= half or following == keys[-1]:
                self._add(following)
                break
        partition.taken.clear()
        partition.throttled = 0

    def _add(self, low: int) -> None:
        place = bisect_right(self._lows, low)
        self._lows.insert(place, low)
        self.partitions.insert(place, Partition(low, self._burst_s))

    def _grow(self, now_s: float) -> None:
        """Take twice the highest peak of the half hours before this one, on as many partitions more."""
        if int(now_s) != self._second:
            for kind, units in self._now_taken.items():
                self._peak[kind] = max(self._peak[kind], units)
            self._now_taken.clear()
            self._second = int(now_s)
        if int(now_s / DOUBLING_S) == self._window:
            return
        self._window = int(now_s / DOUBLING_S)
        for kind, peak in self._peak.items():
            wanted = min(self._quota_s, 2 * peak)
            if wanted > self._warm[kind]:
                self._warm[kind] = wanted
                self._table[kind] = Bucket(wanted, self._burst_s)
        wanted = max(ceil(self._warm["writes"] / PARTITION_WRITES_S), ceil(self._warm["reads"] / PARTITION_READS_S))
        while len(self.partitions) < wanted:
            bounds = [*self._lows, HASHES]
            widest = max(range(len(self._lows)), key=lambda place: bounds[place + 1] - bounds[place])
            self._add((bounds[widest] + bounds[widest + 1]) // 2)
