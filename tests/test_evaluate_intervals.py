"""Means, interquartile means and their bootstrap intervals, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nego_env.errors import SettingsError
from nego_trainers.intervals import Bootstrap, Estimate, Floats, iqm, mean

NAN = float("nan")


def cube(*rows: list[float]) -> Floats:
    """(R, S, 1) from one row per run."""
    return np.array(rows, dtype=np.float64)[:, :, None]


# ---------------------------------------------------------------- figures
@pytest.mark.parametrize(
    ("values", "middle"),
    [
        ([1, 2, 3, 4], 2.5),  # 1 and 4 are cut
        ([0, 0, 3, 5, 100], 8 / 3),  # a quarter of 5 is 1: 0 and 100 are cut
        ([7, 1, 2, 3, 4, 5, 6, 1000], 4.5),  # 3 4 5 6 are left
        ([1, 2, 9], 4.0),  # nothing to cut
        ([5], 5.0),
        ([NAN, 1, 2, NAN, 3, 4], 2.5),
    ],
)
def test_the_interquartile_mean_of_known_numbers(values: list[float], middle: float) -> None:
    assert iqm(np.array(values)) == pytest.approx(middle, rel=1e-12)


def test_nothing_to_average() -> None:
    empty = np.array([NAN, NAN])
    assert np.isnan(mean(empty))
    assert np.isnan(iqm(empty))
    found = Bootstrap([0, 0]).estimate(cube([NAN, NAN]))
    assert found.n == 0
    assert np.isnan(found.value)
    assert str(found) == "-"


# ---------------------------------------------------------------- resamples
@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_a_resample_is_what_drawing_the_episodes_would_give(statistic: str) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(3, 24, 2))
    values[rng.random(values.shape) < 0.2] = NAN
    boot = Bootstrap(["a"] * 12 + ["b"] * 12, resamples=70)  # more than one block
    draws = boot.draws(values, statistic)  # type: ignore[arg-type]
    runs, scenarios = boot.runs(3).astype(int), boot.scenarios.astype(int)
    for b in (0, 1, 63, 64, 69):
        drawn = np.repeat(np.repeat(values, runs[b], axis=0), scenarios[b], axis=1)
        expected = mean(drawn) if statistic == "mean" else iqm(drawn)
        assert draws[b] == pytest.approx(expected, abs=1e-12)


def test_every_stratum_keeps_its_size_and_small_ones_are_drawn_together() -> None:
    strata = ["a"] * 20 + ["b"] * 10 + ["c", "d", "e"] * 3
    boot = Bootstrap(strata, resamples=50)
    assert (boot.scenarios[:, :20].sum(axis=1) == 20).all()
    assert (boot.scenarios[:, 20:30].sum(axis=1) == 10).all()
    assert (boot.scenarios[:, 30:].sum(axis=1) == 9).all()
    assert boot.scenarios[:, [i for i, s in enumerate(strata) if s == "c"]].sum(axis=1).std() > 0
    assert (boot.runs(4).sum(axis=1) == 4).all()


def test_the_same_seed_gives_the_same_interval_in_any_company() -> None:
    values = np.random.default_rng(0).normal(size=(2, 30, 2))
    first = Bootstrap(["x"] * 30, seed=3).estimate(values)
    other = Bootstrap(["x"] * 30, seed=3)
    other.estimate(values[:1], "iqm")  # asked for something else before
    assert other.estimate(values) == first
    assert Bootstrap(["x"] * 30, seed=4).estimate(values) != first


def test_no_spread_no_width() -> None:
    assert Bootstrap([0] * 10).estimate(np.full((3, 10, 2), 2.5)) == Estimate(2.5, 2.5, 2.5, 60)


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_intervals_cover_the_truth_about_as_often_as_they_say(statistic: str) -> None:
    """Runs and scenarios both vary; 95 % intervals over 8 runs are somewhat narrow, as percentile intervals are."""
    rng = np.random.default_rng(5)
    covered = 0
    tries = 150
    for t in range(tries):
        values = 1.0 + 0.3 * rng.normal(size=(8, 1, 1)) + rng.normal(size=(1, 40, 1)) + rng.normal(size=(8, 40, 2))
        found = Bootstrap(["s"] * 40, resamples=300, seed=t).estimate(values, statistic)  # type: ignore[arg-type]
        covered += found.low <= 1.0 <= found.high
    assert 0.87 <= covered / tries <= 1.0


def test_scenarios_alone_would_be_too_sure() -> None:
    """A lucky run is lucky everywhere: the interval has to be as wide as runs differ."""
    values = np.repeat(np.array([0.0, 1.0, 2.0, 3.0, 4.0])[:, None, None], 200, axis=1)
    found = Bootstrap(["s"] * 200).estimate(values)
    assert found.high - found.low > 1.5


def test_a_paired_difference_is_narrower_than_the_intervals() -> None:
    rng = np.random.default_rng(0)
    scenario = rng.normal(size=(1, 100, 1)) * 3
    one, two = scenario + 0.5, scenario + 0.01 * rng.normal(size=(1, 100, 1))
    boot = Bootstrap(["s"] * 100)
    difference = boot.difference(one, two)
    assert difference.value == pytest.approx(0.5, abs=0.01)
    assert difference.high - difference.low < 0.05
    assert not boot.estimate(one).apart(boot.estimate(two))
    assert Estimate(1, 0.9, 1.1, 5).apart(Estimate(2, 1.9, 2.1, 5))


def test_the_median_of_a_field() -> None:
    boot = Bootstrap(["s"] * 20)
    field = [np.full((1, 20, 1), x) for x in (1.0, 2.0, 9.0)]
    assert boot.median(field) == Estimate(2.0, 2.0, 2.0, 60)
    with pytest.raises(SettingsError, match="no entries"):
        boot.median([])


def test_mistakes() -> None:
    with pytest.raises(SettingsError, match="at least 2 resamples"):
        Bootstrap(["s"], resamples=1)
    with pytest.raises(SettingsError, match=r"expected \(runs, 3, seatings\)"):
        Bootstrap(["s"] * 3).estimate(cube([1.0, 2.0]))
