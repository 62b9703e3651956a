"""Counts: a status says how old its counts are, and that is at most a second."""

from collections.abc import Iterator

from checker.checks.story import CLOCK_ERROR_S, COUNTS_AGE_S_MAX, Story, Violation


def check_counts(story: Story) -> Iterator[Violation]:
    """No counts are older than they may be, or from the future."""
    for one in story.of("status"):
        if not one.is_done or story.clock_jumped(one.begin - COUNTS_AGE_S_MAX, one.end):
            continue
        earliest = story.time_of(one.response.get("asOf", ""))
        if earliest is None:
            continue
        latest = earliest + 2 * CLOCK_ERROR_S
        if latest < one.begin - COUNTS_AGE_S_MAX or earliest > one.end:
            text = f"the counts in a response from {one.begin:.4f} to {one.end:.4f} are of {latest:.4f}"
            yield Violation("counts", one.event, text)
