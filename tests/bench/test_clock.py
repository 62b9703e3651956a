"""Virtual time: who wakes when, and that it repeats."""

import pytest

from bench.scale.clock import Clock


def test_tasks_go_on_in_the_order_of_their_waking() -> None:
    """Two who wake at once go on in the order in which they lay down."""
    clock, woken = Clock(), []

    def task(name: str, *naps_s: float) -> None:
        for nap_s in naps_s:
            clock.sleep(nap_s)
            woken.append((clock.now_s, name))

    clock.start(lambda: task("late", 3))
    clock.start(lambda: task("early", 1, 2))
    clock.start(lambda: task("started later", 0.5), after_s=1)
    clock.run()
    assert woken == [(1, "early"), (1.5, "started later"), (3, "late"), (3, "early")]


def test_a_run_may_end_early_and_go_on() -> None:
    """What sleeps beyond the end sleeps on."""
    clock, woken = Clock(), []
    clock.start(lambda: (clock.sleep(5), woken.append(clock.now_s)))  # type: ignore[func-returns-value, arg-type]
    clock.run(until_s=4)
    assert woken == []
    clock.run()
    assert woken == [5]


def test_what_a_task_raises_ends_the_run() -> None:
    """A failed check is not lost in a greenlet."""
    clock = Clock()

    def fail() -> None:
        raise ValueError("wrong")

    clock.start(fail)
    with pytest.raises(ValueError, match="wrong"):
        clock.run()
