"""The cost of a request does not grow with bookings, waiting users, or other events."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench import around, filling, record, size
from bench.size import Figures, Size
from harness.office import Event, Office
from shared.store import items

SAMPLES = 6
LANES = 6  # and two stripes of the waiting list
SMALL, LARGE = Size(10, 10, others=0), Size(2_000, 2_000, others=1_000)

# A waiting user gets a position, which is counted up to POSITION_EXACT_MAX and estimated beyond that.
PLACES = {"book, sold out: join", "book again, waiting", "status of a user far back"}
FRONT_UNITS_MAX = 5  # of each stripe: 101 places of some 165 bytes


def _measured(office: Office, of: Size) -> dict[str, Figures]:
    event = filling.opened(LANES, total_tickets=of.bookings + LANES)
    office.events.append(Event(event.event_id, office.database))  # at the end its promises are checked
    holders, waiting = size.names("holder", of.bookings), size.names("waiting", of.waiting)
    filling.write(filling.others(of.others))
    filling.write(filling.on_sale(event, left_in_each_lane=1))
    filling.write(filling.confirmed(event, holders))
    found = size.on_sale(office.database, event.event_id, SAMPLES)
    first_sequence = size.sell_out(office.database, event.event_id)
    filling.write(filling.waiting(event, waiting, first_sequence))
    filling.count_waiting(office.database, event, waiting)
    return found | size.sold_out(office.database, event.event_id, holders, waiting, SAMPLES)


def _differing(small: dict[str, Figures], large: dict[str, Figures]) -> set[str]:
    """Name the requests that made different database requests, however often."""

    def asked(figures: Figures) -> list[Any]:
        return sorted((one["calls"], one["writeUnits"], one["readUnits"]) for one in figures["variants"])

    assert small.keys() == large.keys()
    return {name for name in small if asked(small[name]) != asked(large[name])}


def _check_places(small: dict[str, Figures], large: dict[str, Figures], front_units_max: int) -> None:
    """Assert that a position takes a few reads at most, and nothing else differs."""
    for name in PLACES:
        (exact,) = small[name]["variants"]
        place = exact["calls"].count("Query")  # one read unit for each
        for one in large[name]["variants"]:
            assert [call for call in one["calls"] if call != "Query"] == [
                call for call in exact["calls"] if call != "Query"
            ]
            assert one["writeUnits"] == exact["writeUnits"]
            assert one["calls"].count("Query") in (0, place)
            assert one["readUnits"] <= exact["readUnits"] - place + front_units_max


def test_requests_cost_the_same_with_ten_bookings_and_with_thousands(office: Office) -> None:
    """Book, cancel, promote, status and join: the same requests and the same units."""
    small, large = _measured(office, SMALL), _measured(office, LARGE)
    assert _differing(small, large) <= PLACES
    _check_places(small, large, 2 * FRONT_UNITS_MAX)


def test_a_small_measurement_fills_requests_and_audits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The measurement at full size, with a small one: each request is made as often as it should be."""
    monkeypatch.setattr(size, "LANES", 3)
    monkeypatch.setattr(size, "SAMPLES", 2)
    found = size.measure(tmp_path, Size(5, 4, others=3))
    assert {sum(one["times"] for one in figures["variants"]) for figures in found["requests"].values()} == {2}
    assert found["requests"]["book, on sale"]["variants"][0]["writeUnits"] == 5
    assert found["fileMegabytes"] >= 0
    with around.office_on(tmp_path) as client:
        assert client.scan(TableName=items.EVENTS)["Count"] == 1 + 3
        found_items = client.scan(TableName=items.BOOKINGS)["Items"]
        booked = [one["status"]["S"] for one in found_items if not items.is_note(one)]
    # All 8 tickets are sold. Of the first in the list and the 4 behind them 2 were promoted. Cancelled have 2 buyers on
    # sale, 2 who had joined, and the 2 holders whose tickets went to those promoted.
    assert Counter(booked) == {"CONFIRMED": 8, "WAITING": 3, "CANCELLED": 2 + 2 + 2}


def test_requests_cost_the_same_with_a_million_bookings() -> None:
    """The figures of the run at full size."""
    result = record.read("size")
    small, full = result["sizes"]
    assert (full["bookings"], full["waiting"], full["others"]) == (1_000_000, 1_000_000, 100_000)
    assert _differing(small["requests"], full["requests"]) <= PLACES
    _check_places(small["requests"], full["requests"], 4 * FRONT_UNITS_MAX)
    section = size.section(result)
    assert all(f"| {request} |" in section for request in full["requests"])
