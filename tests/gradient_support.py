"""A batch to differentiate, and what the plain step and TRL make of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from nego_env.tokens import EpisodeTokens
from nego_env.transcript import Transcript
from nego_trainers.batch import TokenNorm, WeightedRow, weigh
from nego_trainers.objective import Objective
from nego_trainers.rows import rows_of
from nego_trainers.step import StepOptions, StepReport, grpo_step
from tests.support import bargain, council
from tests.tiny_models import shared_tokenizer
from tests.token_samples import episode, tokens_for

Played = tuple[Transcript, EpisodeTokens]
TALK, DEAL = "let us talk", ["[Propose: X1]", "[Accept]", "[Accept]"]


def batch() -> list[list[Played]]:
    """Groups of episodes: a council of three with everything in memory, and two who bargain with a window of 2."""
    three = [
        episode(council(), [TALK] * 3 + DEAL, seed=0),  # CA 5
        episode(council(), DEAL, seed=1),
        episode(council(), [TALK] * 20, seed=2, max_rounds=3),  # no deal: 0
        episode(council(), [TALK] * 4, seed=3, fails=True),  # unscored
    ]
    two = [
        episode(bargain(), [TALK] * 6 + ["[Propose: A2 B2]", "[Accept]"], seed=4, memory=2),
        episode(bargain(), [TALK] * 4 + ["[Propose: A3 B2]", "[Accept]"], seed=5, memory=2),
        episode(bargain(), [TALK] * 30, seed=6, memory=2, max_rounds=5),
    ]
    return [[(t, tokens_for(t)) for t in three], [(t, tokens_for(t, window=2)) for t in two]]


def weighed(groups: Sequence[Sequence[Played]], token_norm: TokenNorm = "group") -> list[WeightedRow]:
    rows = [[rows_of(t, tokens, group=str(g)) for t, tokens in group] for g, group in enumerate(groups)]
    return weigh(rows, token_norm=token_norm)


class Found(NamedTuple):
    loss: float
    gradient: Any
    report: StepReport | None = None
    model: Any = None


class Recorder(torch.optim.SGD):
    """Keeps the gradient it is given and changes nothing."""

    def __init__(self, model: Any) -> None:
        super().__init__(model.parameters(), lr=0.0)
        self.model = model
        self.gradient: Any = None

    def step(self, closure: Any = None) -> None:
        self.gradient = flat(self.model)


def flat(model: Any) -> Any:
    return torch.cat(
        [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in model.parameters()]
    ).clone()


def by_step(model: Any, rows: list[WeightedRow], objective: Objective, ref: Any, **options: Any) -> Found:
    recorder = Recorder(model)
    report = grpo_step(model, rows, recorder, StepOptions(objective, max_grad_norm=None, **options), ref)
    return Found(report.loss, recorder.gradient, report)


def by_trl(
    model: Any,
    rows: list[WeightedRow],
    objective: Objective,
    token_norm: TokenNorm,
    folder: Path,
    *,
    pads: int = 3,
    peft_config: Any = None,
    **config: Any,
) -> Found:
    from nego_trainers.trl_adapter import SelfPlayGRPOTrainer, selfplay_config

    asked: list[int] = []

    def play(step: int, policy: Any) -> list[WeightedRow]:
        asked.append(step)
        return rows

    trainer = SelfPlayGRPOTrainer(
        model,
        play,
        selfplay_config(folder, rows=len(rows) + pads, objective=objective, max_steps=1, max_grad_norm=0.0, **config),
        tokenizer=shared_tokenizer(),
        objective=objective,
        token_norm=token_norm,
        peft_config=peft_config,
    )
    recorder = trainer.optimizer = Recorder(trainer.model)
    trainer.train()
    assert asked == [0]
    assert trainer.report is not None
    return Found(trainer.report.loss, recorder.gradient, trainer.report, trainer.model)


def assert_equal(a: Found, b: Found) -> None:
    assert a.loss == pytest.approx(b.loss, rel=1e-5, abs=1e-7)
    assert float((a.gradient - b.gradient).norm() / b.gradient.norm()) < 1e-5
