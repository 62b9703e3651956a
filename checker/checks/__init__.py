"""The checks: pure functions of a history. Each states a documented promise, and reports only certain violations."""

from checker.checks.announcements import check_announced, check_stream
from checker.checks.bookings import check_bookings, check_facts
from checker.checks.changes import check_cancelled, check_changes, check_window
from checker.checks.counts import check_counts
from checker.checks.holds import check_holds
from checker.checks.lists import check_lists, check_openings, check_responses
from checker.checks.sales import check_sales
from checker.checks.story import Story, Violation
from checker.checks.tickets import check_order, check_positions, check_tickets
from checker.history import History

CHECKS = (
    check_responses,
    check_openings,
    check_bookings,
    check_facts,
    check_holds,
    check_tickets,
    check_order,
    check_positions,
    check_counts,
    check_sales,
    check_changes,
    check_window,
    check_cancelled,
    check_lists,
    check_stream,
    check_announced,
)


def judge(history: History) -> list[Violation]:
    """Return every violation that a history proves."""
    story = Story(history)
    found: list[Violation] = []
    for check in CHECKS:
        try:
            found += check(story)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            text = f"{check.__name__} cannot read a response, so some are not as documented: {error!r}"
            found.append(Violation("responses", "", text))
    return found
