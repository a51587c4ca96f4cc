"""A dict that keeps what was used last and forgets the rest."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Lru(Generic[K, V]):
    """``get``: the value, now the youngest; None when it is not kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: dict[K, V] = {}
        # Order matters only when something is about to be forgotten; keeping it costs more than the look-up.
        self.get: Callable[[K], V | None] = self._items.get

    def __contains__(self, key: K) -> bool:
        return key in self._items

    def __len__(self) -> int:
        return len(self._items)

    def put(self, key: K, value: V) -> None:
        """Keeps the value; the caller trims when it no longer needs everything at hand."""
        self._items.pop(key, None)
        self._items[key] = value
        if len(self._items) * 2 > self._limit:
            self.get = self._rejuvenated

    def trim(self) -> None:
        # A dict finds its first item behind all it has lost: many are forgotten in one go, and seldom.
        if len(self._items) > self._limit + self._limit // 16:
            for key in list(islice(self._items, len(self._items) - self._limit)):
                del self._items[key]

    def clear(self) -> None:
        self._items.clear()
        self.get = self._items.get

    def _rejuvenated(self, key: K) -> V | None:
        if key not in self._items:
            return None
        value = self._items[key] = self._items.pop(key)
        return value
