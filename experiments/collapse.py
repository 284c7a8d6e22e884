"""Does self-play collapse into premature compromise? Read off the runs of `experiments.learns`.

    python -m experiments.collapse     # results/collapse.json and collapse.png

The paper's authors fear it and cannot see it (arXiv 2603.10476, sec. 7); exact accounting can. Through training: the share of
deals struck with no information exchanged, the share first proposed before any was, the share that is the proposer's own
best, how true what is said in words about one's own scores is, and regret; then regret by round on the held-out suite.
"""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

import numpy as np

from experiments.field import measure
from experiments.learns import START, folders, jobs
from experiments.recipe import RESULTS, SEEDS
from experiments.record import save
from nego_trainers.metrics import read_metrics

CURVES = (
    "regret",
    "agreement",
    "uninformed",
    "premature",
    "own_best",
    "truthful",
    "rounds",
    "entropy",
    "kl",
    "zero_variance",
)
BIN = 5
"""Steps averaged into a point."""


def curves(seeds: tuple[int, ...]) -> dict[str, Any]:
    """Per figure: mean, least and most over seeds, by bins of steps."""
    runs = [read_metrics(j.out / "metrics.jsonl") for j in jobs(seeds)]
    length = min(len(r) for r in runs) // BIN * BIN
    found: dict[str, Any] = {"step": [(i + BIN) for i in range(0, length, BIN)]}
    for name in CURVES:
        values = np.array(
            [[math.nan if r.get(name) is None else r[name] for r in run[:length]] for run in runs], dtype=float
        )
        with np.errstate(invalid="ignore"):
            binned = np.array([[_mean(v[i : i + BIN]) for i in range(0, length, BIN)] for v in values])
        found[name] = {k: _plain(f(binned)) for k, f in (("mean", _over), ("low", _least), ("high", _most))}
    return found


def _mean(values: np.ndarray[Any, Any]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _over(v: np.ndarray[Any, Any]) -> list[float]:
    return [_mean(column) for column in v.T]


def _least(v: np.ndarray[Any, Any]) -> list[float]:
    return [float(c[np.isfinite(c)].min()) if np.isfinite(c).any() else math.nan for c in v.T]


def _most(v: np.ndarray[Any, Any]) -> list[float]:
    return [float(c[np.isfinite(c)].max()) if np.isfinite(c).any() else math.nan for c in v.T]


def _plain(values: list[float]) -> list[float | None]:
    return [None if math.isnan(x) else round(x, 4) for x in values]


def main() -> None:
    """The experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    seeds = tuple(parser.parse_args().seeds)
    results = measure(folders(jobs(seeds)), 1.0)
    pooled = results.pooled({START: [START], "grpo": [n for n in results.names if n != START]})
    told = {
        "curves": curves(seeds),
        "regret_by_round": {n: _plain(list(pooled.regret_by_round(n))) for n in pooled.names},
        "heldout": {
            n: {m: _plain(list(pooled.estimate(n, m)[:3])) for m in ("uninformed", "premature", "own_best", "truthful")}
            for n in pooled.names
        },
    }
    save("collapse", told)
    plot(told)
    print(json.dumps(told["heldout"], indent=1))


def plot(told: dict[str, Any]) -> None:
    """The curves as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = ("regret", "agreement", "uninformed", "premature", "own_best", "truthful")
    figure, axes = plt.subplots(2, 3, figsize=(11, 5.5), sharex=True)
    for axis, name in zip(axes.flat, shown, strict=True):
        curve = {k: np.array([math.nan if x is None else x for x in v]) for k, v in told["curves"][name].items()}
        axis.fill_between(told["curves"]["step"], curve["low"], curve["high"], alpha=0.25)
        axis.plot(told["curves"]["step"], curve["mean"])
        axis.set_title(name.replace("_", " "))
        axis.grid(alpha=0.3)
    for axis in axes[1]:
        axis.set_xlabel("step")
    figure.suptitle("GRPO self-play from nego-tiny: training dilemmas, mean and range over seeds")
    figure.tight_layout()
    figure.savefig(RESULTS / "collapse.png", dpi=110)


if __name__ == "__main__":
    main()
