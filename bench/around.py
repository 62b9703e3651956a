"""Runs the functions of the office in this process: their environment, and an engine.

shared/ reads its environment at import, so importing this sets what template.yaml gives every function, unless it is
set, as in tests. It must be imported before anything that imports shared/; by the alphabet it is.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local import engine
from local.database import Database
from local.template import load

if "EVENTS_TABLE" not in os.environ:
    os.environ.update(load().functions["BookFunction"].environment, POWERTOOLS_LOG_LEVEL="ERROR")
    os.environ["FAILED_RECORDS"] = "./"  # no bucket: a folder without failed records
    Database.embedded("http://127.0.0.1:1").adopt()  # until there is one

from harness.running import client_of
from shared import runtime
from shared.store import dynamodb


@contextmanager
def office_on(data: Path | None = None) -> Iterator[Any]:
    """Start an engine for the office, on a folder or in memory, with cold functions. Yield a client of it."""
    before = runtime.current.client, os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    with engine.running(data) as endpoint:
        os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = endpoint
        runtime.current.client = None  # the next one finds this engine
        runtime.current.memory.clear()
        try:
            yield client_of(endpoint)
        finally:
            dynamodb.client().connection.close()
            runtime.current.client, os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = before
