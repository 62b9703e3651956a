"""The items of the simulated tables: changed in place and read in the order of their keys, as fast as a dictionary."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from proof.expressions import Item
from proof.requests import Key


class Store:
    """The tables. Items are never changed, only replaced."""

    def __init__(self) -> None:
        """Begin empty."""
        self._items: dict[Key, Item] = {}
        self._sizes: dict[Key, int] = {}
        self._keys: defaultdict[tuple[str, str | int], list[Key]] = defaultdict(list)  # by table and partition key

    def get(self, key: Key) -> Item | None:
        """Return an item."""
        return self._items.get(key)

    def of(self, table: str) -> Iterator[Item]:
        """Yield a table's items."""
        return (item for key, item in self._items.items() if key[0] == table)

    def keys_of(self, table: str, partition: str | int) -> Sequence[Key]:
        """Return the keys that share a partition key, in their order."""
        return self._keys.get((table, partition), ())

    def size(self, key: Key) -> int:
        """Return an item's size in bytes; 0 if there is none."""
        return self._sizes.get(key, 0)

    def put(self, key: Key, item: Item | None) -> None:
        """Replace an item; None removes it."""
        keys = self._keys[key[0], key[1][0]]
        if item is None:
            if self._items.pop(key, None) is not None:
                del keys[bisect_left(keys, key)], self._sizes[key]
            return
        if key not in self._items:
            insort(keys, key)
        self._items[key] = item
        self._sizes[key] = size_of(item)


def size_of(item: Item) -> int:
    """Return an item's size in bytes: its names and values, two digits of a number to a byte and one more.

    A list or a map has three bytes of its own, and one for each of its members.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name) + _size_of_value(value) for name, value in item.items())


def _size_of_value(value: Mapping[str, Any]) -> int:
    [(kind, content)] = value.items()
    if kind == "S":
        return len(content)
    if kind == "N":
        return len(content) // 2 + 1
    members = content.items() if kind == "M" else (("", member) for member in content)
    return 3 + sum(1 + len(name) + _size_of_value(member) for name, member in members)
