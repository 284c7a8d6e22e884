"""The objective: a clipped surrogate over dialogue tokens, a KL term and an entropy bonus (`docs/trainers/grpo.md`).

    L = sum_t w_t ( - min(rho_t A_t, clip(rho_t, 1 - low, 1 + high) A_t) + beta k3_t - c H_t )

Everything here is one-dimensional, one figure per token that carries gradient, (N,). Log-probs are of the policy's
temperature-scaled, untruncated distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nego_env.errors import SettingsError


@dataclass(frozen=True)
class Objective:
    """What is minimised. Raises `SettingsError` for a figure out of range."""

    temperature: float = 1.0
    """Of the distribution that was sampled from; > 0."""
    clip_low: float | None = None
    """The ratio's lower bound is 1 - clip_low; in [0, 1]. None for both bounds: on-policy, the ratio is 1."""
    clip_high: float | None = None
    """The ratio's upper bound is 1 + clip_high; above clip_low it is DAPO's clip-higher."""
    beta: float = 0.0
    """Weight of the KL term towards a reference model; >= 0."""
    entropy: float = 0.0
    """Weight of the entropy bonus; >= 0."""
    likelihood: bool = False
    """The surrogate is A times the log-prob: the gradient of a ratio of 1, and with advantage 1 the value of a negative
    log-likelihood. Whoever sampled the tokens does not matter, so there is nothing to clip."""

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise SettingsError(f"temperature is {self.temperature}, to train it must be above 0")
        if (self.clip_low is None) != (self.clip_high is None):
            raise SettingsError("clip_low and clip_high come together: both a figure, or both None")
        if self.likelihood and self.clip_low is not None:
            raise SettingsError("a likelihood has no ratio to clip: clip_low and clip_high are None")
        for name, low, high in (
            ("clip_low", 0.0, 1.0),
            ("clip_high", 0.0, None),
            ("beta", 0.0, None),
            ("entropy", 0.0, None),
        ):
            value = getattr(self, name)
            if value is not None and not (value >= low and (high is None or value <= high)):
                allowed = f"in [{low:g}, {high:g}]" if high is not None else f"at least {low:g}"
                raise SettingsError(f"{name} is {value}, it must be {allowed}")

    @property
    def needs_every_row(self) -> bool:
        """Rows without an advantage still matter: the KL term or the entropy bonus acts on them."""
        return self.beta > 0 or self.entropy > 0


class Loss(NamedTuple):
    """What `policy_loss` gives: the loss to differentiate, and detached sums to report."""

    loss: Tensor
    policy: Tensor
    """The surrogate's part of the loss."""
    kl: Tensor
    """Sum over tokens of w_t k3_t."""
    clipped: Tensor
    """How many tokens the clip holds back."""


def policy_loss(
    logprobs: Tensor,
    advantages: Tensor,
    weights: Tensor,
    objective: Objective,
    *,
    old: Tensor | None = None,
    ref: Tensor | None = None,
    entropies: Tensor | None = None,
) -> Loss:
    """The loss of some tokens; the losses of parts of a batch add up to that of the whole. All arguments are (N,).

    `old`: log-probs under the policy that sampled, needed with a clip. `ref`: under the reference, needed with beta.
    `entropies`: with gradient, needed with an entropy bonus. Without a clip the ratio is 1, and its gradient is that of the
    log-prob.
    """
    clip = objective.clip_low is not None and objective.clip_high is not None
    assert not clip or old is not None
    ratio = torch.exp(logprobs - (old if clip and old is not None else logprobs.detach()))
    gain = (logprobs if objective.likelihood else ratio) * advantages
    clipped = torch.zeros((), device=logprobs.device)
    if objective.clip_low is not None and objective.clip_high is not None:
        low, high = 1 - objective.clip_low, 1 + objective.clip_high
        gain = torch.minimum(gain, ratio.clamp(low, high) * advantages)
        with torch.no_grad():
            clipped = (((ratio < low) & (advantages < 0)) | ((ratio > high) & (advantages > 0))).sum()
    policy = -(weights * gain).sum()
    loss, kl = policy, torch.zeros((), device=logprobs.device)
    if objective.beta:
        assert ref is not None
        kl = (weights * kl_k3(logprobs, ref)).sum()
        loss = loss + objective.beta * kl
    if objective.entropy:
        assert entropies is not None
        loss = loss - objective.entropy * (weights * entropies).sum()
    return Loss(loss, policy.detach(), kl.detach(), clipped)


def kl_k3(logprobs: Tensor, ref: Tensor) -> Tensor:
    """Estimate of KL(policy || reference) at sampled tokens, (N,), >= 0: `q/p - log(q/p) - 1` with q the reference
    (Schulman, "Approximating KL divergence", k3; the one GRPO uses, arXiv 2402.03300, Eq. 4)."""
    log_ratio = ref - logprobs
    return torch.exp(log_ratio) - log_ratio - 1
