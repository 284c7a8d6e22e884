"""What an agent asks of a decoder, and what it gets."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from nego_agents.local.sampling import Sampling


@dataclass(frozen=True)
class Request:
    """A conversation waiting for its next reply."""

    key: Hashable
    """Which conversation: what it computed before is found by this."""
    context: list[int]
    """All of it, the generation prompt included; at least one token."""
    sampling: Sampling
    limit: int
    """At most so many tokens; at least 1."""
    uniforms: np.ndarray[tuple[int], np.dtype[np.float64]]
    """(limit or more,) in [0, 1): one per token."""


@dataclass(frozen=True)
class Sampled:
    """A reply: (T,) ids and their log-probabilities."""

    ids: list[int]
    logprobs: list[float]
