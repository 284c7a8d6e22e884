"""What an evaluation found: figures with intervals, for tables, programs and plots."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nego_env.errors import SettingsError, unknown_name
from nego_trainers.intervals import RESAMPLES, Bootstrap, Estimate, Floats, Statistic
from nego_trainers.records import METRICS, EpisodeRecord, Seating

FORMAT = "nego-evaluation/1"
IQM_OF = ("ca", "regret", "least_gain")
"""Figures an interquartile mean makes sense of: those that are not mostly 0 or 1."""


@dataclass(frozen=True)
class Results:
    """Entries (an agent, or several at one table) on one suite, with paired seeds.

    `array`, `intervals` and the rest take metric names of `nego_trainers.records.METRICS`, and `capitulation_0`, `gain_0`, ...
    """

    suite: str
    sha256: str
    """Of the suite's scenarios (`nego_scenarios.duels.suite_hash`)."""
    scenarios: tuple[tuple[str, str], ...]
    """(id, shape)."""
    seatings: tuple[Seating, ...]
    runs: dict[str, tuple[tuple[EpisodeRecord, ...], ...]]
    """Per entry, per run (a seed), every episode."""
    agents: dict[str, tuple[str, ...]]
    files: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    """Per entry, per run: where the transcripts are, if they were kept."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What was played, for the record."""
    resamples: int = RESAMPLES

    @property
    def names(self) -> tuple[str, ...]:
        """The entries, in the order given."""
        return tuple(self.runs)

    @cached_property
    def bootstrap(self) -> Bootstrap:
        """The resamples all intervals share; scenarios are drawn by shape."""
        return Bootstrap([shape for _, shape in self.scenarios], resamples=self.resamples)

    def array(self, name: str, metric: str) -> Floats:
        """(R, S, K): the figure of every run, scenario and seating of an entry; nan where there is none. Raises
        `NotFoundError` for an entry that is none."""
        if name not in self.runs:
            raise unknown_name("entry", name, self.runs)
        row = {id: i for i, (id, _) in enumerate(self.scenarios)}
        column = {seating: k for k, seating in enumerate(self.seatings)}
        out = np.full((len(self.runs[name]), len(row), len(column)), np.nan)
        for r, run in enumerate(self.runs[name]):
            for e in run:
                out[r, row[e.scenario], column[e.seating]] = e.figures.get(metric, math.nan)
        return out

    def estimate(self, name: str, metric: str, statistic: Statistic = "mean") -> Estimate:
        """An entry's figure with its interval."""
        return self.bootstrap.estimate(self.array(name, metric), statistic)

    def intervals(self, metric: str, statistic: Statistic = "mean") -> dict[str, Estimate]:
        """Every entry's figure with its interval."""
        return {name: self.estimate(name, metric, statistic) for name in self.names}

    def difference(self, first: str, second: str, metric: str, statistic: Statistic = "mean") -> Estimate:
        """First minus second with the interval of the difference, on the same drawn scenarios."""
        return self.bootstrap.difference(self.array(first, metric), self.array(second, metric), statistic)

    def median(self, names: Sequence[str], metric: str, statistic: Statistic = "mean") -> Estimate:
        """The median over entries, with its interval: the line that a field of negotiators draws."""
        return self.bootstrap.median([self.array(n, metric) for n in names], statistic)

    def pooled(self, groups: Mapping[str, Sequence[str]]) -> Results:
        """The runs of several entries (one policy trained with several seeds) as the runs of one; other entries are left
        out. Raises `NotFoundError` for an entry that is none."""
        for name in (n for names in groups.values() for n in names):
            if name not in self.runs:
                raise unknown_name("entry", name, self.runs)
        return replace(
            self,
            runs={g: tuple(run for n in names for run in self.runs[n]) for g, names in groups.items()},
            agents={g: tuple(dict.fromkeys(a for n in names for a in self.agents[n])) for g, names in groups.items()},
            files={g: tuple(f for n in names for f in self.files.get(n, ())) for g, names in groups.items()},
        )

    def where(self, shape: str) -> Results:
        """The scenarios of one shape. Raises `SettingsError` where there are none."""
        kept = {id for id, s in self.scenarios if s == shape}
        if not kept:
            raise SettingsError(f"no scenario has the shape {shape!r}; shapes: {', '.join(self.shapes)}")
        return replace(
            self,
            scenarios=tuple(s for s in self.scenarios if s[0] in kept),
            runs={n: tuple(tuple(e for e in r if e.scenario in kept) for r in runs) for n, runs in self.runs.items()},
        )

    @property
    def shapes(self) -> tuple[str, ...]:
        """Shapes of the scenarios, in order of appearance."""
        return tuple(dict.fromkeys(shape for _, shape in self.scenarios))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every figure some episode has, those of `METRICS` first, those by seat after them."""
        known = [m.name for m in METRICS]
        found = {name for runs in self.runs.values() for run in runs for e in run for name in e.figures}
        return (*[m for m in known if m in found], *sorted(found - set(known)))

    def counts(self, name: str) -> tuple[int, int, dict[str, int]]:
        """(episodes, unscored ones, how often each way of stopping) of an entry."""
        episodes = [e for run in self.runs[name] for e in run]
        stops = Counter(e.stop for e in episodes if e.stop)
        return len(episodes), sum(not e.scored for e in episodes), dict(sorted(stops.items()))

    def regret_by_round(self, name: str) -> list[float]:
        """Mean regret of what is on the table after each round (`nego_trainers.outcomes.regret_by_round`)."""
        rows = [e.regret_by_round for run in self.runs[name] for e in run if e.regret_by_round]
        if not rows:
            return []
        length = max(map(len, rows))
        return [float(np.mean([row[min(r, len(row) - 1)] for row in rows])) for r in range(length)]

    def regret_of_deals(self, name: str) -> dict[int, tuple[float, int]]:
        """By the round in which a deal was struck: its mean regret, and how many there were."""
        found: dict[int, list[float]] = {}
        for e in (e for run in self.runs[name] for e in run):
            if e.stop == "agreement" and "regret" in e.figures:
                found.setdefault(int(e.figures["rounds"]), []).append(e.figures["regret"])
        return {r: (float(np.mean(x)), len(x)) for r, x in sorted(found.items())}

    def to_json(self) -> dict[str, Any]:
        """Everything in plain data: `json.dumps` takes it."""
        return {
            "format": FORMAT,
            "suite": self.suite,
            "sha256": self.sha256,
            "scenarios": len(self.scenarios),
            "seatings": list(self.seatings),
            **self.settings,
            "bootstrap": {
                "resamples": self.resamples,
                "level": self.bootstrap.level,
                "over": "runs x scenarios by shape",
            },
            "entries": {name: self._entry(name) for name in self.names},
        }

    def _entry(self, name: str) -> dict[str, Any]:
        episodes, unscored, stops = self.counts(name)
        figures = {}
        for metric in self.metrics:
            found = self.estimate(name, metric)
            if found.n:
                figures[metric] = _plain(found)
                if metric in IQM_OF:
                    figures[metric]["iqm"] = _plain(self.estimate(name, metric, "iqm"))
        return {
            "agents": list(self.agents[name]),
            "runs": len(self.runs[name]),
            "episodes": episodes,
            "unscored": unscored,
            "stops": stops,
            "figures": figures,
            "ca_by_shape": {s: _plain(found) for s, found in self.by_shape(name).items() if found.n},
            "regret_by_round": [round(x, 6) for x in self.regret_by_round(name)],
            "regret_of_deals": {str(r): [round(x, 6), n] for r, (x, n) in self.regret_of_deals(name).items()},
            "files": [str(f) for f in self.files.get(name, ())],
        }

    def by_shape(self, name: str, metric: str = "ca") -> dict[str, Estimate]:
        """An entry's figure by shape."""
        return {shape: part.estimate(name, metric) for shape, part in self._parts.items()}

    @cached_property
    def _parts(self) -> dict[str, Results]:
        return {shape: self.where(shape) for shape in self.shapes}

    def table(self, width: int = 100) -> str:
        """The figures as plain text of at most so many columns (at least 60)."""
        from nego_trainers.tables import table_text

        return table_text(self, width)


def _plain(e: Estimate) -> dict[str, Any]:
    return {"mean": round(e.value, 6), "low": round(e.low, 6), "high": round(e.high, 6), "n": e.n}
