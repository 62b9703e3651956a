"""The error that ends a command with one line and exit code 2."""


class OpsError(Exception):
    """Ends a command with this line."""

    def __init__(self, message: str) -> None:
        """Take a message and put it on one line."""
        super().__init__(" ".join(message.split()))
