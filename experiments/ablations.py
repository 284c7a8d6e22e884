"""What matters in the recipe? Three seeds each, shorter than the main runs; resumable.

    python -m experiments.ablations            # results/ablations.json and ablations.png

One thing changes at a time: whose tokens are trained, which tokens, how much is remembered, the size of a group at the same
number of episodes a step, and whether the opponent is the policy itself or a frozen copy.
"""

from __future__ import annotations

import argparse
from typing import Any

from experiments import pictures
from experiments.field import measure, play_all
from experiments.learns import START, sampled
from experiments.recipe import GRPO, RESULTS
from experiments.record import save, told
from experiments.training import Job, train_all

STEPS = 30
BASE: dict[str, Any] = {**GRPO, "groups": 8, "steps": STEPS, "eval_every": 0, "save_every": STEPS}

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "one-seat": {"seats": "seat_0"},
    "frozen-opponent": {"seats": "alternate", "opponent": "frozen:10"},
    "current-opponent-alternating": {"seats": "alternate"},
    "written-dialogue": {"completion": "write"},
    "written-all-tokens": {"completion": "write", "train_tokens": "all"},
    "memory-2": {"memory": 2},
    "group-4": {"group_size": 4, "groups": 16},
    "group-16": {"group_size": 16, "groups": 4},
}
"""`written-*` differ from each other in the tokens alone: the completion is written by the policy in both."""

METRICS = ("ca", "regret", "agreement", "rounds", "premature", "own_best", "tokens")


def main() -> None:
    """The experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--jobs", type=int, default=2, help="training runs at a time, one thread each")
    a = parser.parse_args()
    runs = {
        v: [Job(f"ablation-{v}-{s}", "grpo", {**BASE, **VARIANTS[v], "seed": s}) for s in a.seeds] for v in a.variants
    }
    summaries = train_all([j for found in runs.values() for j in found], at_once=a.jobs)
    models = {START: "nego-tiny"} | {j.name: j.out / "final" for found in runs.values() for j in found}
    play_all(models, [1.0], at_once=a.jobs)
    results = measure(models, 1.0)
    pooled = results.pooled({START: [START]} | {v: [j.name for j in found] for v, found in runs.items()})
    shown = {
        "steps": STEPS,
        "seeds": a.seeds,
        "base": {k: list(v) if isinstance(v, tuple) else v for k, v in BASE.items()},
        "variants": {v: VARIANTS[v] for v in a.variants},
        "temperature": 1.0,
        "metrics": {n: {m: told(pooled.estimate(n, m)) for m in METRICS} for n in pooled.names},
        "trained_tokens": {v: [summaries[j.name]["tokens"] for j in found] for v, found in runs.items()},
        "sampled_tokens": {v: [sampled(j) for j in found] for v, found in runs.items()},
        "minus_base": {
            v: told(pooled.difference(v, "base", "ca")) for v in a.variants if v != "base" and "base" in a.variants
        },
    }
    save("ablations", shown)
    pictures.ablations(shown, RESULTS / "ablations.png")
    for name, m in shown["metrics"].items():
        print(f"{name:<30} CA {m['ca']}  agreement {m['agreement']}")


if __name__ == "__main__":
    main()
