"""How far does the recipe go with more steps?

    python -m experiments.longer        # results/longer.json

Two seeds, two and a half times as long, with everything else as it is.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from experiments.field import measure, play_all
from experiments.learns import START, folders
from experiments.recipe import GRPO, TEMPERATURES
from experiments.record import save, told
from experiments.training import Job, train_all

STEPS = 160
OPTIONS = {**GRPO, "steps": STEPS, "eval_every": 32, "save_every": 32}


def main() -> None:
    """The experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[30, 31])
    parser.add_argument("--jobs", type=int, default=2, help="training runs at a time, one thread each")
    a = parser.parse_args()
    runs = [Job(f"longer-{s}", "grpo", {**OPTIONS, "seed": s}) for s in a.seeds]
    summaries = train_all(runs, at_once=a.jobs)
    models = folders(runs)
    play_all(models, TEMPERATURES, at_once=a.jobs)
    found: dict[str, Any] = {"steps": STEPS, "training": {}, "ca": {}, "by_shape": {}, "agreement": {}}
    for job in runs:
        found["training"][job.name] = {k: summaries[job.name][k] for k in ("tokens", "best_step", "wall_seconds_here")}
    for temperature in TEMPERATURES:
        pooled = measure(models, temperature).pooled({START: [START], "longer": [j.name for j in runs]})
        key = f"{temperature:g}"
        found["ca"][key] = {n: told(pooled.estimate(n, "ca")) for n in pooled.names}
        found["agreement"][key] = {n: told(pooled.estimate(n, "agreement")) for n in pooled.names}
        found["by_shape"][key] = {
            s: {n: told(pooled.where(s).estimate(n, "ca")) for n in pooled.names} for s in pooled.shapes
        }
    save("longer", found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
