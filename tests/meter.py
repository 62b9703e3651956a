"""Counts what a piece of work asks of DynamoDB: requests, and capacity units as the engine reports them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from shared.dynamodb import client

WRITES = {"TransactWriteItems", "UpdateItem", "PutItem", "DeleteItem"}


@dataclass
class Meter:
    """The requests made so far, by name and in order, with the read and write units they took."""

    requests: list[str] = field(default_factory=list)
    read_units: float = 0
    write_units: float = 0

    def ask_for_capacity(self, params: dict[str, Any], **_: Any) -> None:
        """Have the answer say what it took."""
        params["ReturnConsumedCapacity"] = "TOTAL"

    def count(self, model: Any, parsed: dict[str, Any], **_: Any) -> None:
        """Add one answer."""
        self.requests.append(model.name)
        consumed = parsed.get("ConsumedCapacity", [])
        units = sum(one["CapacityUnits"] for one in (consumed if isinstance(consumed, list) else [consumed]))
        if model.name in WRITES:
            self.write_units += units
        else:
            self.read_units += units


@contextmanager
def metered() -> Iterator[Meter]:
    """Meter the office's own client while the block runs."""
    meter = Meter()
    client.meta.events.register("provide-client-params.dynamodb", meter.ask_for_capacity)
    client.meta.events.register("after-call.dynamodb", meter.count)
    try:
        yield meter
    finally:
        client.meta.events.unregister("provide-client-params.dynamodb", meter.ask_for_capacity)
        client.meta.events.unregister("after-call.dynamodb", meter.count)
