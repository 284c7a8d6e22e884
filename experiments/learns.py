"""Does GRPO self-play learn to negotiate? From nego-tiny, five seeds, on 500 held-out duels in both seatings.

    python -m experiments.learns            # trains what is missing, evaluates, writes results/learns.json and learns.png
    python -m experiments.learns --jobs 2   # two training runs at a time, one thread each

Beside it: on-line best-of-group fine-tuning (`rft`), the same off-line from what the start model samples, at the same number
of sampled tokens, all ordered pairs of scripted negotiators, and opening with one's own best deal.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from experiments import pictures
from experiments.field import measure, pairs, play_all, scripted
from experiments.recipe import GRPO, RESULTS, SEEDS, TEMPERATURES, heldout
from experiments.record import save, told
from experiments.training import Job, train_all
from nego_trainers.intervals import Estimate
from nego_trainers.metrics import read_metrics
from nego_trainers.results import Results

METRICS = (
    "ca",
    "regret",
    "agreement",
    "least_gain",
    "rounds",
    "premature",
    "uninformed",
    "own_best",
    "truthful",
    "statements",
    "tokens",
)
START = "start"
OFFLINE_STEPS = 80
"""Off-line, the start model's dialogues stay short; with a quarter more of them as many tokens are sampled as GRPO samples."""

Seeds = tuple[int, ...]


def jobs(seeds: Seeds, online: Seeds = (), offline: Seeds = ()) -> list[Job]:
    """GRPO with every seed; the fine-tuning baselines with fewer."""
    found = [Job(f"grpo-{s}", "grpo", {**GRPO, "seed": s}) for s in seeds]
    found += [Job(f"rft-{s}", "rft", {**GRPO, "seed": s}) for s in online]
    found += [
        Job(f"rft-offline-{s}", "rft", {**GRPO, "offline": True, "steps": OFFLINE_STEPS, "seed": s}) for s in offline
    ]
    return found


def folders(runs: list[Job]) -> dict[str, Path | str]:
    """The checkpoint of each run that was best on the validation set (training themes)."""
    return {START: "nego-tiny"} | {j.name: j.best for j in runs}


def report(seeds: Seeds, online: Seeds, offline: Seeds, *, at_once: int) -> dict[str, Any]:
    """Trains, evaluates, and says what holds."""
    runs = jobs(seeds, online, offline)
    summaries = train_all(runs, at_once=at_once)
    play_all(folders(runs), TEMPERATURES, at_once=at_once)
    field = scripted()
    median = field.median(pairs(field), "ca")
    groups = {START: [START], "grpo": [f"grpo-{s}" for s in seeds]}
    groups |= {"rft": [f"rft-{s}" for s in online], "rft-offline": [f"rft-offline-{s}" for s in offline]}
    temperatures = {}
    for t in TEMPERATURES:
        single = measure(folders(runs), t)
        temperatures[f"{t:g}"] = _temperature(
            single, single.pooled({k: v for k, v in groups.items() if v}), field, median
        )
    import torch

    from nego_scenarios.duels import suite_hash

    return {
        "suite": {"name": "heldout_two_seat", "scenarios": 500, "sha256": suite_hash(heldout())},
        "start": _start(),
        "recipe": {k: list(v) if isinstance(v, tuple) else v for k, v in GRPO.items()},
        "training": {j.name: _training(summaries[j.name]) | _measured(j) for j in runs},
        "scripted": {
            "median_of_ordered_pairs": told(median),
            "median_without_random": told(field.median([n for n in pairs(field) if "random" not in n], "ca")),
            "ca": {n: told(e) for n, e in field.intervals("ca").items()},
            "agreement": {n: round(e.value, 3) for n, e in field.intervals("agreement").items()},
        },
        "temperatures": temperatures,
        "torch": torch.__version__,
    }


def _temperature(single: Results, pooled: Results, field: Results, median: Estimate) -> dict[str, Any]:
    start, grpo = pooled.estimate(START, "regret"), pooled.estimate("grpo", "regret")
    ca = pooled.estimate("grpo", "ca")
    premature = field.estimate("premature", "ca")
    shown: dict[str, Any] = {
        "metrics": {n: {m: told(pooled.estimate(n, m)) for m in METRICS} for n in pooled.names},
        "grpo_minus_start": {m: told(pooled.difference("grpo", START, m)) for m in METRICS},
        "iqm_ca": {n: told(pooled.estimate(n, "ca", "iqm")) for n in pooled.names},
        "by_seed": {
            n: {m: round(single.estimate(n, m).value, 3) for m in ("ca", "regret", "agreement", "rounds")}
            for n in single.names
        },
        "by_shape": {s: {n: told(pooled.where(s).estimate(n, "ca")) for n in pooled.names} for s in pooled.shapes},
        "claims": {
            "regret_at_least_halved": grpo.value <= start.value / 2,
            "regret_fell_by": round(1 - grpo.value / start.value, 3),
            "intervals_apart": grpo.high < start.low,
            "agreement_at_least_95": pooled.estimate("grpo", "agreement").value >= 0.95,
            "above_median_of_scripted_pairs": ca.low > median.high,
            "above_premature": ca.low > premature.high,
        },
    }
    if "rft-offline" in pooled.names:
        difference = pooled.difference("grpo", "rft-offline", "ca")
        shown["claims"]["above_offline_rft"] = difference.low > 0
        shown["minus_offline_rft"] = told(difference)
    if "rft" in pooled.names:
        shown["minus_online_rft"] = told(pooled.difference("grpo", "rft", "ca"))
    return shown


def _start() -> dict[str, Any]:
    from importlib.resources import files

    facts = json.loads(files("nego_agents").joinpath("data/nego-tiny/nego.json").read_text(encoding="utf-8"))
    return {k: facts[k] for k in ("weights_sha256", "recipe_version", "parameters", "probes")}


def _training(summary: dict[str, Any]) -> dict[str, Any]:
    keys = ("step", "episodes", "tokens", "seconds", "best_step", "best", "first", "last", "wall_seconds_here")
    return {k: _plain(summary[k]) for k in keys if k in summary}


def _measured(job: Job) -> dict[str, Any]:
    steps = read_metrics(job.out / "metrics.jsonl")
    playing = sum(s["rollout_share"] * s["seconds"] for s in steps) / sum(s["seconds"] for s in steps)
    return {"sampled_tokens": sampled(job), "rollout_share": round(playing, 3)}


def sampled(job: Job) -> int:
    """Tokens the policies sampled while it trained, cloned or not."""
    return int(sum(s["sampled_tokens"] for s in read_metrics(job.out / "metrics.jsonl")))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def main() -> None:
    """The experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument(
        "--online-seeds", type=int, nargs="*", default=[0, 1, 2], help="of on-line best-of-group fine-tuning"
    )
    parser.add_argument("--offline-seeds", type=int, nargs="*", default=[0, 1, 2], help="of the same, off-line")
    parser.add_argument("--jobs", type=int, default=2, help="training runs at a time, one thread each")
    a = parser.parse_args()
    found = report(tuple(a.seeds), tuple(a.online_seeds), tuple(a.offline_seeds), at_once=a.jobs)
    save("learns", found)
    pictures.learns(found, RESULTS / "learns.png")
    for t, shown in found["temperatures"].items():
        print(f"T {t}: start {shown['metrics'][START]['ca']}  grpo {shown['metrics']['grpo']['ca']}  {shown['claims']}")


if __name__ == "__main__":
    main()
