"""The `nego pretrain` command."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nego_env.errors import MissingExtraError, SettingsError


@dataclass(frozen=True)
class Pretrain:
    """Make nego-tiny anew: a language model of a million parameters, from nothing but this package."""

    out: Path = Path("runs/nego-tiny")
    """Folder for the model, its tokenizer, its recipe and its card."""
    seed: int = 0
    """Another seed gives another model of the same kind."""
    steps: int = 0
    """Training steps; 0 means as many as the recipe says. Few make a model that can do nothing, quickly."""
    probes: bool = True
    """Measure its skills at the end (a minute), and fail when it misses what a release needs."""
    threads: int = 1
    """More are faster and no longer give the same bits."""
    json: bool = False
    """One JSON object at the end: what `nego.json` says."""

    examples: ClassVar[str] = "nego pretrain --out runs/my-tiny\nnego play --agents hf:runs/my-tiny"

    def run(self) -> int:
        """Train, probe, save; 1 when the probes miss a gate."""
        if self.steps < 0 or self.seed < 0 or self.threads < 1:
            raise SettingsError(
                f"steps={self.steps}, seed={self.seed}, threads={self.threads}: steps and seed are at least 0, threads at least 1"
            )
        if self.out.exists() and any(self.out.iterdir()):
            raise SettingsError(f"{self.out} is not empty; nothing was changed: give another --out")
        try:
            import torch
            import transformers  # noqa: F401
        except ImportError:
            raise MissingExtraError(
                "nego pretrain needs PyTorch and transformers: pip install 'nego-env[llm]'"
            ) from None
        from nego_trainers.tiny.pretrain import Recipe, train
        from nego_trainers.tiny.probes import probe
        from nego_trainers.tiny.release import save

        recipe = Recipe(seed=self.seed)
        if self.steps:
            recipe = dataclasses.replace(recipe, steps=self.steps)
        torch.set_num_threads(self.threads)
        began = time.perf_counter()
        model, tokenizer = train(recipe, report=_Report(recipe.steps))
        seconds = time.perf_counter() - began
        probes = probe(model, tokenizer) if self.probes else None
        facts = save(self.out, model, tokenizer, recipe, probes=probes, seconds=seconds)
        failed = probes.failed() if probes is not None else []
        if self.json:
            print(json.dumps(facts, sort_keys=True))
        else:
            print(f"{self.out}: {facts['parameters']:,} parameters, {seconds / 60:.1f} minutes")
            for name, value in (facts["probes"] or {}).items():
                print(f"  {name:<15} {value:.2f}")
            print(f"try it: nego play --agents hf:{self.out}")
        if failed:
            print(f"not fit for release: {'; '.join(failed)}", file=sys.stderr)
        return 1 if failed else 0


class _Report:
    """A line on stderr every so often."""

    def __init__(self, steps: int) -> None:
        self.steps, self.every = steps, max(1, steps // 20)

    def __call__(self, step: int, loss: float, seconds: float) -> None:
        if step % self.every == 0 or step == self.steps - 1:
            left = seconds / (step + 1) * (self.steps - step - 1)
            print(
                f"step {step + 1} of {self.steps}  loss {loss:.3f}  {left / 60:.1f} min left",
                file=sys.stderr,
                flush=True,
            )
