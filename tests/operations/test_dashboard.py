"""The picture of the dashboard shows what CloudWatch would, except for the length of a period."""

import pytest

from harness.watching import widgets
from scripts.draw_dashboard import axis_label, points


def test_a_point_is_the_statistic_of_its_bin() -> None:
    """A bin is three seconds; one without lines has no point."""
    lines = [
        {"_aws": {"Timestamp": 1_000_000 + after_ms}, metric: value}
        for after_ms, metric, value in [
            (0, "TryAgain", 1),
            (2_999, "TryAgain", 2),
            (3_000, "TryAgain", 4),
            (3_001, "Contention", 8),
            (9_500, "TryAgain", 16),
        ]
    ]
    assert points(lines, "TryAgain", sum, 1_000_000) == {0: 3, 3: 4, 9: 16}
    assert points(lines, "TryAgain", max, 1_000_000) == {0: 2, 3: 4, 9: 16}


@pytest.mark.parametrize("widget", widgets(), ids=lambda widget: widget["properties"]["title"])
def test_no_axis_says_a_minute_of_three_seconds(widget: dict[str, dict[str, dict[str, dict[str, str]]]]) -> None:
    """Other labels are the dashboard's."""
    shown = axis_label(widget["properties"])
    own = widget["properties"].get("yAxis", {}).get("left", {}).get("label", "")
    assert shown == ("in 3 s" if own == "a minute" else own)
