"""Every shipped structured agent against itself on the frozen held-out suite: agreement, CA, regret, rounds.

    python -m benchmarks.baselines [--episodes 500] [--out FILE]

One episode per scenario, the default protocol, seed 0. CA and regret leave out dilemmas without a zone of possible
agreement. No figure here is a time, so nothing needs repeating: the same commit gives the same numbers.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.record import write
from nego_env.packs import open_pack
from nego_env.rollout import rollout, run_blocking
from nego_env.run import Run
from nego_env.summary import Summary

AGENTS = ("random", "micro", "boulware", "tit-for-tat", "conceder", "logroller", "revealer", "mediator", "sycophant")
GROUPS = {"all": (2, 3, 4), "2 seats": (2,), "3 seats": (3,), "4 seats": (4,)}


def measure(agent: str, episodes: int) -> dict[str, Any]:
    """Figures of one agent in every seat, by number of seats."""
    groups = {name: Summary() for name in GROUPS}

    async def play() -> None:
        async for t in rollout(Run(open_pack("heldout"), agent), episodes):
            for name, seats in GROUPS.items():
                if t.scenario.n in seats:
                    groups[name].add(t)

    run_blocking(play())
    return {
        name: {
            "episodes": summary.episodes,
            **{f: [round(x, 3) for x in i[:3]] for f, i in summary.figures().items() if i.n},
        }
        for name, summary in groups.items()
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    result = {}
    for agent in AGENTS:
        result[agent] = measure(agent, args.episodes)
        cells = [f"{g}: CA {f['CA'][0]:.2f}, agreed {f['agreement'][0]:.2f}, {f['rounds'][0]:.1f} rounds"
                 for g, f in result[agent].items() if f["episodes"]]  # fmt: skip
        print(f"{agent:12} {'; '.join(cells)}", flush=True)
    suite = open_pack("heldout").info  # type: ignore[union-attr]  # a frozen suite is an indexed pack
    path = write(
        "baselines",
        {
            "suite": {"name": suite.name, "version": suite.version, "sha256": suite.sha256},
            "figures": "mean, 95 % bootstrap interval",
            "agents": result,
        },
        args.out,
    )
    print(f"written: {path}")


if __name__ == "__main__":
    main()
