"""The one file that touches TRL: rows of ours, through TRL's `GRPOTrainer`, with the same loss as the plain step.

1. TRL asks `rollout_func` for a fixed number of rows a step. `play(step, model)` of ours gives as many as were played; the
   rest are pad rows of one masked token. TRL's own rewards, groups and advantages go unused.
2. TRL's `dapo` loss sums over tokens. Advantage and token weight are folded into the one figure per row that it multiplies
   by, so that its sum is ours (`docs/trainers/grpo.md`); the KL and entropy terms are added with the same weights.
3. Log-probs come from `nego_trainers.forward`, inside the wrapped model's forward (DDP, FSDP, PEFT and autocast stay in
   charge): pad rows, other seats' tokens and rows without an advantage cost nothing.

    play: Callable[[int, PreTrainedModel], Sequence[WeightedRow]]

is given the number of optimizer steps done so far and the unwrapped policy, ready to sample from (gradient checkpointing
off, parameters gathered under ZeRO-3), and returns this process's rows. Everything else is transformers' `Trainer`: the
schedule, checkpoints, resume, and `TrainerCallback`s for metrics (`on_log` has `loss`, `grad_norm`, `entropy`, `kl`, ...;
`trainer.report` is then the step's `StepReport`).
"""

from __future__ import annotations

import contextlib
import functools
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nego_env.errors import MissingExtraError, SettingsError
from nego_trainers.batch import TokenNorm, WeightedRow
from nego_trainers.forward import TokenScores, backbone_owner, token_scores
from nego_trainers.objective import Objective, kl_k3
from nego_trainers.packing import Fed
from nego_trainers.step import StepReport

try:
    from datasets import Dataset
    from transformers import PrinterCallback, ProgressCallback, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer
    from trl.models import unwrap_model_for_generation
except ImportError as e:
    raise MissingExtraError(
        f"training through TRL needs it ({e.name} is missing): pip install 'nego-env[train]'"
    ) from None

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Play = Callable[[int, "PreTrainedModel"], Sequence[WeightedRow]]
CARRIERS = 1024
"""Rows of the dataset TRL insists on; what is in them is not read."""
_NOT_OURS = ("rewards/", "reward_std", "frac_reward", "completions/", "clip_ratio/")
"""TRL's figures that speak of one completion per row and of its own groups, or count rows that were not fed."""


def selfplay_config(
    output_dir: str | Path,
    *,
    rows: int,
    objective: Objective = Objective(),  # noqa: B008
    learning_rate: float = 1e-6,
    max_steps: int = 100,
    micro_rows: int | None = None,
    max_grad_norm: float = 1.0,
    **options: Any,
) -> GRPOConfig:
    """A `GRPOConfig` under which TRL's loss is ours; `options` are further fields of it (schedule, seed, saving, `bf16`, ...).

    `rows` bounds the rows of a step in one process: episodes x seats that train and, with a memory window, x rounds.
    `micro_rows` of them are differentiated at once (all, by default) and must divide `rows`. Without a GPU it asks for the CPU.
    Raises `SettingsError` for figures that do not fit, and for a field that the adapter sets itself.
    """
    rows = max(2, rows)
    micro = rows if micro_rows is None else micro_rows
    if micro < 1 or rows % micro:
        raise SettingsError(f"micro_rows is {micro_rows}, it must divide the {rows} rows of a step")
    if options.get("num_iterations", 1) > 1 and objective.clip_low is None:
        raise SettingsError("num_iterations is above 1: then the ratio is not 1, and the objective needs a clip")
    from accelerate import PartialState

    gpu = torch.cuda.is_available() and not options.get("use_cpu", False)
    processes = PartialState(cpu=not gpu).num_processes
    ours: dict[str, Any] = {
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": rows // micro,
        "steps_per_generation": rows // micro,
        "num_generations": rows * processes,
        "loss_type": "dapo",
        "scale_rewards": "none",
        "beta": objective.beta,
        "temperature": objective.temperature,
        "epsilon": 0.2 if objective.clip_low is None else objective.clip_low,
        "epsilon_high": 0.2 if objective.clip_high is None else objective.clip_high,
        "mask_truncated_completions": False,
        "disable_dropout": True,
        "shuffle_dataset": False,
        "ignore_data_skip": True,
        "remove_unused_columns": False,
    }
    if taken := sorted(ours.keys() & options.keys()):
        raise SettingsError(f"{', '.join(taken)}: set by the adapter; use rows, micro_rows and the objective instead")
    defaults: dict[str, Any] = {
        "use_cpu": not gpu,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
        "logging_steps": 1,
        "lr_scheduler_type": "constant",
        "disable_tqdm": True,
        "save_strategy": "no",
    }
    with _without_notices():
        return GRPOConfig(
            output_dir=str(output_dir),
            learning_rate=learning_rate,
            max_steps=max_steps,
            max_grad_norm=max_grad_norm,
            **(defaults | options | ours),
        )


def make_rollout_func(play: Play) -> Callable[[list[str], SelfPlayGRPOTrainer], dict[str, list[Any]]]:
    """TRL's `rollout_func` over `play`: its rows, then pad rows up to the number TRL asked for.

    It raises `SettingsError` where `play` gave more rows than that.
    """

    def rollout(prompts: list[str], trainer: SelfPlayGRPOTrainer) -> dict[str, list[Any]]:
        with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model:
            rows = list(play(trainer.state.global_step, model))
        if len(rows) > len(prompts):
            raise SettingsError(f"{len(rows)} rows were played, the configuration allows {len(prompts)}: raise `rows`")
        mean = sum(r.row.reward or 0.0 for r in rows) / max(1, len(rows))
        pads = len(prompts) - len(rows)
        token = trainer.pad_token
        trainer.played = rows
        return {
            "prompt_ids": [list(r.row.prompt_ids) for r in rows] + [[token]] * pads,
            "completion_ids": [list(r.row.completion_ids) for r in rows] + [[token]] * pads,
            "env_mask": [list(r.row.mask) for r in rows] + [[0]] * pads,
            "logprobs": [list(r.row.logprobs) for r in rows] + [[0.0]] * pads,
            "reward": [r.row.reward for r in rows] + [mean] * pads,  # for TRL's log alone
        }

    return rollout


class SelfPlayGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """`GRPOTrainer` on rows of self-play, weighed and differentiated as `nego_trainers.step.grpo_step` does it."""

    report: StepReport | None = None
    """Of the step that was logged last."""
    moved = True
    """The last step had something to learn from, in this process or another."""
    beta: float

    def __init__(
        self,
        model: PreTrainedModel | str,
        play: Play,
        config: GRPOConfig,
        *,
        tokenizer: PreTrainedTokenizerBase,
        objective: Objective = Objective(),  # noqa: B008
        token_norm: TokenNorm = "group",
        micro_tokens: int = 4096,
        share_prompts: bool = True,
        callbacks: Sequence[Any] = (),
        optimizers: tuple[Any, Any] = (None, None),
        peft_config: Any = None,
        quantization_config: Any = None,
    ) -> None:
        """`config` is `selfplay_config(..., objective=objective)`. `token_norm` is what the rows were weighed by: with several
        processes each weighs its own groups, and the adapter puts them together. Groups need distinct names then.

        Raises `SettingsError` where beta asks for a reference that cannot be loaded again: the model must come from a folder
        or hub name, or be trained through PEFT.
        """
        if (config.temperature, config.beta) != (objective.temperature, objective.beta):
            raise SettingsError(
                "the configuration was made for another objective: selfplay_config(..., objective=objective)"
            )
        if objective.beta and peft_config is None and not _can_be_loaded_again(model):
            raise SettingsError("beta is above 0: save the model first and pass its folder, or train with PEFT")
        self.objective, self.token_norm = objective, token_norm
        self.micro_tokens, self.share_prompts = micro_tokens, share_prompts
        self.pad_token = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id)
        self.played: list[WeightedRow] = []
        self._own: Tensor | None = None
        self._last: tuple[Tensor, Tensor] | None = None
        self._sums: dict[str, float] = {}
        with _without_notices():
            super().__init__(
                model=model,
                reward_funcs=_recorded_reward,
                args=config,
                train_dataset=Dataset.from_dict({"prompt": [str(i) for i in range(CARRIERS)]}),
                processing_class=tokenizer,
                callbacks=list(callbacks),
                optimizers=optimizers,
                quantization_config=quantization_config,
                peft_config=peft_config,
                rollout_func=make_rollout_func(play),
            )
        for printing in (PrinterCallback, ProgressCallback):
            self.remove_callback(printing)  # what to show is the caller's affair
        self.add_callback(_StandsStill(self))
        for each in (self.model, self.ref_model):
            if each is not None:
                _add_token_scores(backbone_owner(each))

    def acting(self) -> int:
        """Rows of this step, in all processes, from which there is something to learn."""
        rows = [r for r in self.played if self.objective.needs_every_row or r.advantage != 0.0]
        count = torch.tensor([len(rows)], device=self.accelerator.device)
        return int(self.accelerator.gather(count).sum())

    def _send_telemetry(self) -> None:
        """Nothing is sent anywhere."""

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """TRL's batch, with our advantages and weights in it: (rows,) each, 0 for pad rows."""
        self._own = None
        out: dict[str, Any] = super()._generate_and_score_completions(inputs)
        pads = [0.0] * (len(inputs) - len(self.played))
        scale = self.accelerator.num_processes * self._share()
        device = out["completion_ids"].device
        out["advantages"] = torch.tensor([r.advantage for r in self.played] + pads, device=device)
        out["token_weights"] = torch.tensor([r.weight * scale for r in self.played] + pads, device=device)
        if self.objective.clip_low is not None:
            out["old_per_token_logps"] = out["sampling_per_token_logps"]
        return out

    def _share(self) -> float:
        """This process's share of the whole batch: of its groups, or of its tokens."""
        if self.accelerator.num_processes == 1:
            return 1.0
        by_group = self.token_norm == "group"
        count = len({r.row.group for r in self.played}) if by_group else sum(r.row.tokens for r in self.played)
        everyone = self.accelerator.gather(torch.tensor([count], device=self.accelerator.device)).sum().item()
        return count / everyone if everyone else 0.0

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor, None]:
        """Log-probs and entropies, (B, T) each over the last T tokens: 0 where nothing is scored."""
        own = self._own
        if own is None:  # before the loss: the whole batch, for the reference
            own = _masks(self.played, len(input_ids), logits_to_keep, input_ids.device)
        rows, at = _fed(input_ids, attention_mask, own)
        scores = TokenScores(*model(token_rows=rows, token_options=self._options()))
        logps = torch.zeros(own.shape, device=own.device).index_put(at, scores.logprobs)
        entropies = torch.zeros(own.shape, device=own.device).index_put(at, scores.entropies)
        self._last = logps, entropies
        return logps, entropies, None

    def _options(self) -> dict[str, Any]:
        return {
            "temperature": self.objective.temperature,
            "entropy_gradient": self.objective.entropy > 0 and torch.is_grad_enabled(),
            "share": self.share_prompts,
            "budget": self.micro_tokens,
        }

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any]) -> Tensor:
        """TRL's surrogate with weights folded in, then the KL and entropy terms with the same weights."""
        own = (inputs["completion_mask"] * inputs["tool_mask"]).bool()
        weights, advantages = inputs["token_weights"], inputs["advantages"]
        acts = (weights > 0) if self.objective.needs_every_row else (weights * advantages != 0)
        self._own = _never_empty(own & acts[:, None])
        folded = {
            **inputs,
            "advantages": advantages * weights,
            # what TRL divides by, of which it then takes a process's part: nothing is left to divide by
            "num_items_in_batch": torch.tensor(float(self.accelerator.num_processes), device=own.device),
        }
        beta, self.beta = self.beta, 0.0
        try:
            surrogate: Tensor = super()._compute_loss(model, folded)
        finally:
            self.beta = beta
        assert self._last is not None
        logps, entropies = self._last
        per_token = torch.where(own, weights[:, None], 0.0)
        if self.objective.likelihood:  # the gradient is that of a ratio of 1; the value is a likelihood's
            surrogate = surrogate - (surrogate + (per_token * advantages[:, None] * logps).sum()).detach()
        kl = torch.zeros((), device=own.device)
        loss = surrogate
        if self.objective.beta:
            kl = (per_token * kl_k3(logps, inputs["ref_per_token_logps"])).sum()
            loss = loss + self.objective.beta * kl
        if self.objective.entropy:
            loss = loss - self.objective.entropy * (per_token * entropies).sum()
        self._count(inputs, loss, surrogate, kl)
        return loss

    @torch.no_grad()
    def _count(self, inputs: Mapping[str, Any], loss: Tensor, surrogate: Tensor, kl: Tensor) -> None:
        """Sums over a step's micro-batches, in this process."""
        assert self._own is not None
        assert self._last is not None
        logps, entropies = self._last
        own = self._own & inputs["tool_mask"].bool()
        gap = (logps - inputs["sampling_per_token_logps"])[own]
        advantages = inputs["advantages"][:, None].expand(own.shape)[own]
        clipped = torch.zeros(())
        if self.objective.clip_low is not None and self.objective.clip_high is not None:
            low, high = 1 - self.objective.clip_low, 1 + self.objective.clip_high
            ratio = gap.exp()
            clipped = (((ratio < low) & (advantages < 0)) | ((ratio > high) & (advantages > 0))).sum()
        processes = self.accelerator.num_processes
        for name, figure in {
            "loss": loss / processes,
            "policy": surrogate / processes,
            "kl": kl,
            "weight": (inputs["token_weights"][:, None] * inputs["tool_mask"] * inputs["completion_mask"]).sum(),
            "entropy": entropies[own].sum(),
            "clipped": clipped,
            "fed": own.sum(),
        }.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(figure)
        self._sums["drift"] = max(self._sums.get("drift", 0.0), float(gap.abs().max()) if len(gap) else 0.0)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """TRL's log, with our figures where TRL counts rows that were not fed."""
        if self._sums and "loss" in logs:
            self.report = self._report(float(logs.get("grad_norm", float("nan"))))
            metrics = self._metrics["train"]
            for name in [n for n in metrics if n.startswith(_NOT_OURS)]:
                del metrics[name]
            metrics["entropy"] = [self.report.entropy]
            metrics["kl"] = [self.report.kl]
            metrics["clip_ratio/region_mean"] = [self.report.clip_fraction]
            metrics["drift"] = [self.report.drift]
            self._sums = {}
        super().log(logs, *args, **kwargs)

    def _report(self, grad_norm: float) -> StepReport:
        s, fed = self._sums, max(1.0, self._sums["fed"])
        skipped = 0 if self.objective.needs_every_row else sum(r.advantage == 0.0 for r in self.played)
        return StepReport(
            loss=s["loss"],
            policy_loss=s["policy"],
            kl=s["kl"] / s["weight"] if s["weight"] else 0.0,
            entropy=s["entropy"] / fed,
            clip_fraction=s["clipped"] / fed,
            grad_norm=grad_norm,
            tokens=sum(r.row.tokens for r in self.played),
            rows=len(self.played),
            skipped_rows=skipped,
            drift=s["drift"],
            updated=self.moved,
        )


class _StandsStill(TrainerCallback):
    """Takes no step where there is nothing to learn, as the plain step does: gradients are 0 there, and an optimizer would
    still move by its momentum and its decay. It passes over parameters that have none. (DeepSpeed steps inside its
    backward, before this is asked.)"""

    def __init__(self, trainer: SelfPlayGRPOTrainer) -> None:
        self.trainer = trainer

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The last moment before a step."""
        self.trainer.moved = self.trainer.acting() > 0
        if not self.trainer.moved:
            self.trainer.model.zero_grad(set_to_none=True)


@contextlib.contextmanager
def _without_notices() -> Iterator[None]:
    """TRL's notice that `rollout_func` is experimental (this file is the answer to that), and transformers' about a field
    that TRL still names the old way."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*rollout_func.*experimental", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
        yield


def _can_be_loaded_again(model: PreTrainedModel | str) -> bool:
    """As the reference; a PEFT model's reference is itself without its adapter."""
    return isinstance(model, str) or hasattr(model, "peft_config") or bool(getattr(model.config, "_name_or_path", ""))


def _recorded_reward(reward: list[float], **_: Any) -> list[float]:
    """The reward that came with each row."""
    return reward


def _add_token_scores(model: PreTrainedModel) -> None:
    """Let `model(token_rows=..., token_options=...)` give token scores, so that wrappers see a forward like any other."""
    plain = model.forward

    @functools.wraps(type(model).forward)
    def forward(
        self: PreTrainedModel,
        *args: Any,
        token_rows: Sequence[Fed] | None = None,
        token_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        if token_rows is None:
            return plain(*args, **kwargs)
        return tuple(token_scores(self, token_rows, **(token_options or {})))

    model.forward = types.MethodType(forward, model)


def _never_empty(own: Tensor) -> Tensor:
    """`own`, or one token where it is empty: every process runs a forward and a backward, of gradient 0 if need be."""
    if not own.any():
        own = own.clone()
        own[0, 0] = True
    return own


def _masks(rows: Sequence[WeightedRow], height: int, width: int, device: torch.device) -> Tensor:
    """The rows' masks as (height, width), pad rows below."""
    own = torch.zeros((height, width), dtype=torch.bool)
    for i, r in enumerate(rows):
        own[i, : len(r.row.mask)] = torch.tensor(r.row.mask, dtype=torch.bool)
    return _never_empty(own).to(device)


def _fed(input_ids: Tensor, attention_mask: Tensor, own: Tensor) -> tuple[list[Fed], tuple[Tensor, ...]]:
    """Padded rows (B, P + T), of which `own` (B, T) is scored, as rows to feed; and where in (B, T) their scores belong."""
    ids, real, scored = (x.cpu().numpy() for x in (input_ids, attention_mask, own))
    prompt = ids.shape[1] - scored.shape[1]
    rows = []
    for i in np.flatnonzero(scored.any(1)):
        start, at = int(real[i].argmax()), prompt + np.flatnonzero(scored[i])
        rows.append(Fed(ids[i, start : at[-1] + 1], at - start))
    return rows, own.nonzero(as_tuple=True)
