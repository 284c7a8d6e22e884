"""What every experiment shares: the training recipe, the suites, the temperatures, the field of scripted negotiators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nego_env.scenario import Scenario
from nego_scenarios.duels import HELDOUT_SEED, SHAPES, duels

RUNS = Path("runs/experiments")
RESULTS = Path(__file__).parent / "results"

SEEDS = (0, 1, 2, 3, 4)
TEMPERATURES = (1.0, 0.7, 0.0)

GRPO: dict[str, Any] = {
    "suite": "generate:train",
    "shapes": SHAPES,
    "groups": 16,
    "group_size": 8,
    "temperature": 1.0,
    "lr": 3e-4,
    "adam_eps": 1e-5,
    "beta": 0.0,
    "normalise": "none",
    "token_norm": "group",
    "max_new_tokens": 48,
    "steps": 64,
    "warmup": 4,
    "schedule": "linear",
    "eval_every": 16,
    "eval_scenarios": 160,
    "save_every": 16,
    "micro_tokens": 3072,
    "threads": 1,
}
"""The recipe of every run that is not an ablation. Chosen by runs of other seeds, looking at training themes only."""

SCRIPTED = ("random", "boulware", "conceder", "tit-for-tat", "micro", "logroller", "revealer")
"""The field: all ordered pairs of these."""


def heldout() -> list[Scenario]:
    """500 duels over themes, words and stakes that no training or tuning saw; 125 of each shape."""
    return duels(500, split="heldout", shapes=SHAPES, seed=HELDOUT_SEED)


def flags(options: dict[str, Any]) -> list[str]:
    """Options as the flags of `nego train`."""
    found: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            found.append(flag if value else f"--no-{flag[2:]}")
        elif isinstance(value, (tuple, list)):
            found += [flag, *map(str, value)]
        else:
            found += [flag, str(value)]
    return found
