"""A training run in progress, whichever engine makes its updates: clock, learning rate, records, looks, checkpoints.

training.begin()
while training.more():
    rows = training.rows()              # play the step's episodes
    ...                                 # one update at training.rate(training.progress.step)
    training.done(report, rate)         # count it, write it down: not to be interrupted
    training.after()                    # look and save where it is due
training.finish()
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nego_env.errors import SettingsError, TranscriptError
from nego_trainers.checkpoint import (
    Progress,
    checkpoint_path,
    checkpoints,
    load_learner,
    load_optimizer,
    load_progress,
    prune,
    save,
    whole_folder,
)
from nego_trainers.metrics import MetricsFile, Record, describe_episodes, describe_groups
from nego_trainers.panel import Watcher
from nego_trainers.policy import Policy, load_policy
from nego_trainers.selfplay import Played, SelfPlay
from nego_trainers.settings import GRPOSettings
from nego_trainers.sources import Source

if TYPE_CHECKING:
    import torch

    from nego_trainers.batch import WeightedRow
    from nego_trainers.objective import Objective
    from nego_trainers.step import StepReport


class Training:
    """A run in progress: what both engines share."""

    def __init__(
        self, settings: GRPOSettings, out: Path, policy: Policy | None, source: Source, judge: Any, watcher: Watcher
    ) -> None:
        self.settings, self.out, self.watcher = settings, out, watcher
        done = checkpoints(out)
        self.checkpoint = checkpoint_path(out, done[-1]) if done else None
        self.progress = load_progress(self.checkpoint) if self.checkpoint else Progress()
        reference = (settings.beta > 0 or settings.samples_start) and not settings.lora_rank
        if policy is None and (reference or not self.checkpoint):
            policy = load_policy(settings)
        self.reference = policy.reference() if policy is not None and reference else None
        found = load_policy(settings, self.checkpoint / "model") if self.checkpoint else policy
        assert found is not None  # loaded above where there is no checkpoint
        self.policy = found
        self.optimizer = _optimizer(settings, self.policy)
        if self.checkpoint and self.optimizer is not None:
            load_optimizer(self.checkpoint, self.optimizer)
        self.learner = settings.learner()
        if self.checkpoint and (remembered := load_learner(self.checkpoint)):
            self.learner.restore(remembered)
        start = (
            self.policy.with_model(self.reference) if settings.samples_start and self.reference is not None else None
        )
        self.selfplay = SelfPlay(settings, self.policy, source, out, judge, learner=self.learner, start=start)
        self.metrics = MetricsFile(out / "metrics.jsonl", self.progress.step)
        self.validation = MetricsFile(out / "validation.jsonl", self.progress.step)
        self.peak = settings.rate(self.policy.parameters)
        self._began = time.monotonic() - self.progress.seconds
        self._step_began = self._played_at = self._began
        self._played: Played | None = None
        self._here = 0

    # ---------------------------------------------------------------- the clock
    @property
    def elapsed(self) -> float:
        """Seconds since the run began, without those in which nobody worked on it."""
        return time.monotonic() - self._began

    @property
    def share(self) -> float:
        """How much of the run is behind it, in [0, 1]."""
        return self._share_at(self.progress.step)

    def _share_at(self, step: int) -> float:
        total, minutes = self.settings.total_steps, self.settings.minutes
        by_step = step / total if total else 0.0
        by_clock = self.elapsed / (60 * minutes) if minutes else 0.0
        return min(1.0, max(by_step, by_clock))

    def more(self) -> bool:
        """Another step is to be taken: some are left, and time for it."""
        total, minutes = self.settings.total_steps, self.settings.minutes
        if total is not None and self.progress.step >= total:
            return False
        return minutes is None or self.elapsed + self._usual_seconds() <= 60 * minutes

    def _usual_seconds(self) -> float:
        recent = [r["seconds"] for r in self.metrics.records[-5:]]
        return sum(recent) / len(recent) if recent else 0.0

    def seconds_left(self) -> float | None:
        """Until the run ends, as far as can be told."""
        total, minutes = self.settings.total_steps, self.settings.minutes
        found = []
        if total is not None and self._here:
            found.append((total - self.progress.step) * self._usual_seconds())
        if minutes is not None:
            found.append(60 * minutes - self.elapsed)
        return min(found) if found else None

    def rate(self, step: int) -> float:
        """The learning rate of the update after `step` others."""
        rise = min(1.0, (step + 1) / self.settings.warmup) if self.settings.warmup else 1.0
        return self.peak * rise * (1.0 - self._share_at(step) if self.settings.schedule == "linear" else 1.0)

    # ---------------------------------------------------------------- a step
    def begin(self) -> None:
        """The first look, and where the run stands."""
        if self.checkpoint:
            self.watcher.note(f"going on with {self.out} after step {self.progress.step}")
        self.look_if_due()

    def rows(self) -> list[WeightedRow]:
        """The episodes of the next step, as rows."""
        s, step = self.settings, self.progress.step
        self._step_began = time.monotonic()
        self._played = self.selfplay.play(step, lambda done, total: self.watcher.playing(step + 1, done, total))
        self._check_scored(self._played)
        rows = self.selfplay.weighed(self._played.groups)
        self._played_at = time.monotonic()
        self.watcher.playing(step + 1, s.groups * s.group_size, s.groups * s.group_size)
        return rows

    def _check_scored(self, played: Played) -> None:
        episodes = [e.transcript for g in played.groups for e in g.episodes]
        if not any(t.scored for t in episodes):
            raise TranscriptError(
                f"not one of the {len(episodes)} episodes of step {self.progress.step + 1} could be scored: {episodes[0].error}; "
                f"they are in {self.out / 'rollouts'}"
            )

    def done(self, report: StepReport, rate: float) -> None:
        """The update is made: count it, write it down, and now and then save."""
        p, now = self.progress, time.monotonic()
        described, episodes = self._described(report, now)
        self.learner.updated()
        record: Record = {
            "step": p.step + 1,
            **report.metrics(),
            "rows": report.rows,
            "tokens": report.tokens,
            "lr": rate,
            **described,
            **self.learner.figures(),
            "seconds": now - self._step_began,
            "elapsed": now - self._began,
        }
        self.progress = replace(p, step=p.step + 1, episodes=p.episodes + episodes, tokens=p.tokens + report.tokens)
        self._here += 1
        self.metrics.write(record)
        self.watcher.step(self.metrics.records, self.share, self.seconds_left())

    def _described(self, report: StepReport, now: float) -> tuple[Record, int]:
        """What the step learnt from: figures, and how many scored episodes there were."""
        assert self._played is not None
        episodes = [e for g in self._played.groups for e in g.episodes]
        sampled = sum(len(turn.said) for e in episodes for turn in e.tokens.turns)
        playing = self._played_at - self._step_began
        figures: Record = {
            **describe_groups(self._played.groups),
            "drawn_anew": self._played.drawn_anew,
            "sampled_tokens": sampled,
            "tokens_per_second": sampled / max(playing, 1e-9),
            "rollout_share": playing / max(now - self._step_began, 1e-9),
        }
        return figures, sum(e.transcript.scored for e in episodes)

    def after(self) -> None:
        """What is due every so many steps."""
        self.look_if_due()
        if self.progress.step % self.settings.save_every == 0:
            self.save()

    def look_if_due(self, *, last: bool = False) -> None:
        """A look at the validation set every `eval_every` steps, the model at the start among them, and at the end."""
        every = self.settings.eval_every
        seen = bool(self.validation.records) and self.validation.records[-1]["step"] == self.progress.step
        if every and not seen and (last or self.progress.step % every == 0):
            self.look()

    def look(self) -> None:
        """The policy on the validation set; the best one so far is kept."""
        found = describe_episodes(self.selfplay.look(self.progress.step))
        found = {k: v for k, v in found.items() if v is not None}
        self.validation.write({"step": self.progress.step, **found, "elapsed": self.elapsed})
        value = found.get("ca", found.get("reward"))
        if value is not None and (self.progress.best is None or value > self.progress.best):
            self.progress = replace(self.progress, best_step=self.progress.step, best=value)
            self.save()

    def save(self) -> None:
        """A checkpoint of the step just done."""
        self.progress = replace(self.progress, seconds=self.elapsed)
        save(self.out, self.progress, self.policy.save, self.optimizer, self.learner.state())
        prune(self.out, self.settings.keep, besides={self.progress.best_step or 0})
        if self.settings.keep_rollouts is not None:
            oldest = min(checkpoints(self.out)[-1], self.progress.step - self.settings.keep_rollouts)
            self.selfplay.forget_rollouts(oldest + 1)

    def keep(self) -> None:
        """What an interrupted run leaves: a checkpoint of its last whole step."""
        if self.progress.step and self._here:
            self.save()

    def finish(self) -> Path:
        """The last look and checkpoint, the models, the curves."""
        if not self.progress.step:
            raise SettingsError(f"--minutes {self.settings.minutes:g} are over before the first step; give it more")
        self.look_if_due(last=True)
        self.save()
        with whole_folder(self.out / "final", replace=True) as folder:
            if not self.policy.export(folder):
                self.policy.save(folder)
        best = self.progress.best_step
        if best is not None:
            self._export_best(best)
        return self.out / "final"

    def _export_best(self, step: int) -> None:
        found = load_policy(self.settings, checkpoint_path(self.out, step) / "model")
        with whole_folder(self.out / "best", replace=True) as folder:
            if not found.export(folder):
                found.save(folder)

    def close(self) -> None:
        """Closes the files."""
        self.metrics.close()
        self.validation.close()

    def objective(self) -> Objective:
        """What an update minimises."""
        from nego_trainers.objective import Objective

        s = self.settings
        clipped = s.updates > 1 and not self.learner.likelihood
        return Objective(
            temperature=s.temperature,
            clip_low=s.clip_low if clipped else None,
            clip_high=s.clip_high if clipped else None,
            beta=s.beta,
            entropy=s.entropy,
            likelihood=self.learner.likelihood,
        )


def _optimizer(settings: GRPOSettings, policy: Policy) -> torch.optim.Optimizer:
    import torch

    return torch.optim.AdamW(
        policy.trained(),
        lr=settings.rate(policy.parameters),
        betas=(0.9, settings.adam_beta2),
        eps=settings.adam_eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )
