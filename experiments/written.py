"""When the policy writes the final plan itself, how often does its tag state the deal that was struck?

    python -m experiments.written       # results/written.json

One more run of the recipe, with `completion="write"`: the plan is scored by its tag, so a plan that states another deal, or none,
scores 0. Before and after, on the held-out duels, by temperature.
"""

from __future__ import annotations

import json
from typing import Any

from experiments.field import measure
from experiments.learns import START
from experiments.recipe import GRPO, TEMPERATURES
from experiments.record import save, told
from experiments.training import Job, train_all
from nego_env.moves import agreed_deal
from nego_trainers.evaluate import transcripts
from nego_trainers.results import Results

OPTIONS = {**GRPO, "completion": "write", "seed": 20}


def stated(results: Results, name: str) -> dict[str, Any]:
    """Of the deals struck: how many plans state them, state another, or state none."""
    counts = {"deals": 0, "stated": 0, "another": 0, "none": 0}
    for t in transcripts(results, name):
        if t.deal is None:
            continue
        found, _ = agreed_deal(t.completion or "", t.scenario)
        counts["deals"] += 1
        counts["none" if found is None else "stated" if t.scenario.ids(found) == t.deal else "another"] += 1
    return counts | {"share_stated": round(counts["stated"] / max(1, counts["deals"]), 4)}


def main() -> None:
    """The experiment."""
    job = Job("written", "grpo", OPTIONS)
    train_all([job], at_once=1)
    found = {}
    for temperature in TEMPERATURES:
        results = measure({f"{START}-written": "nego-tiny", "written": job.best}, temperature, completion="write")
        found[f"{temperature:g}"] = {
            n: stated(results, n) | {"ca": told(results.estimate(n, "ca"))} for n in results.names
        }
    save("written", found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
