"""The whole bill is of this template and of the last run."""

import json

from bench import bill

LINE_BYTES_MAX = 600  # of a booking's own log line: 772 were too many


def test_a_line_of_the_access_log_is_as_long_as_the_template_says() -> None:
    """With values for each name of its format."""
    line = bill.access_line()
    assert "$" not in line
    assert json.loads(line)["route"] == "GET /status/{eventId}"


def test_a_booking_writes_a_short_line() -> None:
    """CloudWatch bills by the byte, and a booking writes one line."""
    assert 300 < bill.own_log_bytes() < LINE_BYTES_MAX


def test_each_part_of_a_larger_event_costs_more() -> None:
    """And no part is left out."""
    small, medium, large = (bill.of_event(name) for name in bill.EVENTS)
    assert all(0 < small[part] < medium[part] < large[part] for part in small)
    assert all(usd > 0 for usd in bill.of_month().values())


def test_a_million_past_events_cost_under_a_dollar_a_month() -> None:
    """From the read units of a sweep after past events: an index that keeps them would cost more."""
    assert bill.sweep_usd() <= bill.sweep_usd(1_000_000) < 1
