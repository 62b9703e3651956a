"""The goals for the figures. No test asserts them, because machines differ and some are noisy."""

# The fastest public Express and PostgreSQL service found, on such a machine, at 64 in flight. Another one reads 1,232 a
# second.
FASTEST = {"book, 64 in flight": 666, "join, 64 in flight": 679, "status of 1 lane, 64 in flight": 1232}
TIMES_THE_FASTEST = 2
P99_MS = {"book, 16 in flight": 40}
OF_THE_FLOOR = 0.75  # of bare boto3 clients: bookings at 64 in flight
COMMITS_OF_JOIN = "two commits of join"
OF_ITS_COMMITS = 0.85  # of a join: the rate of its two commits, where the engine is the limit
