"""Small-sample statistics for tables: means with bootstrap intervals.

Percentile bootstrap (Efron 1979) over episodes, with a generator of its own and a fixed seed, so that a table is the same
every time it is printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000


class Interval(NamedTuple):
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]" if self.n else "-"


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean and 95 % percentile-bootstrap interval; all NaN (n = 0) for no values."""
    data = np.asarray(values, dtype=np.float64)
    if not len(data):
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    rng = np.random.default_rng(0)
    means = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, 100):  # in blocks: memory stays flat for many episodes
        means[start : start + 100] = data[rng.integers(0, len(data), (100, len(data)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(data.mean()), float(low), float(high), len(data))
