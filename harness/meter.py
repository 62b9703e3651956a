"""Counts the requests that a piece of work sends to DynamoDB, and the capacity units that the engine reports."""

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
    """The names of the requests so far, in order, and the read and write units that they consumed."""

    requests: list[str] = field(default_factory=list)
    read_units: float = 0
    write_units: float = 0
    refused_items: int = 0  # in refused transactions, whose responses report no units

    def count(self, operation: str, response: dict[str, Any]) -> None:
        """Add one response."""
        self.requests.append(operation)
        consumed = response.get("ConsumedCapacity", [])
        units = sum(one["CapacityUnits"] for one in (consumed if isinstance(consumed, list) else [consumed]))
        if operation in WRITES:
            self.write_units += units
        else:
            self.read_units += units


class _Metered(Client):
    """A client that asks for the consumed units in each response."""

    meter: Meter

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            response = super().call(operation, {**request, "ReturnConsumedCapacity": "TOTAL"})
        except RequestFailed:
            self.meter.count(operation, {})
            self.meter.refused_items += len(request.get("TransactItems", []))
            raise
        self.meter.count(operation, response)
        return response


@contextmanager
def metered() -> Iterator[Meter]:
    """Meter the office's requests while the block runs."""
    client = _Metered.of_environment()
    client.meter = Meter()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime.current, "client", client)
        yield client.meter
    client.connection.close()
