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
from dataclasses import replace

from local.template import load
from proof import report
from proof.controls import NEEDLESS, all_omissions, bounds_of, caught_omission, caught_rule, rules, searched, searches
from proof.explore import walk
from proof.scenarios import PLANS

WALKS = 1_000  # through each scenario
HISTORIES = 200  # of the office against its model
SOAK_S = 120


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
    failures = _searches(whole=arguments.whole) + _controls(whole=arguments.whole)
    if arguments.whole:
        failures += _walks(arguments.seed) + _histories() + _crowds(arguments.seed)
    if arguments.write:
        report.PAGE.write_text(report.page_with(report.table()))
    _say(f"{failures} failures" if failures else "Every promise holds.")
    return 1 if failures else 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # the report is what it is run for


def _searches(*, whole: bool) -> int:
    all_found = []
    for scenario in searches(whole=whole):
        begun_s = time.monotonic()
        found = searched(scenario)
        all_found.append(found)
        _say(f"{time.monotonic() - begun_s:6.1f} s  {scenario.name}{bounds_of(scenario)}: {found.in_short}")
        if found.violation:
            _say("\n".join([f"VIOLATION: {found.violation}", *found.trace]))
    _say(report.total(all_found))
    return sum(bool(found.violation) for found in all_found)


def _walks(seed: int) -> int:
    """Go some ways through every scenario with two crashes and two faults: too many ways to go them all."""
    _say(f"{WALKS} walks through each scenario with two crashes and two faults: --walks --seed {seed}")
    failures = 0
    for plan in PLANS:
        found = walk(replace(plan.scenario, crashes=2, faults=2), seed, WALKS)
        failures += bool(found.violation)
        if found.violation:
            _say("\n".join([f"VIOLATION: {plan.scenario.name}: {found.violation}", *found.trace]))
    return failures


def _histories() -> int:
    """Hold the office against the model for long; Hypothesis prints what replays a failure."""
    command = [sys.executable, "-m", "pytest", "-q", "-o", "timeout=1800", "tests/proof/test_machine.py"]
    return subprocess.run(command, env={**os.environ, "PROOF_EXAMPLES": str(HISTORIES)}, check=False).returncode


def _crowds(seed: int) -> int:
    """Soak the program; it says itself what replays it."""
    command = [sys.executable, "-m", "proof.soak", "--seconds", str(SOAK_S), "--seed", str(seed)]
    return subprocess.run(command, check=False).returncode


def _controls(*, whole: bool) -> int:
    failures = 0
    for omission in all_omissions():
        caught = caught_omission(omission)
        wrong = bool(caught) == (str(omission) in NEEDLESS)
        failures += wrong
        _say(f"{'WRONG: ' * wrong}{omission}: {caught.promise if caught else 'nothing'}")
    for rule in rules(whole=whole):
        caught = caught_rule(rule)
        failures += not caught
        _say(f"{'' if caught else 'WRONG: '}not: {rule.text}: {caught.promise if caught else 'nothing'}")
    return failures


if __name__ == "__main__":
    sys.exit(main())
