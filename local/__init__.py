"""The ticket office on one machine: the same handlers, the same template, no Docker (`python -m local`)."""

import signal
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
