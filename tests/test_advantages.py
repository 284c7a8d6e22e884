"""Advantages and token weights, worked by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nego_env.errors import NotFoundError
from nego_trainers.advantages import group_advantages, leave_one_out
from nego_trainers.batch import WeightedRow, weigh, zero_variance
from nego_trainers.rows import Row

NAN = math.nan
REWARDS = st.lists(st.floats(0, 5), min_size=2, max_size=8)


# arXiv 2603.10476, group of 8, k failures at 0 and the rest equal: mean m = (8 - k) r / 8, variance m (r - m), so a failure
# has -m / sqrt(m (r - m)) = -sqrt((8 - k) / k); with 7 in the variance's denominator, sqrt(7/8) of it
@pytest.mark.parametrize(
    ("failures", "population", "sample"),
    [(1, -2.646, -2.475), (2, -1.732, -1.620), (3, -1.291, -1.208), (4, -1.000, -0.935)],
)
@pytest.mark.parametrize("success", [5.0, 3.2])
def test_failures_among_equal_successes(failures: int, population: float, sample: float, success: float) -> None:
    rewards = [0.0] * failures + [success] * (8 - failures)
    assert group_advantages(rewards)[0] == pytest.approx(population, abs=5e-4)
    assert group_advantages(rewards, normalise="sample")[0] == pytest.approx(sample, abs=5e-4)


def test_a_group_by_hand() -> None:
    # mean 2, deviations -2 -1 3, population variance 14/3, sample variance 7
    assert group_advantages([0, 1, 5], eps=0) == pytest.approx(np.array([-2, -1, 3]) / math.sqrt(14 / 3))
    assert group_advantages([0, 1, 5], normalise="sample", eps=0) == pytest.approx(np.array([-2, -1, 3]) / math.sqrt(7))
    assert group_advantages([0, 1, 5], normalise="none") == pytest.approx([-2, -1, 3])
    assert group_advantages([0, 1, 5])[1] == pytest.approx(
        -0.46, abs=0.005
    )  # the same ranks as 0 1 2, not the same figures


@pytest.mark.parametrize("reward", [0.0, 0.1, 1 / 3, 4.999999])
@pytest.mark.parametrize("normalise", ["population", "sample", "none"])
def test_equal_rewards_give_exactly_zero(reward: float, normalise: str) -> None:
    assert (group_advantages([reward] * 7, normalise=normalise) == 0.0).all()  # type: ignore[arg-type]
    assert (leave_one_out([reward] * 7) == 0.0).all()


@given(REWARDS, st.floats(0.5, 20), st.floats(-10, 10))
def test_affine_rewards_have_the_same_advantages(rewards: list[float], a: float, b: float) -> None:
    if np.ptp(rewards) < 0.01:
        return
    moved = [a * r + b for r in rewards]
    assert group_advantages(moved, eps=0) == pytest.approx(group_advantages(rewards, eps=0), rel=1e-6, abs=1e-6)


@given(REWARDS, st.data())
def test_unscored_episodes_enter_no_statistic(rewards: list[float], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(rewards)))
    with_gap = [*rewards[:at], NAN, *rewards[at:]]
    for advantage in (group_advantages, leave_one_out):
        found = advantage(with_gap)
        assert np.isnan(found[at])
        assert np.delete(found, at) == pytest.approx(advantage(rewards))


@given(REWARDS)
def test_leave_one_out_is_the_centred_reward_scaled(rewards: list[float]) -> None:
    n = len(rewards)
    assert leave_one_out(rewards) == pytest.approx(group_advantages(rewards, normalise="none") * n / (n - 1), abs=1e-9)


def test_groups_of_none_and_one() -> None:
    assert group_advantages([]).shape == (0,)
    assert np.isnan(group_advantages([NAN, NAN])).all()
    assert group_advantages([NAN, 3.0])[1] == 0.0
    assert leave_one_out([3.0, NAN])[0] == 0.0
    with pytest.raises(NotFoundError, match="did you mean 'sample'"):
        group_advantages([1.0], normalise="samples")  # type: ignore[arg-type]


# ---------------------------------------------------------------- weights
def row(tokens: int, reward: float | None, episode: str = "a", group: str = "g", seat: str = "seat_0") -> Row:
    """A row of that many trained tokens between two of somebody else's."""
    mask = (0, *([1] * (tokens - 1)), 0, 1)
    return Row((1,), (7,) * len(mask), mask, (0.0,) * len(mask), episode, 0, group, seat, reward)


GROUPS = [
    [[row(4, 5.0, "a")], [row(2, 0.0, "b"), row(3, 0.0, "b")], [row(9, None, "c")]],  # 9 scored tokens
    [[row(2, 1.0, "d", "h")], [row(1, 1.0, "e", "h")]],  # 3
    [[row(8, None, "f", "i")], []],  # nothing scored
]


def figures(rows: Sequence[WeightedRow]) -> list[tuple[str, float, float]]:
    return [(r.row.episode, r.advantage, r.weight) for r in rows]


def test_every_token_of_a_group_weighs_the_same_and_every_group() -> None:
    found = figures(weigh(GROUPS, token_norm="group"))
    ninth, third = pytest.approx(1 / 2 / 9), pytest.approx(1 / 2 / 3)
    one = pytest.approx(1, abs=1e-6)
    minus = pytest.approx(-1, abs=1e-6)
    assert found == [("a", one, ninth), ("b", minus, ninth), ("b", minus, ninth), ("d", 0.0, third), ("e", 0.0, third)]


def test_every_token_of_a_batch_weighs_the_same() -> None:
    assert {r.weight for r in weigh(GROUPS, token_norm="batch")} == {1 / 12}


@pytest.mark.parametrize("token_norm", ["group", "batch"])
def test_weights_of_all_tokens_sum_to_one(token_norm: str) -> None:
    found = weigh(GROUPS, token_norm=token_norm)  # type: ignore[arg-type]
    assert sum(r.weight * r.row.tokens for r in found) == pytest.approx(1)


def test_a_group_of_equal_rewards_still_takes_its_share() -> None:
    alone = weigh(GROUPS[:1])
    assert weigh(GROUPS)[0].weight == alone[0].weight / 2
    assert zero_variance(GROUPS) == 2


def test_seats_with_rewards_of_their_own_have_baselines_of_their_own() -> None:
    group = [
        [row(1, 4.0, "a"), row(1, 1.0, "a", seat="seat_1")],
        [row(1, 2.0, "b"), row(1, 3.0, "b", seat="seat_1")],
    ]
    found = weigh([group], advantage=lambda r: group_advantages(r, normalise="none"))
    assert [r.advantage for r in found] == [1.0, -1.0, -1.0, 1.0]


def test_nothing_to_weigh() -> None:
    assert weigh([]) == []
    assert weigh(GROUPS[2:]) == []
    with pytest.raises(NotFoundError, match="token normalisation"):
        weigh([], token_norm="tokens")  # type: ignore[arg-type]
