"""Crowds over HTTP while parts of `python -m local` are killed at random; then everything must add up.

python -m proof.soak --seconds 300 [--seed SEED]

Users who come and go, users who stay, and a hand that kills workers, the feeder and the engine without warning. A
user whose answer is lost asks again. The seed chooses who does what and when; how the processes race is not its to say.
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
from pathlib import Path

from harness.crowd import Crowd, Exchange, in_flight, open_event, order_broken
from harness.promises import Snapshot
from harness.running import RunningOffice, running

ROUND_S = 8.0
DRAINED_WITHIN_S = 20.0  # the engine may just have been started again
KILLED = ("worker",) * 4 + ("feeder",) * 2 + ("dynoxide",) * 3  # in a round; a part that dies 5 times ends the program


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
    """Let a crowd at one event, with kills, and in the end kill all of it; return what is broken after a restart."""
    tickets = chance.choice([1, 7, 60, 130])
    users = [f"user-{number}" for number in range(60)] + [f"loyal-{number}" for number in range(60)]
    choices = {user: random.Random(chance.random()) for user in [*users, "killer"]}  # as above

    async def act(crowd: Crowd, user: str) -> list[Exchange]:
        if user == "killer":
            await _kill(office, choices[user])
            return []
        stays = user.startswith("loyal")
        return await (_stay if stays else _come_and_go)(crowd, user, choices[user])

    with running(data) as office:
        event_id = open_event(office.url, tickets)
        histories, crowd = in_flight(office.url, event_id, act, ["killer", *users], at_once=len(users) + 1)
        office.process.kill()
    with running(data) as office:
        found = office.check_drained(event_id, within_s=DRAINED_WITHIN_S)
        broken = order_broken(office.changes(event_id), histories)
    _say(
        f"{tickets} tickets, {sum(map(len, histories))} requests, {len(crowd.faults)} of them lost at first: "
        f"{len(found.confirmed)} booked, {len(found.waiting)} wait"
    )
    return broken + _untrue(found, [history[-1] for history in histories if history])


def _untrue(found: Snapshot, last: list[Exchange]) -> list[str]:
    """P7: what each user was told last is what is stored, but for a promotion meanwhile."""
    stored = {one["userId"]: one["bookingId"] for one in found.bookings}
    holders = found.confirmed | set(found.waiting)
    return [
        f"P7: {one.user} was told {one.answer}, and has {stored.get(one.user)}"
        for one in last
        if stored.get(one.user) != one.answer["bookingId"]
        or (one.user in holders) != (one.answer["status"] != "CANCELLED")
    ]


async def _kill(office: RunningOffice, choices: random.Random) -> None:
    """Kill one part after the other without warning; one that has not come back yet is let off."""
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
        if choices.random() < 0.7:
            history.append(await crowd.cancel(user, history[-1].answer["bookingId"]))
    return history


async def _stay(crowd: Crowd, user: str, choices: random.Random) -> list[Exchange]:
    await asyncio.sleep(choices.uniform(0, ROUND_S))
    return [await crowd.book(user)]


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # the report is what it is run for


if __name__ == "__main__":
    sys.exit(main())
