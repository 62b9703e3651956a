"""Virtual time: when tasks wake up."""

from bench.scale.clock import Clock


def test_tasks_run_in_the_order_of_their_wake_up_times() -> None:
    """At the same time, in the order in which they went to sleep."""
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
