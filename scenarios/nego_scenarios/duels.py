"""Duels: generated dilemmas of two seats in a fixed shape, for training, validation and held-out evaluation.

A shape is `issues x options`: `2x3` is two issues with three options each, so nine deals. The seed of a duel is a seed of
`nego_scenarios.generator`: seats' best totals differ, and about one duel in 25 has no zone of possible agreement (tagged
`no_zopa`), because a negotiator should also know when not to sign.

Two suites that nobody trains on: `heldout_two_seat`, over themes whose words training never uses, and
`validation_two_seat`, over the training themes with seeds set aside (`VALIDATION_SEED`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from nego_env.errors import SettingsError
from nego_env.packs import LooseScenarios
from nego_env.scenario import Scenario, encode_scenario
from nego_scenarios.casting import ISSUES, OPTIONS
from nego_scenarios.generator import generate
from nego_scenarios.themes import Split

SHAPES = ("2x3", "3x3", "3x4", "4x4")
"""Shapes of the held-out suite, smallest first: 9, 27, 64 and 256 deals."""

VALIDATION_SEED = 1_000_000_000
"""The validation suite's first seed; training draws none of the ten thousand from here on."""
HELDOUT_SEED = 2_000_000_000
"""The held-out suite's first seed."""


def duel(seed: int, *, split: Split = "train", shape: str = "3x3") -> Scenario:
    """The duel of a seed (from 0) in a shape (2 to 5 issues, 2 to 5 options). Raises `SettingsError`."""
    issues, options = read_shape(shape)
    return generate(seed, split=split, seats=2, issues=issues, options=options)


def duels(
    count: int, *, split: Split = "train", shapes: Sequence[str] = ("3x3",), seed: int = 0, zopa_only: bool = False
) -> list[Scenario]:
    """`count` duels of consecutive seeds from `seed`; each has the shape `shapes[its seed % len(shapes)]`, so that ranges
    of seeds that do not meet share no duel. `zopa_only` passes over those in which no deal suits both, and so uses a few
    seeds more. Raises `SettingsError`."""
    if count < 0:
        raise SettingsError(f"count is {count}; it must be 0 or more")
    if not shapes:
        raise SettingsError("no shapes given; a shape is ISSUESxOPTIONS, such as 3x3")
    found: list[Scenario] = []
    at = seed
    while len(found) < count:
        made = duel(at, split=split, shape=shapes[at % len(shapes)])
        if not (zopa_only and "no_zopa" in made.tags):
            found.append(made)
        at += 1
    return found


def heldout_two_seat(count: int = 500, *, shapes: Sequence[str] = SHAPES, seed: int = HELDOUT_SEED) -> LooseScenarios:
    """The held-out suite: unseen themes, words and stakes; as many of each shape as of any other."""
    return LooseScenarios("duels", duels(count, split="heldout", shapes=shapes, seed=seed))


def validation_two_seat(
    count: int = 200, *, shapes: Sequence[str] = SHAPES, seed: int = VALIDATION_SEED
) -> LooseScenarios:
    """A suite of training themes with seeds no training draws: for choosing checkpoints without seeing a held-out word."""
    return LooseScenarios("duels-validation", duels(count, split="train", shapes=shapes, seed=seed))


def suite_hash(scenarios: Iterable[Scenario]) -> str:
    """SHA-256 (hex) over the canonical JSON of scenarios, one a line, in the order given: names a suite by its content."""
    digest = hashlib.sha256()
    for s in scenarios:
        digest.update(encode_scenario(s) + b"\n")
    return digest.hexdigest()


def shape_of(scenario: Scenario) -> str:
    """`3x4` for three issues with four options each; `3x2-4` where the options differ in number; `open` without issues."""
    counts = scenario.counts
    if not counts:
        return "open"
    low, high = min(counts), max(counts)
    return f"{len(counts)}x{low}" if low == high else f"{len(counts)}x{low}-{high}"


def read_shape(shape: str) -> tuple[int, int]:
    """(issues, options per issue) of `3x4`. Raises `SettingsError` for one the generator cannot make."""
    parts = re.fullmatch(r"(\d{1,2})x(\d{1,2})", shape)
    issues, options = (int(parts[1]), int(parts[2])) if parts else (0, 0)
    if not (ISSUES[0] <= issues <= ISSUES[1] and OPTIONS[0] <= options <= OPTIONS[1]):
        raise SettingsError(
            f"shape is {shape!r}; it must be ISSUESxOPTIONS, {ISSUES[0]} to {ISSUES[1]} issues and {OPTIONS[0]} to "
            f"{OPTIONS[1]} options each, such as 3x4"
        )
    return issues, options
