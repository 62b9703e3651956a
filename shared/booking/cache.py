"""What a warm function remembers from one request to the next: so much, and the oldest is forgotten first."""

from typing import TypeVar

Value = TypeVar("Value")


def keep(memory: dict[str, Value], key: str, value: Value, most: int) -> Value:
    """Remember a value, and no more than so many of them; return it."""
    memory[key] = value
    if len(memory) > most:
        del memory[next(iter(memory))]
    return value
