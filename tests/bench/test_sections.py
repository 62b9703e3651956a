"""The benchmark, in short runs: each section gives its figures and checks the promises."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from bench import cpu, floor, load, sections
from bench.load import Measured
from bench.sections import SECTIONS, Run
from harness.crowd import open_event
from harness.running import running

SECONDS = 0.4
PARTS = {"client", "engine", "feeder", "scheduler", "workers"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Yield an office with its data on disk, for short measurements."""
    with running(tmp_path_factory.mktemp("data"), workers=2) as office:
        yield Run(office, SECONDS, workers=2)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few users do everything, and do not wait for the last announcement."""
    for size, value in {"STORM_USERS": 30, "RELEASE_TICKETS": 200, "RELEASE_WAITING": 5, "REST_S": 0.2}.items():
        monkeypatch.setattr(sections, size, value)
    monkeypatch.setattr(floor, "USERS_MAX", 2_000)


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_measures_rates_latencies_and_processor_time(run: Run, name: str) -> None:
    """The figures fit each other: requests in flight are about rate times latency."""
    rows = list(SECTIONS[name](run))
    loads = [row for row in rows if "cpu_ms" in row]
    assert loads
    for row in loads:
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        in_flight = 16 if "16 in flight" in row["section"] else 64
        assert row["per_second"] * row["p50_ms"] / 1000 < 2 * in_flight
        assert set(row["cpu_ms"]) == PARTS
        assert row["cpu_ms"]["workers"] > 0
    for row in rows:
        if "ratio" in row:
            floor = rows[rows.index(row) + (2 if "16 in flight" in row["section"] else 1)]
            assert floor["section"].startswith("floor of")
            assert row["ratio"] == row["per_second"] / floor["per_second"]


def test_a_load_with_a_5xx_has_no_figures(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """At any rate."""
    monkeypatch.setattr(load, "run", lambda *_: Measured(1.0, [0.1] * 5, {200: 4, 503: 1}))
    with pytest.raises(AssertionError, match="503"):
        list(sections.status(run))


def test_a_load_that_breaks_a_promise_has_no_figures(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a ticket is lost while bookings go on."""
    loaded = load.run
    lost_from: list[str] = []

    def losing(*arguments: Any) -> Measured:
        measured = loaded(*arguments)
        lane = {"laneId": {"S": f"{lost_from[0]}#0"}}
        values = {":less": {"N": "-1"}}
        run.office.database.update_item(
            TableName="LanesTable", Key=lane, UpdateExpression="ADD available :less", ExpressionAttributeValues=values
        )
        return measured

    def opened(url: str, tickets: int) -> str:
        lost_from.append(open_event(url, tickets))
        return lost_from[-1]

    monkeypatch.setattr(load, "run", losing)
    monkeypatch.setattr(sections, "open_event", opened)
    monkeypatch.setattr(sections, "PROMOTED_WITHIN_S", 0.1)
    with pytest.raises(AssertionError, match="P1"):
        list(sections.book(run))


def test_processor_time_is_that_of_the_parts(run: Run) -> None:
    """Each part has used some time, and it only grows."""
    before = cpu.used_s(run.office)
    assert before["engine"] > 0
    assert before["workers"] > before["scheduler"] > 0
    load.run(run.office.port, 4, SECONDS, lambda _: iter([load.get("/status/nowhere")] * 200))
    after = cpu.used_s(run.office)
    assert all(after[part] >= before[part] for part in before)
    assert after["workers"] > before["workers"]
    assert cpu.of_process(os.getpid()) > 0
