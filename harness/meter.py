"""Counts what a piece of work asks of DynamoDB: requests, and capacity units as the engine reports them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared import runtime
from shared.store.aws_client import Client, RequestFailed

WRITES = {"TransactWriteItems", "UpdateItem", "PutItem", "DeleteItem"}


@dataclass
class Meter:
    """The requests made so far, by name and in order, with the read and write units they took."""

    requests: list[str] = field(default_factory=list)
    read_units: float = 0
    write_units: float = 0
    refused_items: int = 0  # of transactions that a condition refused; the answer does not say what they took

    def count(self, operation: str, answer: dict[str, Any]) -> None:
        """Add one answer."""
        self.requests.append(operation)
        consumed = answer.get("ConsumedCapacity", [])
        units = sum(one["CapacityUnits"] for one in (consumed if isinstance(consumed, list) else [consumed]))
        if operation in WRITES:
            self.write_units += units
        else:
            self.read_units += units


class _Metered(Client):
    """A client that has each answer say what it took."""

    meter: Meter

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            answer = super().call(operation, {**request, "ReturnConsumedCapacity": "TOTAL"})
        except RequestFailed:
            self.meter.count(operation, {})
            self.meter.refused_items += len(request.get("TransactItems", []))
            raise
        self.meter.count(operation, answer)
        return answer


@contextmanager
def metered() -> Iterator[Meter]:
    """Meter the office's requests while the block runs."""
    client = _Metered.of_environment()
    client.meter = Meter()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime.current, "client", client)
        yield client.meter
    client.connection.close()
