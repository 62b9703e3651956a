"""Parse the arguments, run a command, and turn errors into one line and an exit code.

0   done, or all is well
1   something is wrong with the tickets: a broken promise, records kept, rows left out, an event that does not settle;
    or a quota of the account is too small
2   the command failed: wrong use, unknown event, damaged item, no credentials, no answer from the database
3   inconclusive: too many changes during an audit
"""

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NoReturn

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from local import PROJECT
from local.errors import LocalError
from ops import place
from ops.errors import OpsError
from ops.place import Place
from shared.model import ID_LENGTH_MAX, BookingNotFound, DamagedItem, EventNotFound, Stuck, TryAgain
from shared.store.aws_client import RequestFailed

WRONG, CANNOT = 1, 2
_OF_STACKS = ("warm", "preflight")
EVENTS_MAX = 10_000
BOOKINGS_PER_S_MAX = 100_000  # ten times what one event can take: docs/scale.md
UNEXPECTED = "unexpected error, please report it"

# The line for each error; the first that fits.
_LINES: Final[dict[type[Exception], str]] = {
    Stuck: "settling was refused again and again: run `audit` to see whether the tables are damaged",
    TryAgain: "the database did not accept the request in time ({0.cause}): run the same command again",
    EventNotFound: "there is no event {0.event_id} here",
    BookingNotFound: "{0.user_id} has never booked the event {0.event_id}",
    DamagedItem: "{0}",
    NoCredentialsError: "no AWS credentials: set AWS_PROFILE, log in as usual, or use --local",
    NoRegionError: "no AWS region: set AWS_DEFAULT_REGION, or use --local",
    BotoCoreError: "no connection to AWS: {0}",
    ClientError: "AWS refused: {0}",
    RequestFailed: "AWS refused: {0}",
    OpsError: "{0}",
    LocalError: "{0}",
    OSError: "{0.filename}: {0.strerror}",
}


def run(arguments: Sequence[str]) -> int:
    """Run one command; return its exit code, after one line on stderr if that is 2."""
    options = _options(arguments)
    try:
        if options.command in _OF_STACKS:
            return _of_stack(options)
        with place.found(options.stack, options.data) as where:
            return _command(options, where)
    except BrokenPipeError:
        raise  # no error: the reader of the output has seen enough
    except tuple(_LINES) as error:
        line = next(line for kind, line in _LINES.items() if isinstance(error, kind))
        sys.stderr.write(" ".join(line.format(error).split()) + "\n")
        return WRONG if isinstance(error, Stuck) else CANNOT
    except Exception as error:  # noqa: BLE001  # a traceback would end with exit code 1, a broken promise
        place_of_error = traceback.extract_tb(error.__traceback__)[-1]
        where_in_code = f"{Path(place_of_error.filename).name}:{place_of_error.lineno}"
        sys.stderr.write(f"{UNEXPECTED} ({where_in_code}): {type(error).__name__}: {' '.join(str(error).split())}\n")
        return CANNOT


def _of_stack(options: argparse.Namespace) -> int:
    """Import and run a command that needs a stack, and none of its data."""
    if options.command == "warm":
        from ops import warm  # noqa: PLC0415

        return warm.run(options.stack, options.bookings_per_second, dry_run=options.dry_run)
    from ops import preflight  # noqa: PLC0415

    return preflight.run(options.stack, options.bookings_per_second)


def _command(options: argparse.Namespace, where: Place) -> int:
    """Import and run a command. shared/ reads the environment when it is imported, so it must be set by now."""
    if options.command == "audit":
        from ops import audit  # noqa: PLC0415

        return audit.run(options.event)
    if options.command == "settle":
        from ops import settling  # noqa: PLC0415

        return settling.run(options.event, dry_run=options.dry_run)
    if options.command == "redrive":
        from ops import redrive  # noqa: PLC0415

        return redrive.run(where.failed_records, dry_run=options.dry_run)
    if options.command == "events":
        from ops import events  # noqa: PLC0415

        return events.run(options.limit)
    if options.command == "history":
        from ops import history  # noqa: PLC0415

        return history.run(options.event, options.user, where.logs)
    from ops import export  # noqa: PLC0415

    return export.run(options.event, options.only, options.output, for_excel=options.for_excel)


class _Parser(argparse.ArgumentParser):
    """Report errors in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(CANNOT, f"{self.prog}: {message}; see --help\n")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    options = _parser().parse_args(arguments)
    if options.command in _OF_STACKS:
        return options
    if options.data and not options.local:
        _parser().error("--data goes with --local")
    if options.local:
        options.data = options.data or PROJECT / ".local"
    return options


@cache  # it takes longer than a command does
def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m ops",
        description="Tools for operators of the ticket office.",
        epilog="Exit codes: 0 done, 1 something is wrong with the tickets, 2 the command failed, 3 inconclusive.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    anywhere, on_aws = _where(), _Parser(add_help=False)
    on_aws.add_argument("--stack", metavar="NAME", required=True, help="a CloudFormation stack")

    def command(name: str, does: str, where: _Parser = anywhere) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=does, description=does, parents=[where])

    audit = command("audit", "Recount an event and check promises P1 to P6, H3, D1, O2 and O3. Changes nothing.")
    settle = command("settle", "Give the free tickets of an event to the head of its waiting list.")
    redrive = command(
        "redrive", "Process failed records: settle their events or announce them, then remove their files."
    )
    history = command("history", "Show what happened to a user's booking of an event.")
    export = command("export", "Write the bookings and the waiting list of an event as CSV.")
    events = command("events", "List the latest events.")
    events.add_argument("--limit", type=_number(EVENTS_MAX), default=20, metavar="N", help="how many (default: 20)")
    preflight = command("preflight", "Compare the account's quotas with what an on-sale needs.", on_aws)
    warm = command("warm", "Make the tables ready for an on-sale.", on_aws)
    for each in (preflight, warm):
        each.add_argument(
            "--bookings-per-second",
            type=_number(BOOKINGS_PER_S_MAX),
            required=True,
            metavar="N",
            help="that the sale must take",
        )
    for each in (audit, settle, history, export):
        each.add_argument("event", metavar="EVENT", type=_id, help="eventId")
    history.add_argument("user", metavar="USER", type=_id, help="userId")
    for each in (settle, redrive, warm):
        each.add_argument("--dry-run", action="store_true", help="only show what would be done")
    export.add_argument("--only", choices=["bookings", "waiting-list"], help="only one of the two (default: both)")
    export.add_argument("--output", type=Path, metavar="FILE", help="where to write (default: standard output)")
    export.add_argument(
        "--for-excel", action="store_true", help="UTF-8 with a byte order mark, and an apostrophe before formulas"
    )
    return parser


def _where() -> _Parser:
    parser = _Parser(add_help=False)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--stack", metavar="NAME", help="a CloudFormation stack, with your usual AWS credentials")
    where.add_argument("--local", action="store_true", help="the office of `python -m local`, running or stopped")
    parser.add_argument("--data", type=Path, metavar="DIR", help="its data folder (default: .local)")
    return parser


def _number(most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"a number from 1 to {most}")
        return int(text)

    return parse


def _id(text: str) -> str:
    try:
        text = os.fsencode(text).decode()  # UTF-8, whatever the locale
    except UnicodeError:
        raise argparse.ArgumentTypeError("an id is text in UTF-8") from None
    if not 1 <= len(text) <= ID_LENGTH_MAX:
        raise argparse.ArgumentTypeError(f"an id has 1 to {ID_LENGTH_MAX} characters")
    return text
