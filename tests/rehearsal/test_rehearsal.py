"""A rehearsal on this machine: the crowd buys, the report is written, and the audit finds nothing wrong."""

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from harness.running import PROJECT
from tests.local.programs import Program, opened

RUN_S_MAX = 120
# A buyer who does not pay, and does not wait for ExpireFunction.
IMPATIENT = """
from rehearsal import locustfile
from rehearsal.locustfile import Buyer
locustfile.OVERDUE_S = 0
locustfile._ends_the_hold = iter(["expire"])
"""


def _rehearsed(office: Program, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Hold a rehearsal with 40 buyers and 20 tickets."""
    where = ["--host", office.url, "--local", "--data", str(folder / "data"), "--output", str(folder / "report")]
    crowd = ["--tickets", "20", "--buyers", "40", "--opens-in", "4", "--seconds", "60"]
    return subprocess.run(
        [sys.executable, "-m", "rehearsal", *where, *crowd, *arguments],
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        check=False,
    )


def _requests(folder: Path) -> dict[str, int]:
    """Return how often the crowd sent each request, by Locust's own account."""
    with (folder / "report" / "requests_stats.csv").open() as lines:
        return {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(lines)}


def test_a_crowd_buys_waits_pays_gives_back_and_lets_holds_expire(tmp_path: Path) -> None:
    """One command produces the report and the audit. The event has holds, which a shop confirms."""
    with opened("--data", str(tmp_path / "data"), "--workers", "1", "--expire-every", "1") as office:
        done = _rehearsed(office, tmp_path, "--hold-seconds", "6")
        events: Any = httpx.get(f"{office.url}/events").json()["events"]
        bookings: Any = httpx.get(f"{office.url}{events[0]['links']['bookings']}?limit=100").json()["bookings"]
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "All promises hold."), done.stdout + done.stderr
    assert [(event["name"], event["totalTickets"], event["holdSeconds"]) for event in events] == [("Rehearsal", 20, 6)]
    sent = _requests(tmp_path)
    assert sent["/book"] >= 40
    assert sent["/status/{eventId}"] >= 1
    assert sent["/confirm"] >= 14
    assert {"CONFIRMED", "CANCELLED", "EXPIRED"} <= {booking["status"] for booking in bookings}
    assert [one for one in bookings if one["status"] == "CONFIRMED" and "joinedAt" in one], "nobody waited and got one"
    assert "<html" in (tmp_path / "report" / "report.html").read_text().lower()


def test_a_hold_that_does_not_expire_makes_the_rehearsal_fail(tmp_path: Path) -> None:
    """H3: ExpireFunction runs once a minute, and this crowd does not wait for it."""
    (tmp_path / "impatient.py").write_text(IMPATIENT)
    with opened("--data", str(tmp_path / "data"), "--workers", "1") as office:
        event = {"name": "Rehearsal", "totalTickets": 1, "holdSeconds": 2}
        event_id = httpx.post(f"{office.url}/initialize", json=event).json()["eventId"]
        command = [sys.executable, "-m", "locust", "-f", str(tmp_path / "impatient.py"), "--headless", "--only-summary"]
        done = subprocess.run(
            [*command, "--host", office.url, "--users", "1", "--run-time", "40s"],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "REHEARSAL_EVENT": event_id},
            capture_output=True,
            text=True,
            timeout=RUN_S_MAX,
            check=False,
        )
    assert done.returncode == 1, done.stderr
    assert "a hold has not expired 0 s after its time" in done.stdout + done.stderr


def test_a_token_that_is_not_accepted_makes_the_rehearsal_fail(tmp_path: Path) -> None:
    """The shop's or the organiser's. tests/artifact holds a rehearsal with those of a stack."""
    data = str(tmp_path / "data")
    with opened("--data", data, "--workers", "1", "--auth") as office:

        def token(*whose: str) -> str:
            command = [sys.executable, "-m", "local", "token", "--data", data, *whose]
            return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()

        organiser, shop = token("--user", "olga", "--organiser"), token("--shop")
        few = ("--buyers", "3", "--opens-in", "1", "--seconds", "20")
        wrong = _rehearsed(office, tmp_path, *few, ORGANISER_TOKEN=organiser, SHOP_TOKEN=shop[:-5])
        assert wrong.returncode == 1
        assert "401" in wrong.stdout + wrong.stderr
        refused = _rehearsed(office, tmp_path, SHOP_TOKEN=shop)
        assert refused.returncode == 2
        assert refused.stderr.startswith("the event was not opened: 401")


def test_an_office_that_does_not_answer_is_reported_in_one_line(tmp_path: Path) -> None:
    """Before a crowd is made."""
    where = ["--host", "http://127.0.0.1:9", "--local", "--output", str(tmp_path)]
    command = [sys.executable, "-m", "rehearsal", *where]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("http://127.0.0.1:9 does not answer: ")
    assert done.stdout == ""
