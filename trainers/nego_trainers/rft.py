"""Rejection-filtered fine-tuning: clone the best episodes of each group.

    play    G episodes for each of a step's scenarios
    keep    those that reach their group's highest reward; none of a group whose rewards are all equal
    clone   maximise the likelihood of their dialogue tokens, every group and every token in it weighing the same

On-line (the default) the episodes are those of the policy as it is: expert iteration. `--offline` they are all of the model
at the start, whatever became of the policy: filtered fine-tuning on a fixed sampler. Both play as many episodes and make as
many updates as GRPO with the same options.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nego_env.errors import SettingsError
from nego_trainers.batch import Groups, WeightedRow, weigh
from nego_trainers.learner import BaselineSettings, Learner
from nego_trainers.rows import Row

EQUAL = 1e-9
"""Rewards that differ by less are equal."""


@dataclass(frozen=True)
class RFTSettings(BaselineSettings):
    """Options of rejection-filtered fine-tuning."""

    algorithm: ClassVar[str] = "rft"
    title: ClassVar[str] = "best-of-group fine-tuning"
    own: ClassVar[tuple[str, ...]] = ("offline",)
    shown: ClassVar[tuple[str, ...]] = ("loss",)

    offline: bool = False
    """Sample every episode from the model at the start, not from the policy as it is."""

    def check(self) -> None:
        """Raises `SettingsError`."""
        super().check()
        if self.engine == "trl" and self.updates > 1:
            raise SettingsError("--updates above 1 clips a ratio in --engine trl, and cloning has none: use torch")
        if self.offline and self.lora_rank:
            raise SettingsError("--offline keeps a copy of the whole model, which LoRA is there to avoid")
        if self.offline and self.opponent.partition(":")[0] in ("frozen", "pool"):
            raise SettingsError(f"--opponent {self.opponent} is a copy of the policy, and --offline samples from none")

    @property
    def samples_start(self) -> bool:
        """Off-line."""
        return self.offline

    def learner(self) -> Learner:
        """Best of group."""
        return BestOfGroup(self)


class BestOfGroup(Learner):
    """Advantage 1 for the best, nothing of the others."""

    likelihood = True

    def __init__(self, settings: RFTSettings) -> None:
        super().__init__(settings)
        self._kept = 0.0

    def weighed(self, groups: Groups, games: Sequence[str]) -> list[WeightedRow]:
        """The best rows; weights are over their tokens alone, and sum to 1."""
        best = [best_rows(group) for group in groups]
        played = sum(len(episode) for group in groups for episode in group)
        self._kept = sum(len(episode) for group in best for episode in group) / max(1, played)
        return weigh(best, advantage=np.ones_like, token_norm=self.token_norm)

    def figures(self) -> dict[str, float]:
        """`cloned`: share of the step's rows."""
        return {"cloned": self._kept}


def best_rows(group: Sequence[Sequence[Row]]) -> list[list[Row]]:
    """By episode, the rows whose reward is the highest that their seat had in the group; none of a seat whose rewards are
    all equal."""
    least, most = _extremes(row for episode in group for row in episode)
    return [
        [row for row in episode if row.reward is not None and row.reward > most[row.seat] - EQUAL > least[row.seat]]
        for episode in group
    ]


def _extremes(rows: Iterable[Row]) -> tuple[dict[str, float], dict[str, float]]:
    """By seat, the lowest and the highest reward."""
    least: dict[str, float] = {}
    most: dict[str, float] = {}
    for row in rows:
        if row.reward is not None:
            least[row.seat] = min(row.reward, least.get(row.seat, row.reward))
            most[row.seat] = max(row.reward, most.get(row.seat, row.reward))
    return least, most
