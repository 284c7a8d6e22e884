"""The packs that ship: open dilemmas, and two frozen suites of structured ones."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from nego_env.packs import LooseScenarios, Pack
from nego_env.scenario import read_toml


def _data(name: str) -> Path:
    return Path(str(files("nego_scenarios").joinpath("data", name)))


def open_pack() -> LooseScenarios:
    """Open dilemmas across the three strata of arXiv 2603.10476 (sec. 3.1)."""
    return LooseScenarios("open", [read_toml(p) for p in sorted(_data("open").glob("*.toml"))])


def train_pack() -> Pack:
    """500 generated structured dilemmas over the training themes; frozen."""
    return Pack(_data("train"))


def heldout_pack() -> Pack:
    """500 generated structured dilemmas over the held-out themes, whose words the training ones never use; frozen."""
    return Pack(_data("heldout"))
