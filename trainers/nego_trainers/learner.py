"""What tells one language trainer from another: how much each row of a step counts. Everything else is one loop for all.

    groups of rewards -> weighed() -> rows with an advantage and a token weight -> the same update

A learner may remember something from step to step (a baseline). It is kept with the checkpoint, and moves on only when the
update of its step is made, so that a run that was cut short repeats the step as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from nego_env.errors import SettingsError
from nego_trainers.advantages import Array, group_advantages
from nego_trainers.batch import Groups, WeightedRow, weigh
from nego_trainers.settings import GRPOSettings


class Learner:
    """Advantages from the rewards of a group alone; with `group_advantages` it is GRPO."""

    likelihood = False
    """Rows are imitated: the loss is their negative log-likelihood, and there is no ratio to clip."""

    def __init__(self, settings: GRPOSettings, advantage: Callable[[Array], Array] | None = None) -> None:
        """`advantage`: rewards of a seat's episodes (G,), nan where unscored, to advantages (G,)."""
        self.token_norm = settings.token_norm
        self.advantage = advantage or partial(group_advantages, normalise=settings.normalise)

    def weighed(self, groups: Groups, games: Sequence[str]) -> list[WeightedRow]:
        """The rows to learn from. `groups[g][e]` are the rows of an episode; `games[g]` names the kind of dilemma."""
        return weigh(groups, advantage=self.advantage, token_norm=self.token_norm)

    def updated(self) -> None:
        """The update on the rows that were weighed last is made."""

    def figures(self) -> dict[str, float]:
        """What else to write down of a step."""
        return {}

    def state(self) -> dict[str, Any]:
        """What it remembers, for a checkpoint; empty where that is nothing."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from a `state()`."""


@dataclass(frozen=True)
class BaselineSettings(GRPOSettings):
    """Options of a trainer whose advantages are not normalised by a group's deviation."""

    def check(self) -> None:
        """As for GRPO; and raises `SettingsError` for a deviation to divide by."""
        super().check()
        if self.normalise != "none":
            raise SettingsError(f"--normalise {self.normalise}: {self.algorithm} divides by no deviation; leave it out")
