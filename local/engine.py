"""The embedded database: dynoxide, a DynamoDB-compatible engine in one binary that uses one SQLite file."""

import os
import platform
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from local import PROJECT, gate, guard
from local.database import Database
from local.errors import EngineError
from local.folder import opened
from local.parts import Process, wait_until_ready
from local.system import System
from local.template import load
from shared.store.aws_client import Client, RequestFailed

HOST = gate.HOST
_PACKAGES = PROJECT / "node_modules" / "@dynoxide"
_START_S_MAX = 10.0  # it takes 35 ms, and longer under load
_STOP_S_MAX = 1.0
_ACTIVE_S_MAX = 10.0  # until a new table can be used
_CHECK_S_MAX = 1.0  # a large file is checked only in part
_PORTS = range(20_000, 32_000)  # below the ports that the system gives to clients
_PORT_TRIES = 50


class Engine(Process):
    """One engine process with its file and port, which it keeps when it is started again."""

    def __init__(self, database: Path, log: Path, *, is_private: bool = True) -> None:
        """Find the engine, and refuse a damaged file; a private one is closed to other users and to web pages.

        Raises: EngineError.
        """
        self._binary = find()
        super().__init__("engine", log)
        _check_file(database)
        self._database = database
        self._port = _free_port()
        self._gate = gate.opened(self._port) if is_private else None

    @property
    def endpoint(self) -> str:
        """The URL at which it answers."""
        return f"http://{HOST}:{self._port}"

    def start(self) -> None:
        """Start the process without waiting for it. Raises: OSError."""
        self._close_lifeline()
        command = [self._binary, "serve", "--host", HOST, "--port", str(self._port), "--db-path", str(self._database)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), *command],
                stdin=subprocess.PIPE,  # tells the guard that this process lives
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C reaches only the program, which stops its parts in order
                # The engine serves one request at a time, so more threads would wait for each other. tokio reads this.
                env=os.environ | {"TOKIO_WORKER_THREADS": "1"},
            )
        if self._gate:
            self._gate.watch(self._process.pid)

    def is_ready(self) -> bool:
        """Return whether it accepts connections, of this user alone if it is private."""
        if self._gate and not self._gate.failure:
            return self._gate.is_shut
        try:
            socket.create_connection((HOST, self._port), timeout=1.0).close()
        except OSError:
            return False
        return True

    @property
    def exposure(self) -> str:
        """Why other users and web pages can reach the engine; empty if they cannot."""
        return self._gate.failure if self._gate else f"{sys.platform} has no means to close it"

    def stop(self) -> None:
        """Stop it; SQLite keeps every acknowledged write, however the process ends."""
        self.terminate()
        self.wait(time.monotonic() + _STOP_S_MAX)
        self._close_lifeline()
        if self._gate:
            self._gate.close()

    def _close_lifeline(self) -> None:
        if self._process and self._process.stdin:
            self._process.stdin.close()


@contextmanager
def running(data_dir: Path | None = None, system: System | None = None) -> Iterator[str]:
    """Run an engine with the template's tables; yield its endpoint.

    On a data folder it is private; on a temporary one (None) any program may use it.
    It ends at the latest with the thread that entered (Linux) or with the process. Raises: LocalError.
    """
    with opened(data_dir) as folder:
        engine = Engine(folder.database, folder.logs / "engine.log", is_private=data_dir is not None)
        engine.start()
        try:
            wait_until_ready([engine], time.monotonic() + _START_S_MAX)
            create_tables(Database.embedded(engine.endpoint), system or load())
            index_stream(folder.database)
            yield engine.endpoint
        finally:
            engine.stop()


def find() -> str:
    """Return the engine's binary: from the project's npm package, otherwise from PATH.

    Raises: EngineError, which says how to get it.
    """
    for candidate in sorted(_PACKAGES.glob("*/dynoxide")):
        if os.access(candidate, os.X_OK):
            return str(candidate)
    if on_path := shutil.which("dynoxide"):
        return on_path
    raise EngineError(f"the database engine is missing: {_how_to_get_it()}, or give --endpoint URL of another DynamoDB")


def _how_to_get_it() -> str:
    """Return the one command that gets the engine on this machine, by the installers that are on PATH."""
    has_binary = (sys.platform, platform.machine()) == ("linux", "x86_64")  # among the packages that npm has locked
    commands = {
        "npm": "npm ci" if has_binary else "npm install --no-save dynoxide@1.2.1",
        "brew": "brew install nubo-db/tap/dynoxide",
        "cargo": "cargo install dynoxide-rs",
    }
    for program, command in commands.items():
        if shutil.which(program):
            return f"run `{command}`"
    image = "ghcr.io/nubo-db/dynoxide"
    return f"run `docker run --rm -p 127.0.0.1:8000:8000 {image}` and start with --endpoint http://127.0.0.1:8000"


def create_tables(database: Database, system: System) -> list[str]:
    """Make the template's missing tables, wait for them, and return their names; safe to repeat.

    Raises: EngineError for an existing table that differs from the template; NoResponse; RequestFailed.
    """
    client = database.aws_client()
    with closing(client.connection):
        made = []
        for table in system.tables:
            found = _describe(client, table.name)
            if found is None:
                client.call("CreateTable", table.arguments)
                made.append(table.name)
            else:
                _check_table(table.name, table.arguments, found)
        deadline = time.monotonic() + _ACTIVE_S_MAX
        for name in made:
            while (_describe(client, name) or {}).get("TableStatus") != "ACTIVE":
                if time.monotonic() > deadline:
                    raise EngineError(f"the table {name} does not become active within {_ACTIVE_S_MAX:.0f} s")
                time.sleep(0.2)
    return made


def index_stream(database: Path) -> None:
    """Add the index that the engine's stream lacks: without it each write reads the whole stream.

    In dynoxide 1.2.1 `next_stream_sequence_number` takes 3.2 ms at 12,000 records without it, 0.007 ms with it.
    """
    with closing(sqlite3.connect(database, timeout=5.0)) as connection:
        connection.execute(
            "CREATE INDEX IF NOT EXISTS _stream_records_by_sequence"
            " ON _stream_records (table_name, CAST(sequence_number AS INTEGER))"
        )
        connection.commit()


def _check_file(database: Path) -> None:
    """Refuse a damaged database, with which the engine would answer every request with an error."""
    if not database.exists():
        return
    try:
        with closing(sqlite3.connect(database, timeout=5.0)) as connection:
            deadline = time.monotonic() + _CHECK_S_MAX
            connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return
        is_corrupt = error.sqlite_errorcode in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        state = "is corrupt" if is_corrupt else "cannot be used"
        raise EngineError(f"the data folder {state}: {database}: {error}") from None
    if found != "ok":
        raise EngineError(f"the data folder is corrupt: {database}: {found}")


def _describe(client: Client, name: str) -> dict[str, Any] | None:
    try:
        table: dict[str, Any] = client.call("DescribeTable", {"TableName": name})["Table"]
    except RequestFailed as error:
        if error.code != "ResourceNotFoundException":
            raise
        return None
    return table


def _check_table(name: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    def form(table: Mapping[str, Any]) -> Any:
        indexes = table.get("GlobalSecondaryIndexes") or []
        stream = table.get("StreamSpecification") or {}
        return (
            table["KeySchema"],
            sorted(one["AttributeName"] + one["AttributeType"] for one in table["AttributeDefinitions"]),
            sorted((one["IndexName"], str(one["KeySchema"])) for one in indexes),
            stream.get("StreamViewType"),
        )

    if form(wanted) != form(found):
        raise EngineError(f"the table {name} exists, but differs from template.yaml: use another data folder")


def _free_port() -> int:
    for port in random.sample(_PORTS, _PORT_TRIES):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise EngineError(f"no free port for the engine between {_PORTS.start} and {_PORTS.stop}")
