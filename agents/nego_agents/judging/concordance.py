"""How far two judges agree on the same items: exactly, within one point, by correlation, by quadratic weighted kappa.

Scores are integers from 0 to 5; others are rounded to the nearest, halves up. Arrays are (N,).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nego_env.accounting import CA_MAX
from nego_env.errors import SettingsError

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
LEVELS = int(CA_MAX) + 1


class Concordance(NamedTuple):
    """The figures of one pair of judges; None where one is not defined."""

    n: int
    exact: float | None
    """Share of items with the same score."""
    within_one: float | None
    """Share of items whose scores differ by at most 1."""
    pearson: float | None
    """None where a judge gives every item the same score."""
    kappa: float | None
    """1 is perfect, 0 what chance gives with the same marginals; None where both judges give every item one and the same
    score."""
    first_mean: float | None
    second_mean: float | None


def concordance(first: Sequence[float], second: Sequence[float]) -> Concordance:
    """How far the scores of two judges agree, item by item. Raises `SettingsError` for lists of different length and for a
    score outside [0, 5]."""
    a, b = levels(first), levels(second)
    if len(a) != len(b):
        raise SettingsError(f"{len(a)} scores beside {len(b)}: they must be of the same items")
    if not len(a):
        return Concordance(0, None, None, None, None, None, None)
    apart = np.abs(a - b)
    return Concordance(
        n=len(a),
        exact=float((apart == 0).mean()),
        within_one=float((apart <= 1).mean()),
        pearson=_pearson(a, b),
        kappa=weighted_kappa(a, b),
        first_mean=float(np.mean(first)),
        second_mean=float(np.mean(second)),
    )


def levels(scores: Sequence[float]) -> Integers:
    """Scores as integers. Raises `SettingsError` for one outside [0, 5]."""
    given = np.asarray(scores, dtype=np.float64)
    if not bool(((given >= 0) & (given <= CA_MAX)).all()):  # nan is not
        raise SettingsError(f"a score lies in [0, {CA_MAX:g}]; given: {scores}")
    return np.floor(given + 0.5).astype(np.int64)


def weighted_kappa(a: Integers, b: Integers) -> float | None:
    """Cohen's kappa with quadratic weights (Cohen 1968): 1 - sum(w O) / sum(w E), w_ij = (i - j)^2.

    O counts items by both scores, E is what independent judges with the same marginals would give. None where E holds no
    disagreement at all, and of no items."""
    observed: Floats = np.zeros((LEVELS, LEVELS))
    np.add.at(observed, (a, b), 1.0)
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / max(1, len(a))
    weights = np.subtract.outer(np.arange(LEVELS), np.arange(LEVELS)) ** 2
    chance = float((weights * expected).sum())
    return None if chance == 0 else 1.0 - float((weights * observed).sum()) / chance


def _pearson(a: Integers, b: Integers) -> float | None:
    spread = float(a.std() * b.std())
    if spread == 0:
        return None
    return float(((a - a.mean()) * (b - b.mean())).mean()) / spread
