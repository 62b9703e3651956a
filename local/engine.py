"""The embedded database: dynoxide, a DynamoDB-compatible engine in one binary, on one SQLite file."""

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

from local import guard
from local.database import Database
from local.errors import EngineError
from local.folder import opened
from local.parts import wait_or_kill
from local.template import PROJECT, System, load

HOST = "127.0.0.1"
_PACKAGES = PROJECT / "node_modules" / "@dynoxide"
_START_S_MAX = 10.0  # it takes 35 ms; a machine under load takes longer
_STOP_S_MAX = 1.0
_ACTIVE_S_MAX = 60.0  # of a new table in a real region: it takes some 10 s
_CHECK_S_MAX = 2.0  # of a large file: what is not seen in that time is not looked for
_PORTS = range(20_000, 32_000)  # below the ports that systems give to clients: one of those could sit on ours
_PORT_TRIES = 50


class Engine:
    """One engine process on one file and one port: it can be started again after it died."""

    def __init__(self, database: Path, log: Path) -> None:
        """Find the engine.

        Raises: EngineError when there is none on this machine.
        """
        self._binary = find()
        self._database = database
        self._log = log
        self._port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """The URL at which it answers."""
        return f"http://{HOST}:{self._port}"

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises: EngineError when the file is not its own, or it does not answer in time.
        """
        self.stop()  # what is left of one that died
        _check_file(self._database)
        command = [self._binary, "serve", "--host", HOST, "--port", str(self._port), "--db-path", str(self._database)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), *command],
                stdin=subprocess.PIPE,  # the guard's lifeline
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C is for the program that started it
                # It does one request at a time, under a lock: more threads would wait for each other. tokio reads it.
                env=os.environ | {"TOKIO_WORKER_THREADS": "1"},
            )
        deadline = time.monotonic() + _START_S_MAX
        while not _answers(self._port):
            if self.process.poll() is not None:
                raise EngineError(f"the engine does not start: {last_line(self._log)}")
            if time.monotonic() > deadline:
                self.stop()
                raise EngineError(f"the engine does not answer within {_START_S_MAX:.0f} s: see {self._log}")
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop it; SQLite keeps what was acknowledged, however it ends."""
        if self.process is None:
            return
        self.process.terminate()
        wait_or_kill(self.process, _STOP_S_MAX)
        if self.process.stdin:
            self.process.stdin.close()


@contextmanager
def running(data_dir: Path | None = None, system: System | None = None) -> Iterator[str]:
    """Give the endpoint of an engine with the template's tables; None for a throw-away one in memory.

    It ends with the thread that entered (Linux), or with the process.

    Raises: LocalError.
    """
    with opened(data_dir) as folder:
        engine = Engine(folder.database, folder.logs / "engine.log")
        engine.start()
        try:
            create_tables(Database.embedded(engine.endpoint).client(), system or load())
            index_stream(folder.database)
            yield engine.endpoint
        finally:
            engine.stop()


def find() -> str:
    """Find the engine's binary: the npm package of the project, else what PATH has.

    Raises: EngineError, saying how to get it.
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


def create_tables(client: Any, system: System) -> list[str]:
    """Make the template's tables that are missing, wait for them, and give their names; safe to repeat.

    Raises: EngineError for a table that is there in another form.
    """
    made = []
    for table in system.tables:
        found = _describe(client, table.name)
        if found is None:
            client.create_table(**table.arguments)
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
    """Give the engine's stream the index it lacks: without it each write reads the whole stream.

    Seen in dynoxide 1.2.1 (`next_stream_sequence_number`): 3.2 ms at 12,000 records without, 0.007 ms with it.
    """
    with closing(sqlite3.connect(database, timeout=5.0)) as connection:
        connection.execute(
            "CREATE INDEX IF NOT EXISTS _stream_records_by_sequence"
            " ON _stream_records (table_name, CAST(sequence_number AS INTEGER))"
        )
        connection.commit()


def last_line(log: Path) -> str:
    """Give the last line of a log, which mostly says why its writer died."""
    try:
        lines = log.read_bytes()[-4096:].decode("utf-8", "replace").split("\n")
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it left no message")


def _check_file(database: Path) -> None:
    """Refuse a file that is no sound database, before the engine answers every request with an error."""
    if not database.exists():
        return
    try:
        with closing(sqlite3.connect(database, timeout=5.0)) as connection:
            deadline = time.monotonic() + _CHECK_S_MAX
            connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            return
        raise EngineError(f"the data folder is corrupt: {database}: {error}") from None
    except sqlite3.DatabaseError as error:
        raise EngineError(f"the data folder is corrupt: {database}: {error}") from None
    if found != "ok":
        raise EngineError(f"the data folder is corrupt: {database}: {found}")


def _describe(client: Any, name: str) -> dict[str, Any] | None:
    try:
        table: dict[str, Any] = client.describe_table(TableName=name)["Table"]
    except client.exceptions.ResourceNotFoundException:
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
        raise EngineError(f"the table {name} is there already, in another form than template.yaml gives it")


def _free_port() -> int:
    for port in random.sample(_PORTS, _PORT_TRIES):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise EngineError(f"no free port for the engine between {_PORTS.start} and {_PORTS.stop}")


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True
