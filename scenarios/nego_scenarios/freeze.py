"""Writes the two frozen suites and measures them: `python -m nego_scenarios.freeze`.

A suite deals every combination of seats, issues and stakes in turn, and the themes around them, so that each is there
about equally often; options per issue are drawn. Once a suite is published its files do not change: a new generator
writes a new version beside them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import NamedTuple

from nego_env.accounting import CA_MAX
from nego_env.packs import PackInfo, write_pack
from nego_env.scenario import Scenario
from nego_scenarios.casting import ISSUES, LEVELS, SEATS
from nego_scenarios.generator import generate
from nego_scenarios.themes import SPLITS, Split, theme_names

COUNT = 500
"""Scenarios in each suite."""

CELLS = tuple(product(range(SEATS[0], SEATS[1] + 1), range(ISSUES[0], ISSUES[1] + 1), LEVELS))
"""Every combination of seats, issues and stakes."""

TITLES = {"train": "Training dilemmas", "heldout": "Held-out dilemmas"}


def suite(split: Split, count: int = COUNT) -> Iterator[Scenario]:
    """The scenarios of a suite in the order they are dealt (the file sorts them by id): seed 0, 1, ..."""
    themes = theme_names(split)
    for i in range(count):
        lap, cell = divmod(i, len(CELLS))
        seats, issues, stakes = CELLS[cell]
        yield generate(
            i, split=split, theme=themes[(cell + 5 * lap) % len(themes)], seats=seats, issues=issues, stakes=stakes
        )


def freeze(split: Split, directory: Path) -> PackInfo:
    """Write a suite as a pack."""
    return write_pack(
        directory,
        suite(split),
        name=split,
        title=TITLES[split],
        description=f"{COUNT} generated structured dilemmas over {len(theme_names(split))} {split} themes, "
        "2 to 4 seats, 2 to 5 issues, cooperative to sharply opposed stakes.",
    )


class Figures(NamedTuple):
    """What a set of scenarios is like. All but `no_zopa` are over the scenarios that have a zone of possible agreement."""

    no_zopa: float
    """Share without a zone of possible agreement."""
    unfair_sum: float
    """Share where the deal with the biggest sum of scores has a CA below 5."""
    ca_of_biggest_sum: float
    """Mean CA of that deal."""
    ca_of_random_deal: float
    """Mean CA of a deal drawn uniformly."""
    acceptable: float
    """Mean share of deals that reach every walk-away value."""
    pareto: float
    """Mean share of deals that are Pareto-efficient."""
    words: float
    """Mean words of the task paragraph."""


def measure(scenarios: Iterable[Scenario]) -> Figures:
    """Exact figures, by `Scenario.table`. At least one scenario must have a zone of possible agreement."""
    every = list(scenarios)
    rows = []
    for s in every:
        if not s.no_zopa:
            t = s.table
            ca = float(t.ca[t.scores.sum(axis=0).argmax()])
            rows.append((ca < CA_MAX - 1e-6, ca, t.ca.mean(), t.met.all(axis=0).mean(), t.pareto.mean()))
    unfair, ca, random, acceptable, pareto = (float(sum(column)) / len(rows) for column in zip(*rows, strict=True))
    words = sum(len(s.task.split()) for s in every) / len(every)
    return Figures(1 - len(rows) / len(every), unfair, ca, random, acceptable, pareto, words)


def main() -> None:
    """Rewrite both suites inside the package, and print their hashes and figures."""
    for split in SPLITS:
        info = freeze(split, Path(str(files("nego_scenarios").joinpath("data", split))))
        sys.stdout.write(f"{split}: {info.count} scenarios, sha256 {info.sha256}\n")
        for name, value in measure(suite(split))._asdict().items():
            sys.stdout.write(f"  {name:18} {value:.3f}\n")


if __name__ == "__main__":
    main()
