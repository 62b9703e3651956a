"""The conventional service that `make compare` measures beside the office: server.js on a PostgreSQL of its own."""

import json
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.running import free_port

FOLDER = Path(__file__).parent
_START_S_MAX = 60
_STOP_S_MAX = 20
_SETTINGS = ("server_version", "fsync", "synchronous_commit", "full_page_writes")
# Stops the program in its arguments when the standard input ends: at the latest with the process at its other end.
_UNTIL_INPUT_ENDS = '"$@" & cat; kill -INT $!; wait $!'


@dataclass(frozen=True)
class Baseline:
    """A service that runs, and its database."""

    port: int
    url: str

    @classmethod
    @contextmanager
    def running(cls, workers: int) -> Iterator["Baseline"]:
        """Start a database with default settings and empty tables, and the service; stop both at the end."""
        port = free_port()
        with _database() as url, _process(["node", "server.js", str(port), str(workers)], FOLDER, url) as process:
            assert process.stdout
            assert process.stdout.readline() == "listening\n", "bench/baseline/server.js has ended"
            yield cls(port, url)

    def read(self, event_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the row of an event, and those of its bookings."""
        events, bookings = (self._rows(table, f"event_id = '{event_id}'") for table in ("events", "bookings"))
        return events[0], bookings

    def facts(self) -> dict[str, Any]:
        """Return versions, and what the database promises of a commit."""
        packages = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["dependencies"]
        node = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout  # noqa: S607
        settings = {row["name"]: row["setting"] for row in self._rows("pg_settings")}
        return {
            "versions": {"node": node.strip().removeprefix("v"), **packages},
            "database": {name: settings[name] for name in _SETTINGS},
        }

    def _rows(self, table: str, where: str = "true") -> list[dict[str, Any]]:
        query = f"SELECT coalesce(json_agg(one), '[]') FROM {table} one WHERE {where}"  # noqa: S608  # ours
        command = [_program("psql"), self.url, "--no-psqlrc", "--tuples-only", "--no-align", "--command", query]
        found: list[dict[str, Any]] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return found


@contextmanager
def _database() -> Iterator[str]:
    """Run PostgreSQL on loopback, on a temporary folder. Yield its URL."""
    password, port = secrets.token_hex(16), free_port()
    with tempfile.TemporaryDirectory(prefix="compare-") as name:
        folder, (as_user, owner) = Path(name), _unprivileged()
        (folder / "password").write_text(password, encoding="utf-8")
        for path in (folder, folder / "password"):
            os.chown(path, *owner)
        data = str(folder / "data")
        options = ["--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--encoding=UTF8", "--no-locale"]
        command = [_program("initdb"), "--pgdata", data, "--username=compare", *options]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **as_user)
        listening = ["listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories="]
        server = [_program("postgres"), "-D", data, *(part for one in listening for part in ("-c", one))]
        url = f"postgres://compare:{password}@127.0.0.1:{port}/postgres"
        log = (folder / "log").open("ab")  # PostgreSQL logs an error each time a user books again
        with log, _process(["/bin/sh", "-c", _UNTIL_INPUT_ENDS, "sh", *server], folder, url, stderr=log, **as_user):
            _wait_until_ready(port)
            yield url


def _wait_until_ready(port: int) -> None:
    until_s = time.monotonic() + _START_S_MAX
    command = [_program("pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={port}"]
    while subprocess.run(command, check=False).returncode:
        assert time.monotonic() < until_s, "PostgreSQL does not start"
        time.sleep(0.1)


@contextmanager
def _process(command: Sequence[str], folder: Path, url: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program that ends with its standard input."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"DATABASE_URL": url, "NODE_ENV": "production"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches only the benchmark, which stops its parts in order
        **more,
    )
    assert process.stdin
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            process.wait(_STOP_S_MAX)
        finally:
            process.kill()


def _unprivileged() -> tuple[dict[str, Any], tuple[int, int]]:
    """Return how to start PostgreSQL, which refuses to run as root, and who owns its files."""
    if os.geteuid() != 0:
        return {}, (os.geteuid(), os.getegid())
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}, (user.pw_uid, user.pw_gid)


def _program(name: str) -> str:
    """Return a program of PostgreSQL: of Debian's newest version, otherwise from PATH."""
    debians = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = str(debians[-1]) if debians else shutil.which(name)
    assert found, f"PostgreSQL's {name} is missing: scripts/postgres"
    return found
