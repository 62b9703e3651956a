"""The program's outside: its arguments, its errors, its exit codes.

0   done, or all is well
1   something is wrong with the tickets: a promise is broken, records were kept, an event would not settle
2   nothing could be told: wrong use, unknown event, an item that cannot be read, no credentials, a silent database
3   an audit of an event on which too much moved to tell
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from local.errors import LocalError
from local.template import PROJECT
from ops import place
from ops.errors import OpsError
from ops.place import Place
from shared.model import ID_LENGTH_MAX, BookingNotFound, DamagedItem, EventNotFound, Stuck, TryAgain
from shared.store.aws_client import RequestFailed

WRONG, CANNOT = 1, 2

# What is said of each error; the first that fits.
_LINES: Final[dict[type[Exception], str]] = {
    Stuck: "settling was refused again and again: `audit` tells whether the tables are damaged",
    TryAgain: "the database did not let it through in time ({0.cause}): give the same command again",
    EventNotFound: "there is no event {0.event_id} here",
    BookingNotFound: "{0.user_id} has never booked the event {0.event_id}",
    DamagedItem: "{0}",
    NoCredentialsError: "no AWS credentials: set AWS_PROFILE or log in as usual, or say --local",
    NoRegionError: "no AWS region: set AWS_DEFAULT_REGION, or say --local",
    BotoCoreError: "AWS cannot be asked: {0}",
    ClientError: "AWS refused: {0}",
    RequestFailed: "AWS refused: {0}",
    OpsError: "{0}",
    LocalError: "{0}",
    OSError: "{0.filename}: {0.strerror}",
}


def run(arguments: Sequence[str]) -> int:
    """Run one command; give its exit code, after one line on stderr where that is 2."""
    options = _options(arguments)
    try:
        with place.found(options.stack, options.data) as where:
            return _command(options, where)
    except BrokenPipeError:
        raise  # it is no fault: who reads the output has seen enough
    except tuple(_LINES) as error:
        line = next(line for kind, line in _LINES.items() if isinstance(error, kind))
        sys.stderr.write(" ".join(line.format(error).split()) + "\n")
        return WRONG if isinstance(error, Stuck) else CANNOT


def _command(options: argparse.Namespace, where: Place) -> int:
    """Import and run a command: shared/ reads the environment at import, so it must be set by now."""
    if options.command == "audit":
        from ops import audit  # noqa: PLC0415

        return audit.run(options.event)
    if options.command == "settle":
        from ops import settling  # noqa: PLC0415

        return settling.run(options.event, dry_run=options.dry_run)
    if options.command == "redrive":
        from ops import redrive  # noqa: PLC0415

        return redrive.run(where.failed_records, dry_run=options.dry_run)
    if options.command == "history":
        from ops import history  # noqa: PLC0415

        return history.run(options.event, options.user, where.logs)
    from ops import export  # noqa: PLC0415

    return export.run(options.event, options.only, options.output)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(CANNOT, f"{self.prog}: {message}; --help tells more\n")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m ops",
        description="Tools for those who run the ticket office.",
        epilog="Exit codes: 0 done, 1 something is wrong with the tickets, 2 it could not be done, 3 inconclusive.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = _where()

    def command(name: str, does: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=does, description=does, parents=[common])

    audit = command("audit", "Recount an event and say of P1 to P6 whether they hold; changes nothing.")
    settle = command("settle", "Hand the free tickets of an event to the head of its waiting list.")
    redrive = command("redrive", "Settle or announce what the records tell that were given up; remove those files.")
    history = command("history", "Tell what happened to a user's booking on an event.")
    export = command("export", "Write the bookings and the waiting list of an event as CSV.")
    for each in (audit, settle, history, export):
        each.add_argument("event", metavar="EVENT", type=_id, help="eventId")
    history.add_argument("user", metavar="USER", type=_id, help="userId")
    for each in (settle, redrive):
        each.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    export.add_argument("--only", choices=["bookings", "waiting-list"], help="one of the two (both)")
    export.add_argument("--output", type=Path, metavar="FILE", help="where to write (standard output)")
    options = parser.parse_args(arguments)
    if options.data and not options.local:
        parser.error("--data goes with --local")
    if options.local:
        options.data = options.data or PROJECT / ".local"
    return options


def _where() -> _Parser:
    parser = _Parser(add_help=False)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--stack", metavar="NAME", help="the CloudFormation stack, by your usual AWS credentials")
    where.add_argument("--local", action="store_true", help="the ticket office of `python -m local`, running or not")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the local one's data folder (.local)")
    return parser


def _id(text: str) -> str:
    if not 1 <= len(text) <= ID_LENGTH_MAX:
        raise argparse.ArgumentTypeError(f"an id has 1 to {ID_LENGTH_MAX} characters")
    return text
