"""Search everything and print what was found; exit with 1 if a promise was broken or a mutant not caught.

python -m proof            the short part, as in `make test`
python -m proof --write    the same, written into docs/guarantees.md
python -m proof --whole    all of it, and what is random, of which it prints the seed: `make proof`
python -m proof --walks --seed N    the same walks again
"""

import argparse
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

from local.template import load
from proof import report
from proof.controls import (
    ALL_PLANS,
    NEEDLESS,
    Caught,
    all_omissions,
    caught_omission,
    caught_rule,
    name_of,
    rules,
    searches,
)
from proof.explore import Found, Scenario, explore, walk
from proof.scenarios import Plan

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

SEARCHED_MAX = 200_000  # states of a search, which is cut short then
WALKS = 250  # through each scenario
HISTORIES = 100  # of the office against its model
CHANGES = 1_000  # each sent twice at once
CHECKER_ROUNDS = 18


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m proof", description="Search for broken promises.")
    parser.add_argument("--whole", action="store_true", help="search for up to an hour")
    parser.add_argument("--write", action="store_true", help="write the numbers into docs/guarantees.md")
    parser.add_argument("--walks", action="store_true", help="only walk at random")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="of all that is random")
    arguments = parser.parse_args()
    os.environ.update(load().functions["BookFunction"].environment)  # which shared/ reads when it is imported
    os.environ.update(AWS_ACCESS_KEY_ID="none", AWS_SECRET_ACCESS_KEY="none", AWS_DEFAULT_REGION="us-east-1")

    if arguments.walks:
        return min(1, _walks(arguments.seed))
    found = _searches(whole=arguments.whole)
    caught, failures = _controls(whole=arguments.whole)
    failures += sum(bool(one.violation) for one in found.values())
    if arguments.whole:
        failures += _walks(arguments.seed) + _histories() + _black_box(arguments.seed)
    if arguments.write:
        short = {name_of(scenario): found[name_of(scenario)] for scenario in searches(whole=False)}
        mutants = {*map(str, all_omissions()), *(f"not: {rule.text}" for rule in rules(whole=False))}
        table = report.table(short, [one for one in caught if one.mutant in mutants])
        report.PAGE.write_text(report.page_with(table), encoding="utf-8")
    _say(f"{failures} failures" if failures else "Every promise holds.")
    return 1 if failures else 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # the report is what it is run for


def _searches(*, whole: bool) -> dict[str, Found]:
    scenarios = searches(whole=whole)
    all_found = {}
    for scenario, (seconds, found) in zip(scenarios, _on_all_processors(_timed_search, scenarios), strict=True):
        all_found[name_of(scenario)] = found
        _say(f"{seconds:6.1f} s  {name_of(scenario)}: {found.in_short}")
        if found.violation:
            _say("\n".join([f"VIOLATION: {found.violation}", *found.trace]))
    _say(report.total(all_found.values()))
    if cut := sum(one.is_cut for one in all_found.values()):
        _say(f"{cut} of them were cut short after {SEARCHED_MAX:,} states: only walks go further.")
    return all_found


def _timed_search(scenario: Scenario) -> tuple[float, Found]:
    begun_s = time.monotonic()
    found = explore(scenario, states_max=SEARCHED_MAX)
    return time.monotonic() - begun_s, found


def _on_all_processors(work: Callable[[Task], Outcome], tasks: Sequence[Task]) -> Iterator[Outcome]:
    """Yield the outcome of each task, in order. Each runs in a process of its own, which frees its memory."""
    _jobs[:] = [partial(work, task) for task in tasks]
    with get_context("fork").Pool(maxtasksperchild=1) as pool:
        yield from pool.imap(_run_job, range(len(_jobs)))


_jobs: list[Callable[[], Any]] = []  # inherited by the processes: the mutants among them cannot be sent


def _run_job(place: int) -> Any:
    return _jobs[place]()


def _walks(seed: int) -> int:
    """Go some ways through every scenario with two crashes and two faults: too many ways to go them all."""
    _say(f"{WALKS} walks through each scenario with two crashes and two faults: --walks --seed {seed}")
    failures = 0
    for plan, found in zip(ALL_PLANS, _on_all_processors(partial(_walk, seed), ALL_PLANS), strict=True):
        failures += bool(found.violation)
        if found.violation:
            _say("\n".join([f"VIOLATION: {plan.scenario.name}: {found.violation}", *found.trace]))
    return failures


def _walk(seed: int, plan: Plan) -> Found:
    return walk(replace(plan.scenario, crashes=2, faults=2), seed, WALKS)


def _histories() -> int:
    """Hold the office against the model for long, send many changes twice, and plant all faults for the checker.

    pytest prints what replays a failure.
    """
    tests = ("tests/proof/test_machine.py", "tests/proof/test_doubled_changes.py", "tests/checker/test_controls.py")
    command = [sys.executable, "-m", "pytest", "-q", "-o", "timeout=1800", "-n", "2", "--dist", "load", *tests]
    bounds = {"PROOF_EXAMPLES": str(HISTORIES), "PROOF_CHANGES": str(CHANGES), "PROOF_FAULTS": "all"}
    return subprocess.run(command, env={**os.environ, **bounds}, check=False).returncode


def _black_box(seed: int) -> int:
    """Let crowds use the program while its parts are killed, and judge it from outside."""
    command = [sys.executable, "-m", "checker", "--rounds", str(CHECKER_ROUNDS), "--seed", str(seed)]
    return subprocess.run(command, check=False).returncode


def _controls(*, whole: bool) -> tuple[list[Caught], int]:
    """Return the mutants that were caught, and how many outcomes are wrong."""
    all_caught, failures = [], 0
    omitted, broken = all_omissions(), rules(whole=whole)
    for omission, caught in zip(omitted, _on_all_processors(caught_omission, omitted), strict=True):
        wrong = bool(caught) == (str(omission) in NEEDLESS)
        failures += wrong
        all_caught.append(caught)
        _say(f"{'WRONG: ' * wrong}{omission}: {caught.promise if caught else 'nothing'}")
    for rule, caught in zip(broken, _on_all_processors(caught_rule, broken), strict=True):
        failures += not caught
        all_caught.append(caught)
        _say(f"{'' if caught else 'WRONG: '}not: {rule.text}: {caught.promise if caught else 'nothing'}")
    return [one for one in all_caught if one], failures


if __name__ == "__main__":
    sys.exit(main())
