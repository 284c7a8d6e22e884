"""Who sits opposite the policy: itself, a copy of what it was, or any agent.

A *copy* is named by the step after which it was taken (0 is the model at the start), and that step is a function of the
step being played: a resumed run plays against the same copies, which are kept as files until nobody needs them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nego_env.errors import SettingsError

POOL_EVERY = 10
"""Steps between the copies of a pool."""


@dataclass(frozen=True)
class Opponent:
    """What `--opponent` says."""

    kind: Literal["self", "frozen", "pool", "agent"]
    every: int = 0
    """Steps between copies."""
    size: int = 0
    """Copies in the pool."""
    agent: str = ""

    def copies(self, step: int) -> tuple[int, ...]:
        """The copies that may play in a step, oldest first."""
        if self.kind not in ("frozen", "pool"):
            return ()
        last = step // self.every
        return tuple(k * self.every for k in range(max(0, last - self.size + 1), last + 1))

    def copy_for(self, seed: int, step: int, group: int) -> int:
        """The copy that plays a group."""
        copies = self.copies(step)
        return copies[int(np.random.default_rng([seed, step, group]).integers(len(copies)))]

    def due(self, step: int) -> bool:
        """A copy is taken of the model as it is before this step."""
        return bool(self.copies(step)) and step % self.every == 0


def parse_opponent(text: str) -> Opponent:
    """`self`, `frozen:K`, `pool:N`, `pool:N:K`, or an agent's name. Raises `SettingsError`."""
    head, _, rest = text.partition(":")
    if head == "self" and not rest:
        return Opponent("self")
    if head not in ("frozen", "pool"):
        return Opponent("agent", agent=text)
    numbers = [int(x) for x in rest.split(":")] if re.fullmatch(r"[0-9]{1,6}(:[0-9]{1,6})?", rest) else []
    if not numbers or min(numbers) < 1 or len(numbers) > (1 if head == "frozen" else 2):
        wanted = (
            "frozen:K, K steps between copies"
            if head == "frozen"
            else "pool:N or pool:N:K, N copies, one every K steps"
        )
        raise SettingsError(f"--opponent {text!r} is not of the form {wanted}")
    if head == "frozen":
        return Opponent("frozen", every=numbers[0], size=1)
    return Opponent("pool", every=numbers[1] if len(numbers) > 1 else POOL_EVERY, size=numbers[0])


def learners(seats: str, n: int, step: int, group: int) -> tuple[int, ...]:
    """The seats whose words are trained: all, one by turns, or the one named."""
    if seats == "both":
        return tuple(range(n))
    return ((step + group) % n,) if seats == "alternate" else (int(seats.removeprefix("seat_")),)
