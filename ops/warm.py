"""warm: make the tables ready for an on-sale, by raising their warm throughput.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html

AWS charges once for the units that are added, by the price of provisioned capacity in the region
(https://aws.amazon.com/dynamodb/pricing/on-demand/). The dollars here are an estimate: the price of a provisioned unit
for an hour in us-east-1, as public sources gave it in November 2026. AWS's own page could not be read then.
"""

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ops import quotas
from ops.errors import OpsError
from ops.quotas import Quota
from shared.model import HOLD_SHARDS, STRIPES_MAX

WRITES_PER_BOOKING: Final = 20  # docs/scale.md, "Warm throughput": keys do not spread evenly
READS_PER_WRITE: Final = 3
COLD_PER_S: Final = 1_000  # so many bookings a second need no warm table
ITEM_WRITES: Final = 1_000  # the most that a partition, and so a key, takes in a second
# A table or index with few keys cannot use more: a waiting list has a key for each stripe and one for its counter, and
# the sweep's index has one for each event.
WRITES_MAX: Final = {
    "WaitingListTable": ITEM_WRITES * (STRIPES_MAX + 1),
    "holdsByExpiry": ITEM_WRITES * HOLD_SHARDS,
    "toSweep": ITEM_WRITES,
}
PRICED_REGION: Final = "us-east-1"
WRITE_UNIT_USD: Final = 0.00065
READ_UNIT_USD: Final = 0.00013
TABLES: Final = ("LanesTable", "BookingsTable", "WaitingListTable")  # by output; an event's own item is written seldom

_DONE, _TOO_LITTLE = 0, 1


@dataclass(frozen=True, slots=True)
class Units:
    """Write and read units a second."""

    writes: int
    reads: int

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> "Units":
        """Read them from DynamoDB's description of a table or an index."""
        warm = described.get("WarmThroughput", {})
        return cls(warm.get("WriteUnitsPerSecond", 0), warm.get("ReadUnitsPerSecond", 0))

    @property
    def usd(self) -> int:
        """Return what adding these units costs once, in whole dollars, rounded up."""
        return math.ceil(self.writes * WRITE_UNIT_USD + self.reads * READ_UNIT_USD)

    def at_least(self, other: "Units") -> "Units":
        """Return the larger of each: warm throughput cannot be lowered."""
        return Units(max(self.writes, other.writes), max(self.reads, other.reads))


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to raise: a table, or one of its indexes."""

    table: str  # its output
    name: str
    index: str | None
    now: Units
    planned: Units


def needed(table_or_index: str, bookings_per_s: int) -> Units:
    """Return what a table or an index needs for so many bookings a second of one event."""
    writes = WRITES_PER_BOOKING * bookings_per_s if bookings_per_s > COLD_PER_S else 0
    writes = min(writes, WRITES_MAX.get(table_or_index, writes))
    return Units(writes, READS_PER_WRITE * writes)


def run(stack: str, bookings_per_s: int, *, dry_run: bool) -> int:
    """Show what is planned, and do it; return the exit code, 1 if a quota is too small."""
    outputs = quotas.stack(stack).outputs
    if missing := [table for table in TABLES if table not in outputs]:
        raise OpsError(f"the stack {stack} is no ticket office: it has no output {missing[0]}")
    database = quotas.client("dynamodb")
    limit = Units(quotas.of_account(Quota.TABLE_WRITES), quotas.of_account(Quota.TABLE_READS))
    plans = [plan for table in TABLES for plan in _plans(database, table, outputs[table], bookings_per_s)]
    for plan in plans:
        what = f"{plan.table}/{plan.index}" if plan.index else plan.table
        _tell(f"{what:<27} {_units(plan.now)} now, {_units(plan.planned)} planned")
    _tell(f"{'quota of each':<27} {_units(limit)}")
    largest = Units(0, 0)
    for plan in plans:
        largest = largest.at_least(plan.planned)
    if largest.at_least(limit) != limit:
        codes = f"{Quota.TABLE_WRITES.code}, {Quota.TABLE_READS.code}"
        _tell(f"Request {_units(largest)} for each table first: quotas {codes}")
        return _TOO_LITTLE
    raised = [plan for plan in plans if plan.planned != plan.now]
    more = Units(
        sum(plan.planned.writes - plan.now.writes for plan in raised),
        sum(plan.planned.reads - plan.now.reads for plan in raised),
    )
    _tell(f"Charged once, for what is added: {_units(more)}, about ${more.usd:,} in {PRICED_REGION}")
    for table in dict.fromkeys(plan.name for plan in raised):
        if not dry_run:
            database.update_table(TableName=table, **_update([plan for plan in raised if plan.name == table]))
    _tell(
        "Nothing is changed."
        if dry_run or not raised
        else "DynamoDB warms them now; run this again to see when it is done."
    )
    return _DONE


def _plans(database: Any, table: str, name: str, bookings_per_s: int) -> Iterator[_Plan]:
    described = database.describe_table(TableName=name)["Table"]
    for index in (None, *described.get("GlobalSecondaryIndexes", ())):
        now = Units.of(index or described)  # an index that throttles refuses the table's writes
        index_name = index and index["IndexName"]
        planned = now.at_least(needed(index_name or table, bookings_per_s))
        yield _Plan(table, name, index_name, now, planned)


def _update(plans: list[_Plan]) -> dict[str, Any]:
    """Return the arguments of UpdateTable for a table and its indexes."""
    arguments: dict[str, Any] = {}
    for plan in plans:
        warm = {"WriteUnitsPerSecond": plan.planned.writes, "ReadUnitsPerSecond": plan.planned.reads}
        if plan.index is None:
            arguments["WarmThroughput"] = warm
        else:
            update = {"Update": {"IndexName": plan.index, "WarmThroughput": warm}}
            arguments.setdefault("GlobalSecondaryIndexUpdates", []).append(update)
    return arguments


def _units(units: Units) -> str:
    return f"{units.writes:,} write and {units.reads:,} read units"


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
