"""What stops `python -m local`: every message is one line, fit to be the last one a user reads.

LocalError
    ├── TemplateError    template.yaml says something that local/ does not understand
    ├── EngineError      the embedded database cannot be found, started or used
    └── StartError       a port in use, a data folder that cannot be used, a part that does not come up
        └── FolderInUse  another program has the data folder; it may say where database and bus are
"""


class LocalError(Exception):
    """Stop with this line; the program prints it without a traceback and exits with 1."""

    def __init__(self, message: str) -> None:
        """Take a message and put it on one line."""
        super().__init__(" ".join(message.split()))


class TemplateError(LocalError):
    """Say what in template.yaml is not understood, and where."""


class EngineError(LocalError):
    """Say why there is no database."""


class StartError(LocalError):
    """Say why the program cannot start, or cannot go on."""


class FolderInUse(StartError):
    """Say who has the data folder; `database` and `bus` are what that program announced.

    For example "embedded http://127.0.0.1:1" and "http://127.0.0.1:2".
    """

    def __init__(self, message: str, database: str | None, bus: str | None = None) -> None:
        """Take the message, and the announcements where there are some."""
        super().__init__(message)
        self.database = database
        self.bus = bus
