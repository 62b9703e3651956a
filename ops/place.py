"""Find the ticket office: a CloudFormation stack, or a data folder on this machine.

The environment is set as template.yaml sets it for the functions; shared/ may be imported after that. If the local
office runs, the command uses its engine, whose address is in the folder's lock. Otherwise the command starts the engine
for itself, under the same lock.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local import bus, engine, folder, template
from local.bus import BUS_VARIABLE
from local.database import Database
from local.errors import FolderInUse
from local.system import System
from ops import quotas
from ops.errors import OpsError
from ops.failed_records import Bucket, FailedRecords, Files

_BUCKET_OUTPUT = "FailedRecordsBucket"
_BUS_OUTPUT = "EventBus"


@dataclass(frozen=True, slots=True)
class Place:
    """What a command needs besides the tables; `logs` is None on AWS."""

    failed_records: FailedRecords
    logs: Path | None = None


@contextmanager
def found(stack: str | None, data: Path | None) -> Iterator[Place]:
    """Set the environment for the office of this stack or data folder, and yield the rest of it.

    Raises: OpsError; LocalError; botocore's errors.
    """
    system = template.load()
    if stack is not None:
        yield _on_aws(stack, system)
        return
    assert data is not None, "the arguments name one of the two"
    if not (data / "lock").exists():
        raise OpsError(f"{data} is no data folder of a ticket office: name it with --data DIR")
    place = Place(Files(data / "failed-records"), data / "logs")
    if running := _running(data):
        database, bus_url = running
        _adopt(database, system, bus_url)
        yield place
        return
    if not (data / "tickets.db").exists():
        raise OpsError(f"the ticket office of {data} is not running, and its tables are elsewhere")
    with engine.running(data, system) as endpoint, bus.running(data / "announcements") as bus_url:
        _adopt(Database.embedded(endpoint), system, bus_url)
        yield place


def _on_aws(stack: str, system: System) -> Place:
    outputs = quotas.stack(stack).outputs
    needed = {table.name for table in system.tables} | {_BUCKET_OUTPUT, _BUS_OUTPUT}
    if missing := sorted(needed - outputs.keys()):
        raise OpsError(f"the stack {stack} is no ticket office: it has no output {missing[0]}")
    _set_environment(system, outputs)
    tables = quotas.client("dynamodb").meta  # a profile may set region and endpoint; shared/ reads variables
    os.environ |= {"AWS_REGION": tables.region_name, "AWS_ENDPOINT_URL_DYNAMODB": tables.endpoint_url}
    os.environ[BUS_VARIABLE] = quotas.client("events").meta.endpoint_url
    return Place(Bucket(quotas.client("s3"), outputs[_BUCKET_OUTPUT]))


def _running(data: Path) -> tuple[Database, str] | None:
    """Return the database and the event bus of the program that uses the folder; None if none does."""
    try:
        with folder.opened(data):
            return None
    except FolderInUse as error:
        if error.database is None:
            raise OpsError(f"{error}, which is starting or stopping: try again") from None
        return Database.announced(error.database), error.bus or ""


def _adopt(database: Database, system: System, bus_url: str) -> None:
    database.adopt()
    os.environ[BUS_VARIABLE] = bus_url
    _set_environment(system, {})


def _set_environment(system: System, outputs: Mapping[str, str]) -> None:
    """Set the functions' variables. The outputs have the names that the tables have in the template."""
    for function in system.functions.values():
        os.environ.update({name: outputs.get(value, value) for name, value in function.environment.items()})
    os.environ["POWERTOOLS_LOG_LEVEL"] = "CRITICAL"  # the log lines of shared/ are for CloudWatch
