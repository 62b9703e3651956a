"""python -m rehearsal: open an event, let a crowd buy it, write the crowd's report, and audit what it left.

The tokens are in the environment: ORGANISER_TOKEN opens the event, and SHOP_TOKEN books for all buyers. An office
without --auth on this machine needs none.

Exit codes: 0 all promises hold and no request failed, 1 one of them does not, 2 the rehearsal could not be held.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

PROJECT = Path(__file__).resolve().parent.parent
CALL_S_MAX = 30
SPAWN_S = 5  # the crowd exists so long before the sale opens
_DONE, _WRONG, _CANNOT = 0, 1, 2


def main() -> int:
    """Hold the rehearsal; return the exit code."""
    options = _options()
    opens_at_s = time.time() + options.opens_in
    try:
        event_id = _opened(options, opens_at_s)
    except HTTPError as error:
        return _cannot(f"the event was not opened: {error.code} {error.read(500).decode(errors='replace')}")
    except (URLError, OSError) as error:
        return _cannot(f"{options.host} does not answer: {error}")
    _tell(f"Event {event_id}: {options.tickets} tickets, {options.buyers} buyers, on sale in {options.opens_in} s.")
    failed = _crowd(options, event_id, opens_at_s)
    _tell(f"Report: {options.output}/report.html")
    where = ["--stack", options.stack] if options.stack else ["--local", "--data", str(options.data)]
    audit = subprocess.run([sys.executable, "-m", "ops", "audit", event_id, *where], cwd=PROJECT, check=False)
    return _WRONG if failed or audit.returncode else _DONE


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m rehearsal", description="Rehearse an on-sale.")
    parser.add_argument("--host", required=True, metavar="URL", help="of the API, such as http://127.0.0.1:3000")
    parser.add_argument("--tickets", type=int, default=100, metavar="N", help="of the event (default: 100)")
    parser.add_argument("--buyers", type=int, default=300, metavar="N", help="in the crowd (default: 300)")
    parser.add_argument("--hold-seconds", type=int, metavar="S", help="hold tickets, to be paid (default: no holds)")
    parser.add_argument("--opens-in", type=int, default=15, metavar="S", help="until the sale opens (default: 15)")
    parser.add_argument("--seconds", type=int, default=300, metavar="S", help="at most, in all (default: 300)")
    parser.add_argument("--output", type=Path, default=Path("rehearsal-report"), metavar="DIR", help="for the report")
    parser.add_argument("--data", type=Path, default=PROJECT / ".local", metavar="DIR", help="of the local office")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--stack", metavar="NAME", help="the CloudFormation stack to audit")
    where.add_argument("--local", action="store_true", help="audit the office of this machine")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    return options


def _opened(options: argparse.Namespace, opens_at_s: float) -> str:
    """Open the event; return its id. Raises URLError, OSError."""
    opens_at = datetime.fromtimestamp(opens_at_s, UTC).isoformat(timespec="seconds")
    event: dict[str, Any] = {"name": "Rehearsal", "totalTickets": options.tickets, "opensAt": opens_at}
    if options.hold_seconds:
        event["holdSeconds"] = options.hold_seconds
    headers = {"content-type": "application/json"}
    if token := os.environ.get("ORGANISER_TOKEN"):
        headers["authorization"] = f"Bearer {token}"
    request = Request(f"{options.host.rstrip('/')}/initialize", json.dumps(event).encode(), headers)  # noqa: S310
    with urlopen(request, timeout=CALL_S_MAX) as response:  # noqa: S310  # the operator chose the address
        return str(json.load(response)["eventId"])


def _crowd(options: argparse.Namespace, event_id: str, opens_at_s: float) -> bool:
    """Let the crowd buy; return whether a request failed."""
    environment = {
        **os.environ,
        "REHEARSAL_EVENT": event_id,
        "REHEARSAL_OPENS_AT": str(opens_at_s),
        "REHEARSAL_BUYERS": str(options.buyers),
    }
    arguments = ["-f", str(PROJECT / "rehearsal" / "locustfile.py"), "--headless", "--only-summary"]
    arguments += ["--host", options.host, "--users", str(options.buyers)]
    arguments += ["--spawn-rate", str(max(1, options.buyers // SPAWN_S)), "--run-time", f"{options.seconds}s"]
    arguments += ["--html", str(options.output / "report.html"), "--csv", str(options.output / "requests")]
    crowd = subprocess.run([sys.executable, "-m", "locust", *arguments], env=environment, check=False)
    return crowd.returncode != 0


def _cannot(line: str) -> int:
    sys.stderr.write(f"{line}\n")
    return _CANNOT


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
