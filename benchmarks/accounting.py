"""Scores, gains and Collective Agency of 1,024 deals for 4 seats at once, 5 issues x 5 options.

The target is under 200 microseconds. Beside it: what a `DealTable` costs once, and its Pareto set and Nash point once
and again (both are kept with the scenario).

    python -m benchmarks.accounting
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from benchmarks.dilemmas import dilemma
from benchmarks.record import Spread, as_dict, interleaved, machine, versions, write
from nego_env.accounting import DealTable, account, collective_agency

TARGET_US = 200.0


@dataclass(frozen=True)
class Accounting:
    """Time the exact accounting."""

    deals: int = 1024
    """Deals scored at once."""
    seats: int = 4
    repeats: int = 200
    """Calls a round."""
    rounds: int = 15
    out: Path | None = None
    """Where the result goes; by default `benchmarks/results/accounting.json`."""

    def run(self) -> None:
        scenario = dilemma(0, seats=self.seats, issues=5, options=5)
        table = scenario.table
        rows = np.random.default_rng(0).integers(0, len(table.deals), self.deals)
        deals = table.deals[rows]
        one = table.deal(int(rows[0]))

        def first_pareto() -> object:
            return DealTable(scenario).pareto

        measured = interleaved(
            {
                f"account, {self.deals} deals x {self.seats} seats": _us(
                    lambda: account(table.stacked, deals), self.repeats
                ),
                "collective_agency of a deal seen before": _us(lambda: collective_agency(scenario, one), self.repeats),
                f"DealTable, {len(table.deals)} deals": _us(lambda: DealTable(scenario), 5),
                "DealTable and its Pareto set": _us(first_pareto, 1),
                "Pareto set again (cached)": _us(lambda: scenario.table.pareto, self.repeats),
                "Nash point again (cached)": _us(lambda: scenario.table.nash_index, self.repeats),
            },
            self.rounds,
        )
        spreads = {name: Spread.of(values) for name, values in measured.items()}
        main = next(iter(spreads.values()))
        result = {
            "machine": machine(),
            "versions": versions("nego-env", "numpy"),
            "unit": "CPU microseconds a call",
            "figures": {name: as_dict(s) for name, s in spreads.items()},
            "target": {"microseconds": TARGET_US, "met": main.median < TARGET_US},
        }
        for name, s in spreads.items():
            print(f"{name:45s} {s} us")
        print(f"-> {write('accounting', result, self.out).name}")


def _us(call: Callable[[], object], repeats: int) -> Callable[[], float]:
    def timed() -> float:
        began = time.process_time()
        for _ in range(repeats):
            call()
        return (time.process_time() - began) / repeats * 1e6

    return timed


if __name__ == "__main__":
    tyro.cli(Accounting).run()
