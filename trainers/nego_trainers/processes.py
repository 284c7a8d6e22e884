"""What several processes share out, and what they put together: groups of episodes, weights, figures."""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nego_env.scenario import Scenario
from nego_trainers.sources import Source

SUMS = (
    "loss",
    "policy_loss",
    "tokens",
    "rows",
    "skipped_rows",
    "unscored",
    "scored",
    "sampled_tokens",
    "tokens_per_second",
)
"""Figures that add up over processes."""
MOST = ("drift", "updated")
"""Figures of which the largest counts; of all others it is the mean."""


class Shifted:
    """A source whose groups 0 to `own` - 1 are another one's from `first` on, and whose spares are those from `spare` on."""

    def __init__(self, source: Source, first: int, own: int, spare: int) -> None:
        self.name = source.name
        self._source, self._first, self._own, self._spare = source, first, own, spare

    def group(self, step: int, group: int) -> Scenario:
        """The dilemma of a step's group."""
        return self._source.group(step, group + (self._first if group < self._own else self._spare - self._own))

    def bounds(self) -> tuple[int, int]:
        """Of the source."""
        return self._source.bounds()


def sharded() -> bool:
    """Whether the launcher asked for weights that are spread over the processes."""
    return any(os.environ.get(f"ACCELERATE_USE_{name}", "").lower() == "true" for name in ("FSDP", "DEEPSPEED"))


@contextmanager
def whole_weights(model: Any) -> Iterator[None]:
    """Every parameter of an FSDP2 model on every process, so that forwards need no other process. Others are left alone
    (TRL gathers those of ZeRO-3)."""
    from torch.distributed.fsdp import FSDPModule

    parts = [m for m in model.modules() if isinstance(m, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(True, recurse=False)
            part.reshard()


def joined(name: str, values: Sequence[float]) -> float | None:
    """One figure of all processes, nan in those that have none."""
    known = [v for v in values if not math.isnan(v)]
    if not known:
        return None
    if name in MOST:
        return max(known)
    total = math.fsum(known)
    return total if name in SUMS else total / len(known)


def leave() -> None:
    """Ends the process group; without it, processes may abort at exit."""
    import torch

    gc.collect()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
