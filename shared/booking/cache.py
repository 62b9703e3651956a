"""What a warm function remembers from one request to the next: at most so many values, dropping the oldest first."""

from typing import Generic, TypeVar

from shared import runtime

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Values by key. The current runtime holds them, so a replaced runtime starts cold."""

    def __init__(self, kind: str, maxsize: int) -> None:
        """Make a cache of at most `maxsize` values; `kind` distinguishes it from other caches."""
        self._kind = kind
        self.maxsize = maxsize

    @property
    def values(self) -> dict[str, Value]:
        """Return the values by key."""
        return runtime.current.memory.setdefault(self._kind, {})

    def get(self, key: str) -> Value | None:
        """Return the value, if it is remembered."""
        return self.values.get(key)

    def drop(self, key: str) -> None:
        """Forget a value, if it is remembered."""
        self.values.pop(key, None)

    def keep(self, key: str, value: Value) -> Value:
        """Remember a value and return it; drop the oldest when there are too many."""
        values = self.values
        values[key] = value
        if len(values) > self.maxsize:
            del values[next(iter(values))]
        return value
