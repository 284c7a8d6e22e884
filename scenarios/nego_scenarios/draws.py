"""Streams of integers, each named by its key: what a seed gives is the same on every machine and with every NumPy.

Randomness is raw 64-bit output of PCG64, whose stream NumPy guarantees across versions (NEP 19) where those of `Generator`
methods may change, and all arithmetic is on integers. A change to what a seed gives is a new `VERSION`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

VERSION = "1"
"""Goes into every seed and into `meta["generator"]`."""

T = TypeVar("T")


class Draws:
    """A stream of integers, named by its key and independent of every other stream."""

    def __init__(self, *key: object) -> None:
        name = "\n".join((VERSION, *map(str, key))).encode()
        self._raw = np.random.PCG64(np.random.SeedSequence(int.from_bytes(hashlib.sha256(name).digest()))).random_raw

    def between(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + (int(self._raw()) * (high - low + 1) >> 64)

    def percent(self, chance: int) -> bool:
        """True with a chance of so many per cent."""
        return self.between(0, 99) < chance

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.between(0, len(items) - 1)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """All of the items in random order (Fisher and Yates)."""
        out = list(items)
        for i in range(len(out) - 1, 0, -1):
            j = self.between(0, i)
            out[i], out[j] = out[j], out[i]
        return out
