"""One GRPO update in plain torch: the readable reference, and the fast path on a CPU.

    rows -> micro-batches -> log-probs -> loss -> backward; then clip, and the optimizer's step

1. The loss is a weighted sum over tokens, so parts of the batch are differentiated one by one.
2. Prefixes that rows share are encoded once. Parts send their gradient into detached keys and values, and it goes through
   the prefixes' own forward once, after the last part.
3. Rows with no advantage are left out where nothing else acts on them; their tokens stay in the weights of the others.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from nego_env.errors import SettingsError
from nego_trainers.batch import WeightedRow
from nego_trainers.forward import (
    Prefixes,
    TokenScores,
    can_share,
    checkpointed,
    encode_prefixes,
    part_scores,
    token_scores,
)
from nego_trainers.objective import Loss, Objective, policy_loss
from nego_trainers.packing import Fed, feed, plan

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class StepOptions:
    """How a step is taken."""

    objective: Objective = field(default_factory=Objective)
    max_grad_norm: float | None = 1.0
    """The gradient's 2-norm is clipped to this; None leaves it as it is."""
    micro_tokens: int = 4096
    """Most padded tokens of one forward: a matter of memory, not of the result."""
    share_prompts: bool = True
    """Encode common beginnings once, where the model can."""
    autocast: str | None = None
    """`bfloat16`: forwards under autocast; None: in the model's own precision."""


@dataclass(frozen=True)
class StepReport:
    """What a step did. Means are over the tokens that were fed."""

    loss: float
    policy_loss: float
    kl: float
    """Weighted mean of k3 towards the reference; 0 without one."""
    entropy: float
    """Mean entropy of the next-token distribution, in nats."""
    clip_fraction: float
    """Share of tokens the clip holds back."""
    grad_norm: float
    """Before clipping."""
    tokens: int
    """Tokens under the mask, of all rows given."""
    rows: int
    skipped_rows: int
    """Rows left out of the forward because they have no advantage."""
    drift: float
    """Largest |log-prob now - log-prob recorded while sampling|. About 1e-6 on the first pass over fresh rows in float32;
    more means that sampler and trainer do not see the same model, tokens or temperature."""
    updated: bool
    """False where no row had an advantage: the optimizer took no step."""

    def metrics(self) -> dict[str, float]:
        """Every figure, by name."""
        return {name: float(value) for name, value in dataclasses.asdict(self).items()}


def grpo_step(
    model: PreTrainedModel,
    rows: Sequence[WeightedRow],
    optimizer: torch.optim.Optimizer,
    options: StepOptions = StepOptions(),
    ref: PreTrainedModel | None = None,
) -> StepReport:
    """One update of `model` on `rows`; the learning rate schedule is the caller's.

    Old log-probs (for the clip) are those recorded in the rows. `ref` is the reference of the KL term; without one, a PEFT
    model's own base serves. Weights stay as they are, so `rows` may be a slice of a batch (inner mini-batches).
    Raises `SettingsError` where beta asks for a reference there is none of.
    """
    objective = options.objective
    kept = [r for r in rows if objective.needs_every_row or r.advantage != 0.0]
    fed = [feed(r.row) for r in kept]
    tally = _Tally()
    optimizer.zero_grad(set_to_none=True)
    with _no_dropout(model), _autocast(model, options.autocast):
        reference = _reference(model, fed, options, ref) if kept and objective.beta else None
        for block in plan(fed, budget=options.micro_tokens, share=options.share_prompts and can_share(model)):
            prefixes = encode_prefixes(model, block)
            leaves = [(k.detach().requires_grad_(), v.detach().requires_grad_()) for k, v in prefixes]
            for part in block.parts:
                scores = part_scores(
                    model, fed, block, part, leaves, objective.temperature, entropy_gradient=objective.entropy > 0
                )
                tokens = _Tokens.of([kept[i] for i in part.rows], scores.logprobs.device)
                against = None if reference is None else torch.cat([reference[i] for i in part.rows])
                loss = policy_loss(
                    scores.logprobs,
                    tokens.advantages,
                    tokens.weights,
                    objective,
                    old=tokens.recorded,
                    ref=against,
                    entropies=scores.entropies,
                )
                loss.loss.backward()  # type: ignore[no-untyped-call]
                tally.add(loss, scores, tokens)
            _through_prefixes(prefixes, leaves)
    norm = _clip(model, options.max_grad_norm) if kept else 0.0
    if kept:
        optimizer.step()
    return tally.report(rows, kept, norm)


def _through_prefixes(prefixes: Prefixes, leaves: Prefixes) -> None:
    """The gradient that arrived at the detached keys and values, on through the prefixes' forward."""
    pairs = [
        (tensor, leaf.grad)
        for layer, detached in zip(prefixes, leaves, strict=True)
        for tensor, leaf in zip(layer, detached, strict=True)
        if tensor.requires_grad  # with adapters in a few places, the lowest layers may have none
    ]
    if pairs:
        torch.autograd.backward([t for t, _ in pairs], [g for _, g in pairs])


class _Tokens(NamedTuple):
    """What is known of the scored tokens of some rows before a forward, (N,) each."""

    advantages: Tensor
    weights: Tensor
    recorded: Tensor

    @classmethod
    def of(cls, rows: Sequence[WeightedRow], device: torch.device) -> _Tokens:
        counts = torch.tensor([r.row.tokens for r in rows])
        per_row = torch.tensor([[r.advantage, r.weight] for r in rows]).repeat_interleave(counts, 0).to(device)
        recorded = [x for r in rows for x, own in zip(r.row.logprobs, r.row.mask, strict=True) if own]
        return cls(per_row[:, 0], per_row[:, 1], torch.tensor(recorded, device=device))


class _Tally:
    """Sums over the parts of a step."""

    def __init__(self) -> None:
        self.loss = self.policy = self.kl = self.weight = self.entropy = self.clipped = self.drift = 0.0
        self.tokens = 0

    def add(self, loss: Loss, scores: TokenScores, tokens: _Tokens) -> None:
        with torch.no_grad():
            figures = torch.stack(
                [
                    loss.loss.detach(),
                    loss.policy,
                    loss.kl,
                    tokens.weights.sum(),
                    scores.entropies.sum(),
                    loss.clipped.float(),
                    (scores.logprobs - tokens.recorded).abs().max(),
                ]
            ).tolist()
        self.loss, self.policy, self.kl, self.weight, self.entropy, self.clipped = (
            a + b
            for a, b in zip(
                (self.loss, self.policy, self.kl, self.weight, self.entropy, self.clipped), figures[:-1], strict=True
            )
        )
        self.drift = max(self.drift, figures[-1])
        self.tokens += len(scores.logprobs)

    def report(self, rows: Sequence[WeightedRow], kept: Sequence[WeightedRow], norm: float) -> StepReport:
        return StepReport(
            loss=self.loss,
            policy_loss=self.policy,
            kl=self.kl / self.weight if self.weight else 0.0,
            entropy=self.entropy / max(1, self.tokens),
            clip_fraction=self.clipped / max(1, self.tokens),
            grad_norm=norm,
            tokens=sum(r.row.tokens for r in rows),
            rows=len(rows),
            skipped_rows=len(rows) - len(kept),
            drift=self.drift,
            updated=bool(kept),
        )


def _reference(
    model: PreTrainedModel, fed: Sequence[Fed], options: StepOptions, ref: PreTrainedModel | None
) -> Sequence[Tensor]:
    """Log-probs under the reference, by row."""
    adapter_off: Any = getattr(model, "disable_adapter", None)
    if ref is None and adapter_off is None:
        raise SettingsError("beta is above 0: pass the reference model as `ref`, or train a PEFT adapter")
    with torch.no_grad(), contextlib.nullcontext() if ref is not None else adapter_off():
        scores = token_scores(
            model if ref is None else ref,
            fed,
            temperature=options.objective.temperature,
            share=options.share_prompts,
            budget=options.micro_tokens,
        )
    return torch.split(scores.logprobs, [len(f.scored) for f in fed])


def _clip(model: PreTrainedModel, most: float | None) -> float:
    """The gradient's norm; the gradient is scaled down to `most` where it is longer."""
    return float(torch.nn.utils.clip_grad_norm_(model.parameters(), math.inf if most is None else most))


@contextlib.contextmanager
def _no_dropout(model: PreTrainedModel) -> Iterator[None]:
    """Dropout off: the rows were sampled without it. Gradient checkpointing works in training mode alone, so it keeps that."""
    was = model.training
    model.train(checkpointed(model))
    try:
        yield
    finally:
        model.train(was)


def _autocast(model: PreTrainedModel, dtype: str | None) -> contextlib.AbstractContextManager[None]:
    if dtype is None:
        return contextlib.nullcontext()
    if dtype != "bfloat16":
        raise SettingsError(f"autocast is {dtype!r}, it must be 'bfloat16' or None")
    return torch.autocast(model.device.type, torch.bfloat16)
