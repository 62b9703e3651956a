"""The black-box checker: `python -m checker --rounds 5`.

Each round starts the office in a new folder, lets buyers and organisers use every operation of docs/api.md while
processes die, disks fill and clocks jump, and judges the recorded history by docs/api.md, docs/events.md and
docs/clients.md. The checker knows these pages and none of the office's code. It exits with 1 if it finds a violation;
the history is kept, and `python -m checker --judge FILE` judges it again.
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from checker.checks import judge
from checker.checks.story import Violation
from checker.history import History
from checker.rounds import KINDS, Plan, Result, run

EVENTS = ("busy", "small", "window", "ending", "holds", "offers", "carts", "groups", "releases")
LOAD_S = 12.0
KEPT = Path(".checker")  # the histories of rounds that showed a violation
SHOWN_MAX = 10  # violations of a round that are printed
TEXT_MAX = 1_600  # characters of each
FAULTS_BY_ROUND = (
    (),
    ("kill-part", "clock"),
    ("disk", "stop-part"),
    ("kill-program", "kill-main"),
    ("stop-part", "stop-program", "kill-part"),
    KINDS,
)


def plans(seed: int) -> list[Plan]:
    """Return the cycle of rounds: one whose changes are doubled, one with each kind of fault or two, one with all."""
    doubled, *others = (f"{seed}-{number}" for number in range(len(FAULTS_BY_ROUND)))
    rounds = [Plan(name, EVENTS, kinds, LOAD_S) for name, kinds in zip(others, FAULTS_BY_ROUND[1:], strict=True)]
    return [Plan(doubled, ("doubled",), FAULTS_BY_ROUND[0], 2 * LOAD_S), *rounds]


def tell(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def explain(violations: list[Violation]) -> None:
    """Print each violation, up to a bound."""
    for one in violations[:SHOWN_MAX]:
        text = one.text if len(one.text) <= TEXT_MAX else f"{one.text[:TEXT_MAX]} ..."
        tell(f"  {one.check}{f' of event {one.event}' if one.event else ''}: {text}")
    if len(violations) > SHOWN_MAX:
        tell(f"  and {len(violations) - SHOWN_MAX} more")


def run_round(number: int, plan: Plan) -> Result:
    """Run one round, print its outcome, and keep its history if it shows a violation."""
    folder = Path(tempfile.mkdtemp(prefix="checker-"))
    try:
        result = run(plan, folder)
        faults = ", ".join(f"{count} {kind}" for kind, count in sorted(result.faults.items())) or "no faults"
        found = f"{len(result.violations)} violations" if result.violations else "every promise held"
        tell(f"round {number} ({plan.seed}): {result.requests:,} requests, {faults}: {found}")
        for kind, why in result.not_injected.items():
            tell(f"  NOT INJECTED: {kind}: {why}")
        if result.violations:
            KEPT.mkdir(exist_ok=True)
            path = KEPT / f"history-{plan.seed}.jsonl"
            result.history.save(path)
            if (folder / "office.log").exists():
                shutil.copy(folder / "office.log", KEPT / f"office-{plan.seed}.log")
            explain(result.violations)
            tell(f"  the history is in {path}")
        return result
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def summary(results: list[Result]) -> str:
    """Summarise all rounds in one line."""
    faults: Counter[str] = sum((one.faults for one in results), Counter())
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items())) or "none"
    return (
        f"{len(results)} rounds, {sum(one.requests for one in results):,} requests, "
        f"{sum(one.acknowledged for one in results):,} acknowledged changes, {faults.total()} faults ({kinds}), "
        f"slowest response {max(one.slowest_s for one in results):.1f} s, "
        f"{sum(len(one.violations) for one in results)} violations"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run rounds, or judge a kept history."""
    parser = argparse.ArgumentParser(prog="python -m checker", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=len(FAULTS_BY_ROUND), help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, help="repeats the decisions of a run, as far as timing allows")
    parser.add_argument("--judge", type=Path, metavar="FILE", help="judge a kept history, and run nothing")
    chosen = parser.parse_args(arguments)
    if chosen.judge:
        violations = judge(History.load(chosen.judge))
        explain(violations)
        tell(f"{len(violations)} violations")
        return bool(violations)
    seed = random.randrange(1_000_000) if chosen.seed is None else chosen.seed
    tell(f"--seed {seed}")
    results: list[Result] = []
    for number in range(chosen.rounds):
        turn, place = divmod(number, len(FAULTS_BY_ROUND))
        results.append(run_round(number + 1, plans(seed + turn)[place]))
    tell(summary(results))
    return any(one.violations for one in results)


if __name__ == "__main__":
    sys.exit(main())
