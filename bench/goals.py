"""The goals for the figures: ratios within one run. No test asserts them: machines differ, and some are noisy."""

COMMITS_OF_JOIN = "two commits of join"

# Of a load's rate: that of which other row of the same run it should reach, and how much of it.
GOALS = {
    "book, 64 in flight": ("floor of book, 64 in flight", 0.75),  # bare boto3 clients
    "join, 64 in flight": (COMMITS_OF_JOIN, 0.85),  # where the engine is the limit
}
