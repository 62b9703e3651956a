"""The ticket office on one machine: the same handlers, the same template, no Docker (`python -m local`)."""

import signal

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
