"""GRPO self-play (*Learning to Negotiate*, arXiv 2603.10476, Alg. 1): persona-conditioned copies of one policy talk, the
completion is scored, and the group-relative advantage moves dialogue tokens only. Formulas: docs/trainers/grpo.md.

    play    G episodes for each of a step's scenarios, with the policy as it is        (`nego_trainers.selfplay`)
    rows    each seat's own sampled tokens, from transcript and token file alone       (`nego_trainers.rows`)
    weigh   A = r - mean of the group; token weight 1 / dialogue tokens of the group   (`nego_trainers.batch`)
    step    one update: plain torch (`nego_trainers.step`) or TRL (`nego_trainers.trl_engine`)
    log     metrics.jsonl, a panel, checkpoints                                        (`nego_trainers.training`)

A run is a function of its options and seed. Killed at any point it goes on from its last checkpoint: steps whose episodes
are on disk are not played again, and give the same update.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nego_env.errors import MissingExtraError, SettingsError
from nego_trainers.checkpoint import Progress
from nego_trainers.interrupts import interrupts_held
from nego_trainers.metrics import Record
from nego_trainers.panel import Quiet, Watcher
from nego_trainers.policy import Policy
from nego_trainers.run_folder import RunFolder
from nego_trainers.settings import GRPOSettings
from nego_trainers.sources import Source, open_source
from nego_trainers.training import Training


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    progress: Progress
    metrics: list[Record]
    validation: list[Record]
    interrupted: bool
    out: Path
    model: Path | None
    """The trained model's folder; None where the run was interrupted."""


def train(
    settings: GRPOSettings,
    out: Path,
    *,
    policy: Policy | None = None,
    source: Source | None = None,
    judge: Any = None,
    watcher: Watcher | None = None,
    kind: Callable[..., Training] = Training,
) -> Outcome:
    """Trains, or goes on with the run that `out` holds. Ctrl-C ends it after the last whole step, with `interrupted` set.

    `policy` (a model in memory, at the start of the run), `source` and `judge` replace what the options name; `kind` is
    where rows come from, if not from self-play. Raises `NegoError` in one line for whatever can be told before or while it
    trains.
    """
    settings.check()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SettingsError(
            "this command trains in one process, and was started as one of several: leave the launcher out, or start "
            "nego_trainers.distributed with it, which takes the same options (docs/scaling.md)"
        )
    source = open_source(settings) if source is None else source
    prepare_torch(settings)
    with RunFolder(out, settings, {"source": source.name}), watcher or Quiet() as watching:
        training = kind(settings, out, policy, source, judge, watching)
        model: Path | None = None
        interrupted = False
        try:
            training.begin()
            (_plain if settings.engine == "torch" else _through_trl)(training)
            model = training.finish()
        except KeyboardInterrupt:
            interrupted = True
            training.keep()
        finally:
            training.close()
    return Outcome(training.progress, training.metrics.records, training.validation.records, interrupted, out, model)


def prepare_torch(settings: GRPOSettings) -> None:
    """Threads as wanted, and no progress bars for models that load in no time. Raises `MissingExtraError`."""
    try:
        import torch
        from transformers.utils import logging
    except ModuleNotFoundError as e:
        raise MissingExtraError(f"training a language model needs {e.name}: pip install 'nego-env[train]'") from None
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)


def _plain(training: Training) -> None:
    """Updates in plain torch: the readable engine."""
    from nego_trainers.step import StepOptions, grpo_step

    s = training.settings
    model = training.policy.model
    options = StepOptions(
        objective=training.objective(),
        max_grad_norm=s.max_grad_norm,
        micro_tokens=s.micro_tokens,
        autocast="bfloat16" if model.device.type == "cuda" else None,
    )
    while training.more():
        rows = training.rows()
        rate = training.rate(training.progress.step)
        for group in training.optimizer.param_groups:
            group["lr"] = rate
        with interrupts_held():  # nothing can go on from half an update
            for _ in range(s.updates):
                report = grpo_step(model, rows, training.optimizer, options, training.reference)
            training.done(report, rate)
        training.after()


def _through_trl(training: Training) -> None:
    """Updates through TRL's GRPOTrainer."""
    from nego_trainers.trl_engine import run  # TRL takes seconds to import

    run(training)


_AVERAGED = (
    "reward", "ca", "agreement", "rounds", "regret", "premature", "uninformed", "own_best", "zero_variance",
)  # fmt: skip


def summary(outcome: Outcome, more: Sequence[str] = ()) -> dict[str, Any]:
    """The run in one JSON object: means over its first and last steps (ten, or half of them), and where everything is.
    `more`: further figures to average."""
    few = min(10, max(1, len(outcome.metrics) // 2))
    names = (*_AVERAGED, *more)

    def means(records: Sequence[Record]) -> dict[str, float]:
        found = {}
        for name in names:
            values = [r[name] for r in records if r.get(name) is not None]
            if values:
                found[name] = sum(values) / len(values)
        return found

    return {
        **asdict(outcome.progress),
        "interrupted": outcome.interrupted,
        "out": str(outcome.out),
        "model": None if outcome.model is None else str(outcome.model),
        "averaged": few,
        "first": means(outcome.metrics[:few]),
        "last": means(outcome.metrics[-few:]),
        "validation": outcome.validation[-1] if outcome.validation else None,
    }
