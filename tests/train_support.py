"""What tests of the training loop share: a small random model, a judge that gives rewards to learn from, quick options."""

from __future__ import annotations

from typing import Any

from support import dilemma

from nego_env.scenario import Scenario
from nego_trainers.dry_run import ScriptedJudge, random_model
from nego_trainers.policy import Policy, fresh_policy
from nego_trainers.settings import GRPOSettings

JUDGE = ScriptedJudge()


class OneDilemma:
    """A source of one open dilemma, whose rewards a scripted judge spreads over 0 to 5."""

    name = "one-dilemma"

    def group(self, step: int, group: int) -> Scenario:
        """The dilemma."""
        return dilemma()

    def bounds(self) -> tuple[int, int]:
        """Two seats, seven rounds."""
        return 2, 7


def options(**changed: Any) -> GRPOSettings:
    """Two groups of three, two rounds, a few tokens, one step."""
    quick: dict[str, Any] = {
        "model": "random-qwen3", "groups": 2, "group_size": 3, "max_rounds": 2, "max_new_tokens": 6, "steps": 1,
        "warmup": 0, "judge": JUDGE.name, "completion": "write", "threads": None, "save_every": 100,
    }  # fmt: skip
    return GRPOSettings(**(quick | changed))


def policy(settings: GRPOSettings, seed: int = 0) -> Policy:
    """A random model under training."""
    found = dilemma()
    texts = [found.task, *(s.persona for s in found.seats), "You may speak, propose, accept or walk away."]
    return fresh_policy(settings, random_model(texts, seed))
