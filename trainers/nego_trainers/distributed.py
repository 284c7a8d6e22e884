"""GRPO self-play in several processes, one GPU each, through TRL: to be started by a launcher (`docs/scaling.md`).

    accelerate launch --config_file configs/accelerate/many_gpus.yaml -m nego_trainers.distributed --groups 16 --out runs/many

1. Process r of n plays groups r k to r k + k - 1 of every step, k = groups / n, into OUT/process-0r, and makes rows of them.
2. TRL and accelerate average the gradient; weights of rows are shared out such that the loss is that of one process which
   holds all rows (`nego_trainers.trl_adapter`).
3. A process samples at its own pace. Where weights are sharded (FSDP, ZeRO-3) they are whole while it plays, and every
   process makes the same number of forwards in the update: one per micro-batch, nothing encoded apart.

The first process writes OUT/run.json, OUT/metrics.jsonl (means of the processes' means), OUT/models/step-... every
`--save-every` steps, and OUT/final. Optimizer states are not kept: to go on, start from a saved model.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nego_env.errors import MissingExtraError, NegoError, SettingsError, TranscriptError
from nego_trainers.checkpoint import remove, whole_folder
from nego_trainers.grpo import prepare_torch
from nego_trainers.metrics import MetricsFile, Record, describe_groups
from nego_trainers.panel import Lines, Quiet, Watcher
from nego_trainers.policy import Policy, load_policy, renames_unsaid
from nego_trainers.processes import Shifted, joined, leave, sharded, whole_weights
from nego_trainers.run_folder import RunFolder
from nego_trainers.selfplay import Played, SelfPlay
from nego_trainers.settings import PRESETS, GRPOSettings
from nego_trainers.sources import Source, open_source

if TYPE_CHECKING:
    from accelerate import PartialState
    from transformers import PreTrainedModel

    from nego_trainers.batch import WeightedRow
    from nego_trainers.trl_adapter import SelfPlayGRPOTrainer

WHOLE = 1 << 40
"""A budget of tokens that no micro-batch exceeds."""
PATIENCE = timedelta(hours=2)
"""How long a process waits for the others, which may have longer episodes to play."""


def train_distributed(
    settings: GRPOSettings,
    out: Path,
    *,
    policy: Policy | None = None,
    source: Source | None = None,
    judge: Any = None,
    watcher: Watcher | None = None,
) -> Path:
    """Trains for `settings.steps` steps; called in every process of a group. Returns the folder of the trained model.

    `policy`, `source` and `judge` replace what the options name. Raises `SettingsError` for options that several processes
    cannot have and for a folder that is in use, and `NegoError` otherwise as `nego_trainers.grpo.train` does.
    """
    settings.check()
    _check(settings)
    prepare_torch(settings)
    try:
        from accelerate import PartialState
    except ModuleNotFoundError as e:
        raise MissingExtraError(
            f"training in several processes needs {e.name}: pip install 'nego-env[train]'"
        ) from None
    import torch

    cpu = settings.device == "cpu" or not torch.cuda.is_available()
    state = PartialState(cpu=cpu, timeout=PATIENCE)
    if settings.groups % state.num_processes:
        raise SettingsError(f"--groups is {settings.groups}, which {state.num_processes} processes cannot share evenly")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"--out {out} is in use, and several processes cannot go on with a run: give another --out")
    source = open_source(settings) if source is None else source
    state.wait_for_everyone()  # nobody writes before all have looked
    with ExitStack() as stack:
        if state.is_main_process:
            stack.enter_context(RunFolder(out, settings, {"source": source.name, "processes": state.num_processes}))
        state.wait_for_everyone()
        watching = stack.enter_context(watcher or Quiet())
        return _Run(settings, out, state, policy, source, judge, watching).train()


def _check(s: GRPOSettings) -> None:
    """Raises for what only one process can do."""
    if s.total_steps is None or s.minutes is not None:
        raise SettingsError("several processes have no common clock: give --steps, not --minutes")
    if s.eval_every:
        raise SettingsError(
            "--eval-every looks at the policy in one process only: run nego evaluate on the saved models"
        )
    if s.opponent.partition(":")[0] in ("frozen", "pool"):
        raise SettingsError(f"--opponent {s.opponent} keeps copies in one process only: use self, or an agent")
    if s.lora_rank and sharded():
        raise SettingsError(
            "adapters are small: train them on whole copies of the model (many_gpus.yaml), not on shards"
        )


class _Run:
    """One process of a run."""

    def __init__(
        self,
        s: GRPOSettings,
        out: Path,
        state: PartialState,
        policy: Policy | None,
        source: Source,
        judge: Any,
        watcher: Watcher,
    ) -> None:
        self.settings, self.out, self.state, self.watcher = s, out, state, watcher
        rank, own = state.process_index, s.groups // state.num_processes
        self.own = replace(s, groups=own, seed=s.seed * state.num_processes + rank, device=_device(s, state))
        spare = s.groups + rank * s.dynamic_sampling
        self.source = Shifted(source, rank * own, own, spare)
        self.policy = load_policy(replace(self.own, seed=s.seed)) if policy is None else policy
        folder = out / f"process-{rank:02d}"
        self.selfplay = SelfPlay(self.own, self.policy, self.source, folder, judge)
        self.trainer: SelfPlayGRPOTrainer | None = None
        self.played: Played | None = None
        self.metrics: MetricsFile | None = None
        self._began = self._step_began = self._played_at = time.monotonic()

    def train(self) -> Path:
        """Every step, then the model."""
        from nego_trainers.objective import Objective
        from nego_trainers.trl_adapter import SelfPlayGRPOTrainer

        s, clipped = self.settings, self.settings.updates > 1
        objective = Objective(
            temperature=s.temperature,
            clip_low=s.clip_low if clipped else None,
            clip_high=s.clip_high if clipped else None,
            beta=s.beta,
            entropy=s.entropy,
        )
        if self.state.is_main_process:
            self.metrics = MetricsFile(self.out / "metrics.jsonl", 0)
        with renames_unsaid():
            self.trainer = SelfPlayGRPOTrainer(
                self.policy.model,
                self._play,
                self._config(objective),
                tokenizer=self.policy.local.tokenizer,
                objective=objective,
                token_norm=s.token_norm,
                micro_tokens=WHOLE if sharded() else s.micro_tokens,
                share_prompts=not sharded(),
                callbacks=[_book(self)],
            )
            prepare_torch(s)  # a Trainer sets the number of threads anew
            self.trainer.train()
        final = self.out / "final"
        self._save(final)
        if self.metrics is not None:
            self.metrics.close()
        return final

    def _config(self, objective: Any) -> Any:
        from nego_trainers.trl_adapter import selfplay_config
        from nego_trainers.trl_engine import MICRO_ROWS, rows_of_step

        s, cuda = self.settings, self.state.device.type == "cuda"
        rows, micro = rows_of_step(self.own, self.source, 8 if cuda else MICRO_ROWS)
        return selfplay_config(
            self.out / "trl",
            rows=rows,
            micro_rows=micro,
            objective=objective,
            learning_rate=s.rate(self.policy.parameters),
            max_steps=(s.total_steps or 1) * s.updates,
            max_grad_norm=s.max_grad_norm,
            num_iterations=s.updates,
            lr_scheduler_type="linear" if s.schedule == "linear" else "constant_with_warmup",
            warmup_steps=s.warmup * s.updates,
            adam_beta2=s.adam_beta2,
            adam_epsilon=s.adam_eps,
            weight_decay=s.weight_decay,
            use_cpu=not cuda,
            bf16=cuda,
            gradient_checkpointing=sharded(),
            ddp_find_unused_parameters=False,  # every process scores a token, so every trained weight is used
            seed=s.seed,
        )

    def _play(self, step: int, model: PreTrainedModel) -> Sequence[WeightedRow]:
        """This process's rows of a step."""
        number = step // self.settings.updates
        self._step_began = time.monotonic()
        if self.settings.keep_rollouts is not None:
            self.selfplay.forget_rollouts(number + 1 - self.settings.keep_rollouts)
        with whole_weights(model):
            self.played = self.selfplay.play(number)
        self._played_at = time.monotonic()
        return self.selfplay.weighed(self.played.groups)

    # ---------------------------------------------------------------- records
    def done(self, step: int, rate: float) -> None:
        """A step is made: every process's figures, put together and written down."""
        record = self._together() | {"step": step, "lr": rate, "elapsed": time.monotonic() - self._began}
        if not record["scored"]:
            raise TranscriptError(f"not one episode of step {step} could be scored; they are in {self.out}/process-*")
        if self.metrics is not None:
            self.metrics.write(record)
            total = self.settings.total_steps or 1
            left = (total - step) * record["elapsed"] / step
            self.watcher.step(self.metrics.records, step / total, left)
        if step % self.settings.save_every == 0:
            self._save(self.out / "models" / f"step-{step:06d}")
            self._prune()

    def _together(self) -> Record:
        import torch

        assert self.trainer is not None
        assert self.trainer.report is not None
        assert self.played is not None
        episodes = [e for g in self.played.groups for e in g.episodes]
        sampled = sum(len(turn.said) for e in episodes for turn in e.tokens.turns)
        playing, seconds = self._played_at - self._step_began, time.monotonic() - self._step_began
        own: Record = {
            **describe_groups(self.played.groups),
            **self.trainer.report.metrics(),
            "scored": sum(e.transcript.scored for e in episodes),
            "sampled_tokens": sampled,
            "tokens_per_second": sampled / max(playing, 1e-9),
            "rollout_share": playing / max(seconds, 1e-9),
            "seconds": seconds,
        }
        names = sorted(own)
        values = [math.nan if own[name] is None else float(own[name]) for name in names]
        device = self.trainer.accelerator.device
        # float32 holds counts up to 16 million exactly, and every device has it
        everyone = self.trainer.accelerator.gather(torch.tensor([values], device=device)).double().cpu()
        return {name: joined(name, everyone[:, i].tolist()) for i, name in enumerate(names)}

    # ---------------------------------------------------------------- models
    def _save(self, folder: Path) -> None:
        """Gathers the weights, in every process; the first one writes them."""
        from nego_agents.local.model import NOTES

        assert self.trainer is not None
        if not sharded():
            if self.state.is_main_process:
                with whole_folder(folder) as f:
                    if not self.policy.export(f):
                        self.policy.save(f)
        else:
            weights = self.trainer.accelerator.get_state_dict(self.trainer.model_wrapped)
            if self.state.is_main_process:
                local = self.policy.local
                for tied in getattr(local.model, "all_tied_weights_keys", ()):
                    weights.pop(tied, None)  # gathered twice, and the same
                with whole_folder(folder) as f:
                    local.model.save_pretrained(f, state_dict=weights)
                    local.tokenizer.save_pretrained(f)
                    (f / NOTES).write_text(json.dumps({"style": local.style}) + "\n", encoding="utf-8")
        self.state.wait_for_everyone()

    def _prune(self) -> None:
        if self.state.is_main_process:
            for old in sorted((self.out / "models").glob("step-??????"))[: -self.settings.keep]:
                remove(old)


def _device(s: GRPOSettings, state: PartialState) -> str:
    """Each process its own GPU; weights that will be sharded start on the CPU."""
    return "cpu" if state.device.type == "cpu" or sharded() else str(state.device)


def _book(run: _Run) -> Any:
    from transformers import TrainerCallback

    class Book(TrainerCallback):
        """Counts steps as TRL logs them, in every process."""

        made = 0

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> Any:
            if logs is None or "loss" not in logs:
                return control
            self.made += 1
            if self.made % run.settings.updates == 0:
                run.done(self.made // run.settings.updates, logs.get("learning_rate", math.nan))
            return control

    return Book()


# ---------------------------------------------------------------- command line
@dataclass(frozen=True)
class Command(GRPOSettings):
    """Train a negotiator by GRPO self-play in several processes: `accelerate launch ... -m nego_trainers.distributed`."""

    out: Path = Path("runs/distributed")
    """Where everything goes: a new folder."""
    preset: Literal["paper"] | None = None
    """Another set of defaults. Flags beside it win."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    import tyro

    given = list(sys.argv[1:] if arguments is None else arguments)
    paper = any(a == "--preset=paper" or given[i : i + 2] == ["--preset", "paper"] for i, a in enumerate(given))
    command = tyro.cli(
        Command,
        args=given,
        prog="python -m nego_trainers.distributed",
        default=Command(**PRESETS["paper"]) if paper else Command(),
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    first = os.environ.get("RANK", "0") == "0"
    try:
        model = train_distributed(command, command.out, watcher=Lines() if first else None)
    except NegoError as e:
        sys.stderr.write(f"nego: error: {e}\n")
        return 2
    finally:
        leave()
    if first:
        sys.stdout.write(f"model: {model}\nplay with it: nego play --agents hf:{model}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
