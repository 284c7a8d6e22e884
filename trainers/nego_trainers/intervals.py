"""Means and interquartile means with bootstrap intervals, over runs and scenarios at once.

After Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice" (their library: rliable):
few runs are reported with intervals, and the interquartile mean (IQM, the mean of the middle half) stands beside the mean,
because it is less moved by outliers and less wasteful than the median. Two things differ from theirs, on purpose:

1. A *run* is one seed of one policy, played on every scenario. Whole runs are drawn with replacement: a lucky training seed
   is lucky everywhere, so its scenarios are not independent draws (rliable draws runs anew for each task).
2. Scenarios are drawn with replacement too, within strata (shapes), because the claim is about scenarios of this kind and
   not about these. The seatings of a scenario stay together.

One `Bootstrap` serves every entry of a comparison: all of them see the same drawn scenarios, so that intervals of
differences are paired. Percentile intervals (Efron 1979); own generator, seeded.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from nego_env.errors import SettingsError

Floats = npt.NDArray[np.float64]
Statistic = Literal["mean", "iqm"]

RESAMPLES = 2000
LEAST_STRATUM = 10
"""Strata with fewer scenarios are drawn together: within a stratum of one, nothing would ever vary."""
_BLOCK = 64


class Estimate(NamedTuple):
    """A figure with its interval; all nan where there is nothing to average."""

    value: float
    low: float
    high: float
    n: int
    """Episodes it is computed from."""

    def apart(self, other: Estimate) -> bool:
        """The intervals do not meet."""
        return self.low > other.high or self.high < other.low

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]" if self.n else "-"


def mean(values: Floats) -> float:
    """Mean of the values that are there (not nan); nan where none is."""
    found = values[np.isfinite(values)]
    return float(found.mean()) if len(found) else float("nan")


def iqm(values: Floats) -> float:
    """Mean of what is left when a quarter of the values, rounded down, is cut from either end; nan of no values."""
    found = np.sort(values[np.isfinite(values)])
    cut = len(found) // 4
    return float(found[cut : len(found) - cut].mean()) if len(found) else float("nan")


class Bootstrap:
    """Resamples of runs and scenarios, drawn once.

    Values are arrays (R, S, K): R runs, S scenarios, K seatings, nan where there is no figure. Entries may differ in R.
    """

    def __init__(
        self, strata: Sequence[Hashable], *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
    ) -> None:
        """`strata`: the stratum of every scenario, (S,). `level` of the intervals, in (0, 1). Raises `SettingsError`."""
        if resamples < 2 or not 0 < level < 1:
            raise SettingsError(f"resamples={resamples}, level={level}: at least 2 resamples, level between 0 and 1")
        self.resamples, self.level = resamples, level
        self._seed = seed
        rng = np.random.default_rng([seed, 0])
        self.scenarios: Floats = np.zeros((resamples, len(strata)))
        """(B, S): how often each scenario is drawn."""
        for members in _groups(strata):
            even = np.full(len(members), 1 / len(members))
            self.scenarios[:, members] = rng.multinomial(len(members), even, size=resamples)

    def runs(self, count: int) -> Floats:
        """(B, R): how often each of so many runs is drawn."""
        rng = np.random.default_rng([self._seed, count])
        return rng.multinomial(count, np.full(count, 1 / count), size=self.resamples).astype(np.float64)

    def draws(self, values: Floats, statistic: Statistic = "mean") -> Floats:
        """(B,): the statistic of every resample; nan for one that drew nothing."""
        self._check(values)
        return self._means(values) if statistic == "mean" else self._iqms(values)

    def estimate(self, values: Floats, statistic: Statistic = "mean") -> Estimate:
        """The statistic with its interval."""
        value = mean(values) if statistic == "mean" else iqm(values)
        return self.interval(value, self.draws(values, statistic), int(np.isfinite(values).sum()))

    def difference(self, first: Floats, second: Floats, statistic: Statistic = "mean") -> Estimate:
        """First minus second, the same scenarios drawn for both."""
        of = mean if statistic == "mean" else iqm
        n = min(int(np.isfinite(v).sum()) for v in (first, second))
        return self.interval(of(first) - of(second), self.draws(first, statistic) - self.draws(second, statistic), n)

    def median(self, many: Sequence[Floats], statistic: Statistic = "mean") -> Estimate:
        """The median over several entries of their statistic, with its interval. Raises `SettingsError` for none."""
        if not many:
            raise SettingsError("the median of no entries")
        of = mean if statistic == "mean" else iqm
        value = float(np.median([of(v) for v in many]))
        drawn = np.median(np.stack([self.draws(v, statistic) for v in many]), axis=0)
        return self.interval(value, drawn, sum(int(np.isfinite(v).sum()) for v in many))

    def interval(self, value: float, draws: Floats, n: int) -> Estimate:
        """The percentile interval of resampled statistics around a value."""
        found = draws[np.isfinite(draws)]
        if not n or not len(found):
            return Estimate(float("nan"), float("nan"), float("nan"), 0)
        tail = (1 - self.level) / 2
        low, high = np.quantile(found, (tail, 1 - tail))
        return Estimate(value, float(low), float(high), n)

    def _check(self, values: Floats) -> None:
        if values.ndim != 3 or values.shape[1] != self.scenarios.shape[1]:
            raise SettingsError(f"values of shape {values.shape}; expected (runs, {self.scenarios.shape[1]}, seatings)")

    def _means(self, values: Floats) -> Floats:
        there = np.isfinite(values)
        runs = self.runs(len(values))
        total = ((runs @ np.where(there, values, 0.0).sum(axis=2)) * self.scenarios).sum(axis=1)
        count = ((runs @ there.sum(axis=2)) * self.scenarios).sum(axis=1)
        out: Floats = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
        return out

    def _iqms(self, values: Floats) -> Floats:
        """As `iqm` of the drawn values: sorted once, each with the number of times it was drawn."""
        run, scenario, seating = np.nonzero(np.isfinite(values))
        found = values[run, scenario, seating]
        order = np.argsort(found, kind="stable")
        found, run, scenario = found[order], run[order], scenario[order]
        runs = self.runs(len(values))
        out = np.full(self.resamples, np.nan)
        for at in range(0, self.resamples, _BLOCK):
            weight = runs[at : at + _BLOCK, run] * self.scenarios[at : at + _BLOCK, scenario]
            upto = np.cumsum(weight, axis=1)
            total = upto[:, -1:] if len(found) else np.zeros((len(weight), 1))
            cut = total // 4
            kept = np.clip(upto, cut, total - cut) - np.clip(upto - weight, cut, total - cut)
            middle = (total - 2 * cut)[:, 0]
            out[at : at + _BLOCK] = np.divide(kept @ found, middle, out=np.full(len(weight), np.nan), where=middle > 0)
        return out


def _groups(strata: Sequence[Hashable]) -> list[list[int]]:
    """Positions by stratum, in order of appearance; small strata together."""
    found: dict[Hashable, list[int]] = {}
    for i, s in enumerate(strata):
        found.setdefault(s, []).append(i)
    large = [members for members in found.values() if len(members) >= LEAST_STRATUM]
    small = [i for members in found.values() if len(members) < LEAST_STRATUM for i in members]
    return [*large, small] if small else large
