"""The throughput of a table: its partitions with their limits, and how keys hash to them.

A table has as many partitions as its warm throughput needs, and no run lasts long enough for it to get more. They share
the hashes evenly. Where a key lies depends on its hash, so several of 64 keys share a partition while other partitions
have none.
"""

import hashlib
from functools import lru_cache
from math import ceil

from bench.scale.limits import (
    BURST_S,
    NEW_TABLE_READS_S,
    NEW_TABLE_WRITES_S,
    PARTITION_READS_S,
    PARTITION_WRITES_S,
    TABLE_QUOTA_S,
)
from proof.requests import Key

_HASHES = 2**32


@lru_cache(maxsize=100_000)
def hash_of(partition: str) -> int:
    """Hash a partition key. Which hash DynamoDB uses is not published; any good one spreads alike."""
    return int.from_bytes(hashlib.md5(partition.encode(), usedforsecurity=False).digest()[:4])


class Bucket:
    """A token bucket: units arrive at a rate and are kept up to a depth. A request is let in while there are any."""

    def __init__(self, rate_s: float, depth_s: float = BURST_S) -> None:
        """Begin full."""
        self._rate_s = rate_s
        self._depth = rate_s * depth_s
        self._units: float = self._depth
        self._at_s = 0.0

    def has_any(self, now_s: float) -> bool:
        """Tell whether there are units left."""
        self._units = min(self._depth, self._units + self._rate_s * (now_s - self._at_s))
        self._at_s = now_s
        return self._units > 0

    def take(self, units: int) -> None:
        """Take the units of a request, even if there are fewer: its cost is known only afterwards."""
        self._units -= units


class Throughput:
    """The throughput of one table."""

    def __init__(
        self, writes_s: int = NEW_TABLE_WRITES_S, reads_s: int = NEW_TABLE_READS_S, *, quota_s: int = TABLE_QUOTA_S
    ) -> None:
        """Begin with this warm throughput, which is neither below that of a new table nor above the quota."""
        assert writes_s <= quota_s, "warm throughput above the quota of a table: raise both"
        writes_s, reads_s = max(writes_s, NEW_TABLE_WRITES_S), max(reads_s, NEW_TABLE_READS_S)
        count = max(ceil(writes_s / PARTITION_WRITES_S), ceil(reads_s / PARTITION_READS_S))
        self._table = {"writes": Bucket(writes_s), "reads": Bucket(reads_s)}
        self.partitions = [
            {"writes": Bucket(PARTITION_WRITES_S), "reads": Bucket(PARTITION_READS_S)} for _ in range(count)
        ]
        self.limited = True  # False while a run is prepared

    def shard_of(self, key: Key) -> int:
        """Return the number of the partition that a key lies on."""
        return ((hash_of(str(key[1][0])) + 1) * len(self.partitions) - 1) // _HASHES

    def lets_in(self, kind: str, key: Key, now_s: float) -> bool:
        """Tell whether a request of this kind, "writes" or "reads", is let in, or throttled."""
        if not self.limited:
            return True
        return self._table[kind].has_any(now_s) and self.partitions[self.shard_of(key)][kind].has_any(now_s)

    def take(self, kind: str, key: Key, units: int) -> None:
        """Take the units of a request that was let in."""
        if self.limited:
            self.partitions[self.shard_of(key)][kind].take(units)
            self._table[kind].take(units)
