"""The figures of the last run of bench/coldstart; tests/artifact/test_starts.py shows that it measures the artifact."""

import pytest

from bench import coldstart, record
from local.template import load


@pytest.mark.parametrize("name", coldstart.GOALS)
@pytest.mark.parametrize("times", coldstart.JUDGED)
def test_the_goals_are_met(name: str, times: str) -> None:
    """The least init that the runtime reports, and the median of the processor times."""
    result = record.read("coldstart")
    judged = coldstart.JUDGED[times]
    boto3 = result["baselines"][coldstart.BOTO3_CLIENT]
    assert judged(result["functions"][name][times]) < coldstart.GOALS[name] * judged(boto3[times])


def test_every_function_was_started_ten_times() -> None:
    """None is left out of the page, and none of the starts."""
    result = record.read("coldstart")
    assert sorted(result["functions"]) == sorted(load().functions)
    measured = [*result["baselines"].values(), *result["functions"].values()]
    assert {len(times) for figures in measured for times in figures.values()} == {coldstart.RUNS}
    section = coldstart.section(result)
    assert all(f"| {name} |" in section for name in result["functions"])
