"""Advantages: how much better an episode went than its group. Arrays of shape (G,), one figure per episode; nan marks an
unscored one, which enters no statistic and stays nan.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nego_env.errors import unknown_name

Normalise = Literal["population", "sample", "none"]
"""What the centred reward is divided by: the group's standard deviation over G or over G - 1, or nothing."""
Array: TypeAlias = NDArray[np.float64]


def group_advantages(rewards: ArrayLike, *, normalise: Normalise = "population", eps: float = 1e-6) -> Array:
    """`(r - mean) / (std + eps)` inside one group (arXiv 2603.10476, Alg. 1); exactly 0 where all scored rewards are equal.

    The paper says neither which standard deviation nor which eps; the population's is the default here. `none` only centres.
    Raises `NotFoundError` for another `normalise`.
    """
    if normalise not in ("population", "sample", "none"):
        raise unknown_name("normalisation", normalise, ("population", "sample", "none"))
    r = np.asarray(rewards, dtype=np.float64)
    scored = r[~np.isnan(r)]
    if scored.size == 0 or scored.min() == scored.max():  # the mean of equal numbers need not be that number
        return np.where(np.isnan(r), np.nan, 0.0)
    centred: Array = r - scored.mean()
    if normalise == "none":
        return centred
    scaled: Array = centred / (scored.std(ddof=1 if normalise == "sample" else 0) + eps)
    return scaled


def leave_one_out(rewards: ArrayLike) -> Array:
    """`r_i` minus the mean of the other scored rewards of its group (RLOO, arXiv 2402.14740, sec. 3); 0 for a lone one."""
    r = np.asarray(rewards, dtype=np.float64)
    scored = r[~np.isnan(r)]
    if scored.size < 2 or scored.min() == scored.max():
        return np.where(np.isnan(r), np.nan, 0.0)
    left: Array = r - (scored.sum() - r) / (scored.size - 1)
    return left
