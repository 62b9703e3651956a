"""The command line: arguments, output and exit code."""

import argparse
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from local import PROJECT, STOP_SIGNALS, folder, template
from local.database import Database
from local.errors import LocalError, StartError
from local.folder import Folder
from local.listening import Handout, listen_on_loopback
from local.supervisor import Supervisor, default_workers
from local.system import System

HOST = "127.0.0.1"
WORKERS_MAX = 64
_PORT_MAX = 65535
_DATA = PROJECT / ".local"
_EXPIRY = "ExpireFunction"
_EXPIRE_S_MAX = 60  # the rate on AWS


def run(arguments: Sequence[str]) -> int:
    """Run until Ctrl-C, or print a token; return the exit code: 0, or 1 after one line that says why."""
    if arguments[:1] == ["token"]:
        from local import issuer  # noqa: PLC0415 - cryptography takes 150 ms, and few runs need it

        return issuer.main(arguments[1:])
    options = _options(arguments)
    try:
        _run(options)
    except LocalError as error:
        _tell(str(error))
        return 1
    except OSError as error:  # too many processes, a full disk
        _tell(f"the ticket office cannot start: {error}")
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    system = _with_expiry(template.load(options.template, dict(options.parameter)), options.expire_every)
    if options.endpoint and not (options.auth or Database.at(options.endpoint).is_on_this_machine):
        raise StartError(
            f"{options.endpoint} is not on this machine: add --auth, or anyone here could change its tables"
        )
    workers = options.workers or default_workers()
    with (
        folder.opened(None if options.memory else options.data) as data,
        _keys(data, options.auth) as keys,
        closing(Handout(listen_on_loopback(options.port), workers)) as handout,
    ):
        supervisor = Supervisor(system, data, handout, options.endpoint, keys)
        try:
            with suppress(KeyboardInterrupt):  # raised only during the start
                supervisor.start(_tell)
                url = f"http://{HOST}:{handout.port}"
                _greet(supervisor, data, url)
                _suggest(system, data, url, needs_token=options.auth)
                supervisor.keep(_tell)
            _tell("\nStopping.")
        finally:
            for number in STOP_SIGNALS:  # it is stopping already
                signal.signal(number, signal.SIG_IGN)
            supervisor.stop()


def _with_expiry(system: System, every_s: int | None) -> System:
    """Return the system with another rate at which holds expire; None keeps the template's.

    Raises: StartError if the template has no such schedule.
    """
    if every_s is None:
        return system
    if all(schedule.function != _EXPIRY for schedule in system.schedules):
        raise StartError(f"--expire-every needs a schedule of {_EXPIRY}, and the template has none")
    schedules = (replace(one, every_s=every_s) if one.function == _EXPIRY else one for one in system.schedules)
    return replace(system, schedules=tuple(schedules))


@contextmanager
def _keys(data: Folder, wanted: bool) -> Iterator[Any]:
    """Yield the public keys that verify tokens; None if no token is needed."""
    if not wanted:
        data.issuer.unlink(missing_ok=True)  # a killed program may have left it
        yield None
        return
    from local import issuer  # noqa: PLC0415 - as above

    with issuer.running(data.issuer) as keys:
        yield keys


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description="The ticket office on this machine: the handlers of AWS, without Docker.",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--data", type=Path, metavar="DIR", default=_DATA, help="the data folder (.local)")
    where.add_argument("--memory", action="store_true", help="keep no data after the run")
    parser.add_argument(
        "--port", type=_number(0, _PORT_MAX), default=3000, help="the port on localhost (3000); 0 picks a free one"
    )
    parser.add_argument(
        "--workers",
        type=_number(1, WORKERS_MAX),
        help="number of processes that answer requests (processors + 1)",
    )
    parser.add_argument(
        "--expire-every",
        type=_number(1, _EXPIRE_S_MAX),
        metavar="SECONDS",
        help=f"how often holds that are due expire, from 1 to {_EXPIRE_S_MAX} s ({_EXPIRE_S_MAX}, as on AWS)",
    )
    parser.add_argument(
        "--endpoint",
        metavar="URL",
        help="use this DynamoDB-compatible server instead of the embedded one, such as DynamoDB Local",
    )
    parser.add_argument(
        "--auth",
        action="store_true",
        help="require tokens as on AWS; `python -m local token --user U [--organiser]`, --shop or --door prints one",
    )
    parser.add_argument(
        "--parameter",
        type=_assignment,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="override a parameter of the template; may be repeated",
    )
    parser.add_argument(
        "--template",
        type=Path,
        metavar="FILE",
        default=template.TEMPLATE,
        help="use another template, next to its handlers",
    )
    return parser.parse_args(arguments)


def _number(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a parser of whole numbers within bounds, for argparse."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
            raise argparse.ArgumentTypeError(f"{text} is not a whole number from {lowest} to {highest}")
        return int(text)

    return read


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, value


def _greet(supervisor: Supervisor, data: Folder, url: str) -> None:
    database = supervisor.database
    if database.is_embedded:
        kept = "deleted at the end" if data.is_throw_away else f"kept in {data.path}"
        tables = f"Data is {kept}; its database listens at {database.endpoint}."
    else:
        made = f"; made {', '.join(supervisor.made)}" if supervisor.made else ""
        tables = f"Tables are at {database.endpoint}{made}."
    sys.stdout.write(f"The ticket office is open at {url} ({supervisor.workers} workers). {tables} Ctrl-C stops it.\n")
    if supervisor.exposure:
        sys.stdout.write(f"Anyone on this machine can reach the database, even with --auth: {supervisor.exposure}.\n")
    sys.stdout.flush()


def _suggest(system: System, data: Folder, url: str, *, needs_token: bool) -> None:
    """Print what to try, and who may do it."""
    token = f"{sys.executable} -m local token" + (
        "" if data.path == _DATA else f" --data {shlex.quote(str(data.path))}"
    )
    organiser, ada = (
        f'-H "Authorization: Bearer $({token} --user {user})" ' if needs_token else ""
        for user in ("olga --organiser", "ada")
    )
    if any(route.path == "/initialize" for route in system.routes):
        sys.stdout.write(
            "Try:\n"
            f"""  curl -s {organiser}{url}/initialize -d '{{"name": "Concert", "totalTickets": 2}}'\n"""
            f"""  curl -s {ada}{url}/book -d '{{"userId": "ada", "eventId": "<eventId of the answer>"}}'\n"""
        )
    if any(route.path == "/" for route in system.routes):
        sys.stdout.write(f"Or in a browser: {url} (the API: {url}/docs)\n")
    if needs_token:
        sys.stdout.write(
            f"Every request needs a token, as on AWS; `{token} --user U [--organiser]`, --shop or --door prints one.\n"
        )
        from local import issuer  # noqa: PLC0415 - as above

        sys.stdout.write(f"People sign in there with any name and the password {issuer.password(data.issuer)}\n")
    elif any(route.takes_token for route in system.routes):
        sys.stdout.write("No token is needed: anyone may do anything as any user. --auth requires tokens, as on AWS.\n")
    sys.stdout.flush()


def _tell(line: str) -> None:
    with suppress(OSError):  # the terminal may be gone; the parts must still be stopped
        sys.stderr.write(f"{line}\n")
