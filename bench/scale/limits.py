"""The limits that AWS publishes, and how the simulation reads what they leave open.

Partitions, and items, since an item is on one partition:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
New tables:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
https://repost.aws/knowledge-center/on-demand-table-throttling-dynamodb
Warm throughput:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html
Bursts: DynamoDB may save up to 300 s of unused units, "these details might change", and may use them itself. A burst
may let more through for a while, but one cannot rely on it. Here a bucket holds BURST_S of its rate.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/burst-adaptive-capacity.html
Not simulated, because no run lasts that long: hot partitions are split within minutes, and an on-demand table takes
twice its peak half an hour later:
https://aws.amazon.com/blogs/database/part-3-scaling-dynamodb-how-partitions-hot-keys-and-split-for-heat-impact-performance/
Transactions prepare and then commit each item, which costs one unit more; in between they refuse other writes:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling
A refused transaction is charged like one that happens: the more expensive reading of the documentation.
Lambda:
https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
Streams: a shard has one batch under way at a time; Lambda looks for records four times a second.
https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

from typing import Final

PARTITION_WRITES_S: Final = 1_000  # write units per second
PARTITION_READS_S: Final = 3_000  # read units per second
BURST_S: Final = 0.1  # of a partition's rate, saved while it is idle

NEW_TABLE_WRITES_S: Final = 4_000
NEW_TABLE_READS_S: Final = 12_000
TABLE_QUOTA_S: Final = 40_000  # units of either kind, for one table; a quota that AWS raises on request

WRITE_UNIT_BYTES: Final = 1_024
READ_UNIT_BYTES: Final = 4_096
TRANSACTION_FACTOR: Final = 2

ENVIRONMENTS_BURST: Final = 1_000  # a function may add at once
ENVIRONMENTS_S: Final = 100  # it may add per second after that: 1,000 in 10 s
CONCURRENCY_QUOTA: Final = 1_000  # environments of an account; a quota that AWS raises on request

POLL_S: Final = 0.25  # between two polls of an empty shard
