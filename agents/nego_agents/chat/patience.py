"""How long to wait before a call is made again."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST = 120.0
"""A server that asks for a longer pause, in seconds, is believed to mean no."""


@dataclass(frozen=True)
class Patience:
    """Exponential back-off with jitter: the k-th pause lies in [1/2, 1] of first * 2^k, at most `most` seconds."""

    first: float = 0.5
    most: float = 30.0
    _random: random.Random = field(default_factory=random.Random, repr=False, compare=False)

    def pause(self, tried: int, after: float | None = None) -> float:
        """Seconds to wait after `tried` calls (1, 2, ...); at least what the server asked for (`after`)."""
        usual = min(self.most, self.first * 2.0 ** min(tried - 1, 30)) * (0.5 + 0.5 * self._random.random())
        if after is None:
            return usual
        return after + min(usual, 0.1 * after + 0.01)  # those that were told the same do not come back together


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds a server asks to wait: `Retry-After` as a number or a date, or `retry-after-ms`."""
    if (ms := _number(headers.get("retry-after-ms"))) is not None:
        return ms / 1000
    named = headers.get("Retry-After")
    if named is None or (seconds := _number(named)) is not None:
        return None if named is None else seconds
    try:
        when = parsedate_to_datetime(named)
    except (TypeError, ValueError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None
