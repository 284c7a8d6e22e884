"""REINFORCE with role-conditioned baselines (SPIRAL, arXiv 2506.24119, Eq. 2): what a role usually earns is subtracted.

    A = r - b[role]
    b[role] <- d b[role] + (1 - d) (mean reward of the role in this step)        after the update

A role is a seat in a kind of dilemma (structured or open, with so many seats). Nothing is compared within a group, so a
group may be a single episode. Where SPIRAL moves the baseline with every episode before subtracting it, here an episode is
compared with what was known before its step; in a role's first step that is the step's own mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from nego_env.errors import SettingsError
from nego_trainers.batch import Groups, WeightedRow, weigh
from nego_trainers.learner import BaselineSettings, Learner


@dataclass(frozen=True)
class ReinforceSettings(BaselineSettings):
    """Options of REINFORCE."""

    algorithm: ClassVar[str] = "reinforce"
    title: ClassVar[str] = "REINFORCE self-play"
    own: ClassVar[tuple[str, ...]] = ("baseline_decay",)
    smallest_group: ClassVar[int] = 1

    baseline_decay: float = 0.9
    """d: how much of a role's baseline is kept from one step to the next."""

    def check(self) -> None:
        """Raises `SettingsError`."""
        super().check()
        if not 0 <= self.baseline_decay < 1:
            raise SettingsError(f"--baseline-decay is {self.baseline_decay:g}, it must lie in [0, 1)")
        if self.dynamic_sampling:
            raise SettingsError("--dynamic-sampling replaces groups of equal rewards; reinforce learns from them too")

    def learner(self) -> Learner:
        """With baselines of its own."""
        return RoleBaselines(self)


class RoleBaselines(Learner):
    """Advantages against a moving average by role."""

    def __init__(self, settings: ReinforceSettings) -> None:
        super().__init__(settings)
        self.decay = settings.baseline_decay
        self.baselines: dict[str, float] = {}
        """By role, `structured-2/seat_0`."""
        self._next: dict[str, float] = {}

    def weighed(self, groups: Groups, games: Sequence[str]) -> list[WeightedRow]:
        """Every scored row, against its role's baseline. A row's episode counts once, however many rows it has."""
        game_of = {row.group: game for group, game in zip(groups, games, strict=True) for e in group for row in e}
        rewards: dict[str, dict[tuple[str, int], float]] = {}
        for row in (row for group in groups for episode in group for row in episode):
            if row.reward is not None:
                rewards.setdefault(f"{game_of[row.group]}/{row.seat}", {})[row.episode, row.attempt] = row.reward
        means = {role: math.fsum(found.values()) / len(found) for role, found in rewards.items()}
        known = means | self.baselines
        self._next = self.baselines | {
            role: self.decay * known[role] + (1 - self.decay) * mean for role, mean in means.items()
        }
        return [
            replace(w, advantage=(w.row.reward or 0.0) - known[f"{game_of[w.row.group]}/{w.row.seat}"])
            for w in weigh(groups, token_norm=self.token_norm)
        ]

    def updated(self) -> None:
        """The baselines move."""
        self.baselines = self._next

    def figures(self) -> dict[str, float]:
        """`baseline ROLE`, as it stands after the step."""
        return {f"baseline {role}": value for role, value in sorted(self.baselines.items())}

    def state(self) -> dict[str, Any]:
        """The baselines."""
        return {"baselines": self.baselines}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from them."""
        self.baselines = {str(role): float(value) for role, value in state["baselines"].items()}
