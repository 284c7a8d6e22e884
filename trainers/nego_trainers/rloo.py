"""RLOO (Ahmadian et al. 2024, arXiv 2402.14740, sec. 3): REINFORCE whose baseline is the mean reward of the *other* episodes
of the group.

    A_i = r_i - mean of r_j over j != i          = G / (G - 1) (r_i - mean r)    where all G are scored

The baseline does not depend on what it is subtracted from, so the gradient is unbiased. No deviation is divided by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nego_trainers.advantages import leave_one_out
from nego_trainers.learner import BaselineSettings, Learner


@dataclass(frozen=True)
class RLOOSettings(BaselineSettings):
    """Options of RLOO."""

    algorithm: ClassVar[str] = "rloo"
    title: ClassVar[str] = "RLOO self-play"

    def learner(self) -> Learner:
        """Leave one out."""
        return Learner(self, leave_one_out)
