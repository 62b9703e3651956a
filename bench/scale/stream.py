"""Simulates the stream of Bookings and the event source mapping that reads it.

There is a shard for each partition. The promoter gets the batches of a shard in order, one at a time, and again those
records that it reports as failed. The delay between table and shard is not published, and not simulated.
"""

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from bench.scale.capacity import Throughput
from bench.scale.clock import Clock
from bench.scale.functions import Function, ThrottledError
from bench.scale.limits import POLL_S
from local import patterns
from local.template import load
from proof.expressions import Item
from proof.requests import KEYS, Key

Record = dict[str, Any]
Promoter = Callable[[Sequence[Record]], list[str]]  # returns the sequence numbers of those that failed


class Stream:
    """Passes changes of the table to the promoter."""

    def __init__(
        self, clock: Clock, chance: Random, throughput: Throughput, function: Function, promoter: Promoter
    ) -> None:
        """Begin empty, with the mapping of template.yaml."""
        mapping = load().stream("PromoteFunctionBookings")
        self._filters, self._batch_size = mapping.patterns, mapping.batch_size
        self._clock, self._chance, self._throughput = clock, chance, throughput
        self._function, self._promoter = function, promoter
        self._shards: dict[int, deque[Record]] = {}
        self._count = 0
        self.batches = 0

    def change(self, key: Key, old: Item | None, new: Item) -> None:
        """Pass on a change of the table, if a filter lets it through."""
        self._count += 1
        images = {"NewImage": new, **({"OldImage": old} if old else {})}
        keys = {name: new[name] for name in KEYS[key[0]]}
        record = {"dynamodb": {"Keys": keys, **images, "SequenceNumber": str(self._count)}}
        if not patterns.matches(self._filters, record):
            return
        shard = self._throughput.shard_of(key)
        if shard in self._shards:
            self._shards[shard].append(record)
            return
        self._shards[shard] = deque([record])
        self._clock.start(lambda: self._read(shard), self._chance.uniform(0, POLL_S))  # the next poll

    def _read(self, shard: int) -> None:
        """Pass on batch after batch, until the shard is empty."""
        records = self._shards[shard]
        while records:
            batch = [records.popleft() for _ in range(min(self._batch_size, len(records)))]
            self.batches += 1
            failed = self._handed_over(batch)
            if failed:
                first = next(n for n, one in enumerate(batch) if one["dynamodb"]["SequenceNumber"] in failed)
                records.extendleft(reversed(batch[first:]))
                self._clock.sleep(POLL_S)
        del self._shards[shard]

    def _handed_over(self, batch: list[Record]) -> set[str]:
        try:
            return set(self._function.invoke(lambda: self._promoter(batch)))
        except ThrottledError:
            return {one["dynamodb"]["SequenceNumber"] for one in batch}
