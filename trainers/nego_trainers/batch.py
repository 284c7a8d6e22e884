"""From groups of episodes to rows with an advantage and a weight per token: all that a step needs.

Weights follow one of two rules. N_g is the number of tokens that carry gradient in the scored episodes of group g, of which
there are n:

- `group`: 1 / (n N_g). Every token of a group weighs the same, every group weighs the same (arXiv 2603.10476, Eq. 1, then
  the mean over groups).
- `batch`: 1 / (N_1 + ... + N_n). Every token weighs the same, as in TRL's `dapo` loss; long groups weigh more.

Either way the weights of all tokens sum to 1. Unscored episodes have no weight and count in no denominator; episodes whose
advantage is 0 count in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nego_env.errors import unknown_name
from nego_trainers.advantages import Array, group_advantages
from nego_trainers.rows import Row

TokenNorm = Literal["group", "batch"]
Groups = Sequence[Sequence[Sequence[Row]]]
"""Groups of episodes of rows."""


@dataclass(frozen=True, slots=True)
class WeightedRow:
    """A row of a step."""

    row: Row
    advantage: float
    """Of the seat's episode in its group; one for all tokens of the row."""
    weight: float
    """Of one token, > 0."""


def weigh(
    groups: Groups, *, advantage: Callable[[Array], Array] = group_advantages, token_norm: TokenNorm = "group"
) -> list[WeightedRow]:
    """The scored rows of `groups`, in order. `groups[g][e]` are the rows of one episode, all seats that train.

    `advantage` maps rewards (G,) with nan for unscored episodes to advantages (G,). It sees one seat's rewards at a time, so
    that seats whose rewards differ have a baseline each; where they share the reward that makes no difference.
    Raises `NotFoundError` for another `token_norm`.
    """
    if token_norm not in ("group", "batch"):
        raise unknown_name("token normalisation", token_norm, ("group", "batch"))
    scored = [[[row for row in episode if row.reward is not None] for episode in group] for group in groups]
    counts = [sum(row.tokens for episode in group for row in episode) for group in scored]
    if token_norm == "group":
        n = sum(count > 0 for count in counts)
        weights = [1.0 / (n * count) if count else 0.0 for count in counts]
    else:
        weights = [1.0 / sum(counts) if sum(counts) else 0.0] * len(counts)
    weighed = []
    for group, weight in zip(scored, weights, strict=True):
        advantages = _by_seat(group, advantage)
        for e, episode in enumerate(group):
            weighed += [WeightedRow(row, float(advantages[row.seat][e]), weight) for row in episode]
    return weighed


def zero_variance(groups: Groups) -> int:
    """How many groups teach nothing: all scored rewards of each seat are equal, or none is scored."""
    return sum(all(len(set(r[~np.isnan(r)])) < 2 for r in _rewards(group).values()) for group in groups)


def _by_seat(group: Sequence[Sequence[Row]], advantage: Callable[[Array], Array]) -> dict[str, Array]:
    return {seat: advantage(rewards) for seat, rewards in _rewards(group).items()}


def _rewards(group: Sequence[Sequence[Row]]) -> dict[str, Array]:
    """By seat: the reward of each episode (G,), nan where that seat has none."""
    rewards: dict[str, Array] = {}
    for e, episode in enumerate(group):
        for row in episode:
            of_seat = rewards.setdefault(row.seat, np.full(len(group), np.nan))
            if row.reward is not None:
                of_seat[e] = row.reward
    return rewards
