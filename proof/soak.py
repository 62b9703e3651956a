"""Crowds over HTTP while parts of `python -m local` are killed at random; then everything must add up.

python -m proof.soak --seconds 300 [--seed SEED]

Users come and go, or stay. Every other event has holds, which are confirmed, are cancelled, or expire. Meanwhile
workers, feeders, schedulers and the engine are killed. A user whose response is lost sends the request again. The seed
decides the actions and their times, but not how the processes race.
"""

import argparse
import asyncio
import os
import random
import secrets
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from harness.crowd import Crowd, Exchange, in_flight, open_event, order_broken
from harness.promises import Snapshot, read, violations
from harness.running import RunningOffice, running
from shared.model import as_moment

ROUND_S = 8.0
DRAINED_WITHIN_S = 20.0  # the engine may just have been started again
KILLED = ("worker",) * 4 + ("feeder",) * 2 + ("scheduler",) * 2 + ("dynoxide",) * 3  # in a round
OPTIONS = ("--expire-every", "1")
HOLD_S = 2
TERMS: tuple[dict[str, Any], ...] = ({}, {"holdSeconds": HOLD_S, "offerSeconds": 3_600})  # offers outlast the round
EXPIRED_WITHIN_S = 30.0
FOLLOWS = {  # what may be stored after the last response of a user
    "WAITING": {"WAITING", "HELD", "CONFIRMED"},
    "HELD": {"HELD", "EXPIRED"},
    "CONFIRMED": {"CONFIRMED"},
    "CANCELLED": {"CANCELLED"},
    "EXPIRED": {"EXPIRED"},
}
REFUSED = {"hold-expired": "EXPIRED", "booking-cancelled": "CANCELLED", "not-held": "WAITING"}  # confirmations


def main() -> int:
    """Run rounds until the time is over; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m proof.soak", description="Crowds among killed processes.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    arguments = parser.parse_args()
    os.environ.update(AWS_ACCESS_KEY_ID="none", AWS_SECRET_ACCESS_KEY="none", AWS_DEFAULT_REGION="us-east-1")
    _say(f"python -m proof.soak --seconds {arguments.seconds:.0f} --seed {arguments.seed}")
    until = time.monotonic() + arguments.seconds
    chance = random.Random(arguments.seed)  # a choice of histories
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < until:
            if broken := _round(Path(folder) / "data", chance):
                _say("\n".join(broken))
                return 1
    return 0


def _round(data: Path, chance: random.Random) -> list[str]:
    """Let a crowd use one event, with kills, and in the end kill all of it; return what is broken after a restart."""
    tickets, terms = chance.choice([1, 7, 60, 130]), chance.choice(TERMS)
    users = [f"user-{number}" for number in range(60)] + [f"loyal-{number}" for number in range(60)]
    choices = {user: random.Random(chance.random()) for user in [*users, "killer"]}  # as above

    async def act(crowd: Crowd, user: str) -> list[Exchange]:
        if user == "killer":
            await _kill(office, choices[user])
            return []
        stays = user.startswith("loyal")
        return await (_stay if stays else _come_and_go)(crowd, user, choices[user])

    with running(data, 4, *OPTIONS) as office:
        event_id = open_event(office.url, tickets, **terms)
        histories, crowd = in_flight(office.url, event_id, act, ["killer", *users], at_once=len(users) + 1)
        office.process.kill()
    with running(data, 4, *OPTIONS) as office:
        overdue = _overdue(office, event_id)
        found = office.check_drained(event_id, within_s=DRAINED_WITHIN_S)
        broken = order_broken(office.changes(event_id), histories)
    _say(
        f"{tickets} tickets {terms}, {sum(map(len, histories))} requests, {len(crowd.faults)} of them lost at first: "
        f"{len(found.confirmed)} booked, {len(found.held)} held, {len(found.waiting)} wait"
    )
    return overdue + broken + _untrue(found, [history[-1] for history in histories if history])


def _overdue(office: RunningOffice, event_id: str) -> list[str]:
    """H3: wait until every hold made before the office was started again has ended; list those that have not."""
    due = as_moment(datetime.now(UTC) + timedelta(seconds=HOLD_S))
    until = time.monotonic() + EXPIRED_WITHIN_S
    while True:
        found = read(office.database, event_id)
        left = [text for text in violations(found, drained=False, expired_until=due) if text.startswith("H3")]
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.2)


def _untrue(found: Snapshot, last: list[Exchange]) -> list[str]:
    """P7, H2: the last response of each user is what is stored, or the office did since what it does by itself."""
    stored = {one["userId"]: one for one in found.bookings}
    return [
        f"P7: {one.user} was told {one.answer}, and has {has}"
        for one in last
        if (has := stored.get(one.user)) is None
        or has["bookingId"] != one.answer.get("bookingId", has["bookingId"])
        or has["status"] not in FOLLOWS[REFUSED[one.answer["code"]] if "code" in one.answer else one.answer["status"]]
    ]


async def _kill(office: RunningOffice, choices: random.Random) -> None:
    """Kill one part after the other without warning; skip one that has not come back yet."""
    for part in choices.sample(KILLED, len(KILLED)):
        await asyncio.sleep(choices.uniform(0, 2 * ROUND_S / len(KILLED)))
        if pids := office.pids(part):
            os.kill(choices.choice(pids), signal.SIGKILL)


async def _come_and_go(crowd: Crowd, user: str, choices: random.Random) -> list[Exchange]:
    history: list[Exchange] = []
    until = time.monotonic() + ROUND_S
    while time.monotonic() < until:
        history.append(await crowd.book(user))
        await asyncio.sleep(choices.uniform(0, 0.6))
        if history[-1].answer["status"] == "HELD" and choices.random() < 0.4:
            await asyncio.sleep(choices.uniform(0, HOLD_S))
            history.append(await crowd.confirm(user, history[-1].answer["bookingId"]))
        elif choices.random() < 0.7:
            history.append(await crowd.cancel(user, history[-1].answer["bookingId"]))
    return history


async def _stay(crowd: Crowd, user: str, choices: random.Random) -> list[Exchange]:
    await asyncio.sleep(choices.uniform(0, ROUND_S))
    booked = await crowd.book(user)
    if booked.answer["status"] == "HELD" and choices.random() < 0.5:
        return [booked, await crowd.confirm(user, booked.answer["bookingId"])]
    return [booked]


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # the report is what it is run for


if __name__ == "__main__":
    sys.exit(main())
