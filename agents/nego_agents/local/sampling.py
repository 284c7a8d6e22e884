"""How a token is drawn from logits: inverse CDF, one uniform per row.

1. The log-probability that is recorded is of the temperature-scaled, untruncated distribution, the one a trainer's forward
   gives; top-p changes what is drawn only.
2. A row's uniforms are its own (its seat's generator), so what it says does not depend on who else is in the batch.
3. `torch.multinomial` would draw one exponential per vocabulary entry: ten times the cost at 32 thousand entries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nego_env.errors import SettingsError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Sampling:
    """How a reply is sampled. Raises `SettingsError` for a value out of range."""

    temperature: float = 1.0
    """0 and up; 0 is greedy, whose recorded log-probabilities are those at temperature 1."""
    top_p: float = 1.0
    """In (0, 1]: the likeliest tokens that hold this share of the probability are drawn from (nucleus sampling)."""
    max_new_tokens: int = 96
    """At least 1; a reply that reaches it ends there, with finish `length`."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise SettingsError(f"temperature is {self.temperature}, it must be 0 (greedy) or above")
        if not 0 < self.top_p <= 1:
            raise SettingsError(f"top_p is {self.top_p}, it must be above 0 and at most 1")
        if self.max_new_tokens < 1:
            raise SettingsError(f"max_new_tokens is {self.max_new_tokens}, it must be at least 1")


class Drawer:
    """Draws one token per row, again and again, for rows that may differ in temperature and top-p."""

    def __init__(self, samplings: Sequence[Sampling], device: torch.device) -> None:
        import torch

        temperatures = [s.temperature for s in samplings]
        scales = torch.tensor([t or 1.0 for t in temperatures], dtype=torch.float32, device=device)
        self._scale = None if bool((scales == 1).all()) else scales[:, None]
        greedy = torch.tensor([t == 0 for t in temperatures], device=device)
        self._greedy = greedy if bool(greedy.any()) else None
        top_p = torch.tensor([s.top_p for s in samplings], dtype=torch.float64, device=device)
        self._top_p = top_p[:, None] if bool((top_p < 1).any()) else None

    def keep(self, rows: torch.Tensor) -> None:
        """From now on the batch is these rows (indices) of it."""
        if self._scale is not None:
            self._scale = self._scale[rows]
        if self._greedy is not None:
            self._greedy = self._greedy[rows]
        if self._top_p is not None:
            self._top_p = self._top_p[rows]

    def draw(self, logits: torch.Tensor, uniforms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B,) token ids and their (B,) log-probabilities, from (B, V) logits and (B,) float64 uniforms in [0, 1)."""
        import torch

        logits = logits.float()
        if self._scale is not None:
            logits = logits / self._scale
        probs = torch.softmax(logits, -1)  # the logarithm is taken of the drawn ones only: it costs as much as the rest
        tokens = self._sample(probs, uniforms)
        if self._greedy is not None:
            tokens = torch.where(self._greedy, logits.argmax(-1), tokens)
        return tokens, probs.gather(1, tokens[:, None])[:, 0].log_()

    def _sample(self, probs: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
        import torch

        if self._top_p is None:
            cdf = probs.cumsum(-1, dtype=torch.float64)
            return _invert(cdf, uniforms[:, None] * cdf[:, -1:])
        ordered, ids = probs.sort(dim=-1, descending=True, stable=True)
        cdf = ordered.cumsum(-1, dtype=torch.float64)
        last = torch.searchsorted(cdf, self._top_p * cdf[:, -1:]).clamp_(max=cdf.shape[1] - 1)
        held = cdf.gather(1, last)
        return ids.gather(1, _invert(cdf, uniforms[:, None] * held)[:, None])[:, 0]


def _invert(cdf: torch.Tensor, heights: torch.Tensor) -> torch.Tensor:
    """(B,): the first entry of each row of a (B, V) distribution function that lies above the row's height (B, 1)."""
    import torch

    return torch.searchsorted(cdf, heights, right=True)[:, 0].clamp_(max=cdf.shape[1] - 1)
