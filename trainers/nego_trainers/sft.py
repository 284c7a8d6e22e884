"""Supervised fine-tuning on a file of transcripts, whoever played them: every seat's words become likelier.

    read    the scored episodes, those of at least `--least-reward`                       (`nego_trainers.chat_rows`)
    batch   `--batch-rows` rows at a time, in a new random order each epoch
    clone   the mean negative log-likelihood of a batch's dialogue tokens, by the same update as every other trainer

The loop, its checkpoints, metrics and looks at the validation set are those of self-play (`nego_trainers.training`); only
the rows come from a file.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nego_env.errors import SettingsError, TranscriptError
from nego_env.store import read_final
from nego_env.tokens import read_tokens, tokens_path
from nego_trainers.batch import WeightedRow
from nego_trainers.chat_rows import chat_rows
from nego_trainers.grpo import Outcome, prepare_torch, train
from nego_trainers.learner import BaselineSettings, Learner
from nego_trainers.metrics import Record
from nego_trainers.panel import Watcher
from nego_trainers.policy import Policy, load_policy
from nego_trainers.rows import Row
from nego_trainers.settings import LR_SMALL, SMALL
from nego_trainers.training import Training

if TYPE_CHECKING:
    from nego_agents.local.model import LocalModel
    from nego_trainers.step import StepReport


LR_FULL, LR_LORA = 1e-5, 1e-4


@dataclass(frozen=True)
class SFTSettings(BaselineSettings):
    """Options of supervised fine-tuning; of those of self-play, the ones about the model, the update and the looks count."""

    algorithm: ClassVar[str] = "sft"
    title: ClassVar[str] = "supervised fine-tuning"
    own: ClassVar[tuple[str, ...]] = ("transcripts", "epochs", "batch_rows", "least_reward")
    shown: ClassVar[tuple[str, ...]] = ("loss",)

    transcripts: str = ""
    """The file."""
    epochs: int = 3
    """How often each row is learnt from."""
    batch_rows: int = 64
    """Rows in an update."""
    least_reward: float | None = None
    """Rows of a seat that earned less are left out."""

    def check(self) -> None:
        """Raises `SettingsError`."""
        super().check()
        for name in ("epochs", "batch_rows"):
            if getattr(self, name) < 1:
                raise SettingsError(f"--{name.replace('_', '-')} is {getattr(self, name)}, it must be at least 1")
        if self.engine != "torch" or self.updates != 1 or self.seats == "alternate" or self.opponent != "self":
            raise SettingsError(
                "sft plays nothing: --engine trl, --updates, --opponent and --seats alternate have no use"
            )

    def rate(self, parameters: int) -> float:
        """The learning rate for a model of so many parameters: above the smallest, imitation bears larger ones than a
        noisy advantage does."""
        if self.lr is not None:
            return self.lr
        return LR_LORA if self.lora_rank else LR_SMALL if parameters < SMALL else LR_FULL

    def identity(self) -> dict[str, Any]:
        """As for self-play; the file counts by what is in it, and how often it is gone through does not."""
        found = {k: v for k, v in super().identity().items() if k not in ("transcripts", "epochs")}
        return found | {"transcripts": _digest(Path(self.transcripts))}

    def learner(self) -> Learner:
        """Imitation."""
        return _Imitation(self)


class _Imitation(Learner):
    likelihood = True


def finetune(
    settings: SFTSettings,
    out: Path,
    *,
    policy: Policy | None = None,
    judge: Any = None,
    watcher: Watcher | None = None,
) -> Outcome:
    """Fine-tunes, or goes on with the run that `out` holds; otherwise as `nego_trainers.grpo.train`.

    `policy`: a model in memory, at the start of the run. Raises `TranscriptError` for a file that cannot be read or has
    nothing to learn from.
    """
    settings.check()
    prepare_torch(settings)
    policy = load_policy(settings) if policy is None else policy
    rows, notes = file_rows(settings, policy.local)
    steps = settings.epochs * math.ceil(len(rows) / settings.batch_rows)
    settings = replace(settings, steps=settings.steps or steps)
    return train(settings, out, policy=policy, judge=judge, watcher=watcher, kind=partial(FileTraining, rows, notes))


def file_rows(settings: SFTSettings, model: LocalModel) -> tuple[list[Row], list[str]]:
    """The rows of the file, in its order, and what was left out of it."""
    path = Path(settings.transcripts)
    recorded = read_tokens(path) if tokens_path(path).exists() else {}
    episodes = read_final(path)
    scored = [t for t in episodes if t.scored]
    chosen = None if settings.seats == "both" else [settings.seats]
    found = [
        row
        for t in scored
        for row in chat_rows(
            t, model, recorded.get((t.id, t.attempt)), seats=chosen, completion_tokens=settings.train_tokens == "all"
        )
    ]
    least = -math.inf if settings.least_reward is None else settings.least_reward
    good = [row for row in found if row.reward is not None and row.reward >= least]
    room = model.context or math.inf
    rows = [row for row in good if len(row.prompt_ids) + len(row.completion_ids) <= room]
    left = {
        "episodes without a reward": len(episodes) - len(scored),
        f"rows below --least-reward {least:g}": len(found) - len(good),
        f"rows longer than the model's {room:g} tokens": len(good) - len(rows),
    }
    notes = [f"{path}: {count} {what} left out" for what, count in left.items() if count]
    if not rows:
        raise TranscriptError("; ".join(notes) or f"{path}: no episodes, so nothing to learn from")
    return rows, notes


class FileTraining(Training):
    """A run whose rows come from a file."""

    def __init__(self, rows: Sequence[Row], notes: Sequence[str], settings: SFTSettings, *more: Any) -> None:
        super().__init__(settings, *more)
        self._rows, self._notes = rows, notes
        self._batches = math.ceil(len(rows) / settings.batch_rows)
        self._size, self._batch = settings.batch_rows, [*rows[:0]]

    def begin(self) -> None:
        """What was left out, the first look, and where the run stands."""
        for note in self._notes:
            self.watcher.note(note)
        super().begin()

    def rows(self) -> list[WeightedRow]:
        """The next batch: a function of seed and step alone."""
        self._step_began = time.monotonic()
        epoch, place = divmod(self.progress.step, self._batches)
        order = np.random.default_rng([self.settings.seed, epoch]).permutation(len(self._rows))
        self._batch = [self._rows[i] for i in order[place * self._size : (place + 1) * self._size]]
        weight = 1.0 / sum(row.tokens for row in self._batch)
        return [WeightedRow(row, 1.0, weight) for row in self._batch]

    def _described(self, report: StepReport, now: float) -> tuple[Record, int]:
        figures: Record = {
            "epoch": (self.progress.step + 1) / self._batches,
            "reward": sum(row.reward or 0.0 for row in self._batch) / len(self._batch),
            "tokens_per_second": report.tokens / max(now - self._step_began, 1e-9),
            "drift": None,  # nobody's recorded log-probs need be this model's
        }
        return figures, len({(row.episode, row.attempt) for row in self._batch})


def _digest(path: Path) -> str:
    """Of a transcript file and its token file."""
    digest = hashlib.sha256()
    for file in (path, tokens_path(path)):
        if file.exists():
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
