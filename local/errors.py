"""What ends `python -m local`: each message is one line, the last that the user reads."""


class LocalError(Exception):
    """The program prints this line without a traceback and exits with 1."""

    def __init__(self, message: str) -> None:
        """Put the message on one line."""
        super().__init__(" ".join(message.split()))


class TemplateError(LocalError):
    """template.yaml has something that local/ does not support."""


class EngineError(LocalError):
    """The embedded database cannot be found, started or used."""


class StartError(LocalError):
    """The program cannot start: a port in use, an unusable data folder, a part that does not come up."""


class FolderInUse(StartError):
    """Another program uses the data folder; `database` and `bus` are the addresses that it announced, if any."""

    def __init__(self, message: str, database: str | None, bus: str | None = None) -> None:
        """Take the message and the addresses."""
        super().__init__(message)
        self.database = database
        self.bus = bus
