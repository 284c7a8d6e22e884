"""The `nego train` command."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from nego_trainers.reinforce import ReinforceSettings
from nego_trainers.rft import RFTSettings
from nego_trainers.rloo import RLOOSettings
from nego_trainers.settings import PAPER_SILENT, PRESETS, GRPOSettings

if TYPE_CHECKING:
    from nego_trainers.grpo import Outcome


@dataclass(frozen=True)
class SelfPlayCommand(GRPOSettings):
    """What the commands that learn from self-play share."""

    dry_run: bool = False
    """A few steps on a small random model with a scripted judge, and what the real run needs."""
    out: Path | None = None
    """Where everything goes. Default: a new folder under runs/."""
    json: bool = False
    """One JSON object at the end on stdout, nothing else there."""

    preset: ClassVar[str | None] = None

    def run(self) -> int:
        """Trains; returns 0, or 130 when it was interrupted."""
        with redirect_stdout(sys.stderr) if self.json else nullcontext():
            outcome = self._train()
        return _end(outcome, self.shown if self.json else None)

    def _train(self) -> Outcome:
        from nego_trainers.grpo import train
        from nego_trainers.panel import watcher

        self.check()
        out = self.out or _new_folder(f"{self.algorithm}-{'dry-run' if self.dry_run else Path(self.model).name}")
        settings: GRPOSettings = self
        more: dict[str, Any] = {}
        if self.preset == "paper":
            _tell_paper(settings)
        if self.dry_run:
            settings, more = self._dry()
        if settings.judge == "heuristic":
            print("nego: trained on the heuristic judge, which measures nothing", file=sys.stderr)
        outcome = train(settings, out, watcher=watcher(f"{self.title}: {settings.model}", lines=self.json), **more)
        _report(outcome, settings)
        if self.dry_run:
            from nego_trainers.dry_run import needs

            print("\nA dry run: a random model and a scripted judge, whose figures mean nothing. The real run needs:")
            for line in needs(self):
                print(f"  {line}")
        return outcome

    def _dry(self) -> tuple[GRPOSettings, dict[str, Any]]:
        from dataclasses import replace

        from nego_trainers.dry_run import ScriptedJudge, dry, random_model, texts_of
        from nego_trainers.policy import fresh_policy
        from nego_trainers.sources import open_source

        settings = dry(self)
        judge = ScriptedJudge()
        source = open_source(replace(settings, judge=judge.name))
        structured = source.group(0, 0).kind == "structured"
        policy = fresh_policy(settings, random_model(texts_of(source, settings.groups), settings.seed))
        return settings, {"policy": policy, "source": source, "judge": None if structured else judge}


@dataclass(frozen=True)
class GRPO(SelfPlayCommand):
    """Train a negotiator by GRPO self-play: copies of one policy talk, the deal is scored, and better groups of words win.

    A folder given with --out that holds the same run is gone on with, from its last checkpoint."""

    examples: ClassVar[str] = """
  nego train grpo --minutes 5
  nego train grpo --out runs/first --steps 100 --eval-every 20
  nego train grpo --model Qwen/Qwen3-0.6B --lora-rank 16 --engine trl
  nego train grpo --seats alternate --opponent pool:4
  nego train grpo --seats seat_0 --opponent boulware
  nego train grpo --preset paper --dry-run
"""

    preset: Literal["paper"] | None = None  # type: ignore[misc]
    """Another set of defaults: `paper` is every value that arXiv 2603.10476 states. Flags beside it win."""

    @classmethod
    def defaults(cls, arguments: list[str]) -> Self:
        """The options before any flag: those of the preset that is among the arguments."""
        for i, word in enumerate(arguments):
            name = word.partition("=")[2] if word.startswith("--preset=") else ""
            if word == "--preset" and i + 1 < len(arguments):
                name = arguments[i + 1]
            if name in PRESETS:
                return cls(**PRESETS[name])
        return cls()


@dataclass(frozen=True)
class RLOO(RLOOSettings, SelfPlayCommand):
    """Train by RLOO self-play: as grpo, each episode compared with the mean of the others of its group."""

    examples: ClassVar[str] = """
  nego train rloo --minutes 5
  nego train rloo --out runs/rloo --steps 100 --eval-every 20
"""


@dataclass(frozen=True)
class Reinforce(ReinforceSettings, SelfPlayCommand):
    """Train by REINFORCE self-play: each episode compared with what its seat earned of late (SPIRAL's baseline by role)."""

    examples: ClassVar[str] = """
  nego train reinforce --minutes 5
  nego train reinforce --groups 96 --group-size 1 --baseline-decay 0.95
"""


@dataclass(frozen=True)
class RFT(RFTSettings, SelfPlayCommand):
    """Train by cloning the best episodes of each group: of the policy as it is or, --offline, of the model at the start."""

    examples: ClassVar[str] = """
  nego train rft --minutes 5
  nego train rft --offline --out runs/rft-offline --steps 100 --eval-every 20
"""


@dataclass(frozen=True)
class SFT:
    """Train on a file of transcripts, whoever played them: every seat's words become likelier.

    A folder given with --out that holds the same run is gone on with, from its last checkpoint."""

    examples: ClassVar[str] = """
  nego play --agents revealer logroller --scenario train --episodes 500 --out run.jsonl
  nego train sft run.jsonl --least-reward 4
  nego train sft run.jsonl --model Qwen/Qwen3-0.6B --lora-rank 16 --epochs 1
"""

    transcripts: str
    """A file that `nego play --out` or a training run wrote."""
    model: str = "nego-tiny"
    """A model folder, a hub name, or nego-tiny."""
    least_reward: float | None = None
    """Rows of a seat that earned less are left out."""
    epochs: int = 3
    """How often each row is learnt from."""
    batch_rows: int = 64
    """Rows (one seat of one episode, mostly) in an update."""
    seats: str = "both"
    """Whose words: both (every seat), or one of seat_0, seat_1, ..."""
    train_tokens: Literal["dialogue", "all"] = "dialogue"
    """`all` also trains the words of the written plan."""
    lr: float | None = None
    """Learning rate. Default by size: 4e-4 below 20 M parameters, else 1e-5, or 1e-4 with LoRA."""
    schedule: Literal["constant", "linear"] = "linear"
    """`linear` falls to zero at the end."""
    warmup: int = 5
    """Steps over which the rate rises first."""
    beta: float = 0.0
    """Weight of the divergence from the model at the start."""
    weight_decay: float = 0.0
    adam_beta2: float = 0.99
    """AdamW's second decay rate."""
    max_grad_norm: float = 1.0
    """Gradients longer than this are shortened to it."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, ..."""
    dtype: str = "auto"
    """`auto` (float32 on a CPU), `float32`, `bfloat16`."""
    threads: int | None = 1
    """CPU threads of torch; 1 makes a run repeatable bit for bit."""
    micro_tokens: int = 8192
    """Tokens that are in memory together during the update."""
    lora_rank: int = 0
    """Above 0, train low-rank adapters of this rank instead of every weight."""
    lora_alpha: int | None = None
    """Default twice the rank."""
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = ("all-linear",)
    """Modules that get an adapter."""
    qlora: bool = False
    """Hold the frozen weights in 4 bits; needs a CUDA GPU, bitsandbytes, and a LoRA rank."""
    seed: int = 0
    """Of the order of the rows."""
    steps: int | None = None
    """Updates in all, instead of --epochs."""
    minutes: float | None = None
    """Time budget; no step is begun that would overrun it."""
    save_every: int = 10
    """Steps between checkpoints."""
    keep: int = 2
    """Checkpoints kept, the best one beside them."""
    eval_every: int = 0
    """Steps between looks at how the policy plays with itself, by which the best checkpoint is chosen; 0 looks never."""
    eval_scenarios: int = 48
    """Dilemmas in a look."""
    suite: str = "generate:train"
    """Where those dilemmas are from: `generate:train`, a pack, an id or a path."""
    max_new_tokens: int = 96
    """Most tokens of an utterance in a look."""
    judge: str | None = None
    """Who scores a look at open dilemmas."""
    out: Path | None = None
    """Where everything goes. Default: a new folder under runs/."""
    json: bool = False
    """One JSON object at the end on stdout, nothing else there."""

    def run(self) -> int:
        """Trains; returns 0, or 130 when it was interrupted."""
        from nego_trainers.panel import watcher
        from nego_trainers.sft import SFTSettings, finetune

        options = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("out", "json")}
        settings = SFTSettings(**options)
        settings.check()
        out = self.out or _new_folder(f"sft-{Path(self.model).name}")
        with redirect_stdout(sys.stderr) if self.json else nullcontext():
            shown = watcher(f"{settings.title}: {self.model}", lines=self.json, imitation=True)
            outcome = finetune(settings, out, watcher=shown)
            _report(outcome, settings)
        return _end(outcome, settings.shown if self.json else None)


class Train:
    """Train negotiators."""

    examples: ClassVar[str] = """
  nego train grpo --minutes 5
  nego train grpo --preset paper --dry-run
  nego train rft --offline --steps 100
"""
    commands: ClassVar[dict[str, type]] = {"grpo": GRPO, "rloo": RLOO, "reinforce": Reinforce, "rft": RFT, "sft": SFT}


def _end(outcome: Outcome, shown: tuple[str, ...] | None) -> int:
    """The exit code; where figures are `shown` beside the usual ones, the run as JSON on stdout."""
    from nego_trainers.grpo import summary
    from nego_trainers.metrics import rounded

    if shown is not None:
        print(json.dumps(rounded(summary(outcome, shown)), sort_keys=True))
    return 130 if outcome.interrupted else 0


def _tell_paper(settings: GRPOSettings) -> None:
    """What the paper does not say, and what is done instead."""
    print("The preset of arXiv 2603.10476, sec. 4.1. Where the paper is silent:")
    for what, done in PAPER_SILENT:
        print(f"  {what}: {done}")
    print()


def _new_folder(name: str) -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")  # local time: a name for a person, not a record
    path = base = Path("runs") / f"{name}-{stamp}"
    number = 1
    while path.exists():
        number += 1
        path = base.with_name(f"{base.name}.{number}")
    return path


def _report(outcome: Outcome, settings: GRPOSettings) -> None:
    """Before and after, and where everything is."""
    from nego_env.errors import MissingExtraError
    from nego_trainers.curves import save_png
    from nego_trainers.grpo import summary
    from nego_trainers.panel import clock

    p, told = outcome.progress, summary(outcome, settings.shown)
    if outcome.interrupted:
        kept = f"step {p.step} is saved" if p.step else "no step was finished"
        print(
            f"nego: interrupted: {kept}; the same command with --out {outcome.out} goes on, finished episodes are kept",
            file=sys.stderr,
        )
        return
    print(f"{p.step} steps, {p.episodes:,} episodes, {p.tokens:,} trained tokens, {clock(p.seconds)}")
    print(f"  means over the first {told['averaged']} steps -> over the last {told['averaged']}:")
    for name, first in told["first"].items():
        last = told["last"].get(name)
        if last is not None:
            print(f"  {name:<14} {first:6.3f} -> {last:6.3f}")
    if outcome.validation and p.best is not None:
        print(
            f"  validation: best {p.best:.3f} after step {p.best_step}, at the start {_first(outcome.validation):.3f}"
        )
    try:
        png = save_png(
            outcome.metrics,
            outcome.validation,
            outcome.out / "curves.png",
            f"{settings.title}: {settings.model}",
            imitation="loss" in settings.shown,
        )
        print(f"curves: {png}")
    except MissingExtraError as e:
        print(f"no picture of the curves: {e}")
    print(f"model: {outcome.model}\nplay with it: nego play --agents hf:{outcome.model}")


def _first(validation: list[dict[str, Any]]) -> float:
    return float(validation[0].get("ca", validation[0].get("reward", float("nan"))))
