"""Memory while 10,000 episodes stream by: resident size after 1,000, 4,000, 7,000 and 10,000 of them.

Measured for the engine writing to a file and for `raw_env`, both on a pack of 1,000 dilemmas, more than either keeps.

    python -m benchmarks.memory
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.dilemmas import dilemma
from benchmarks.record import machine, versions, write
from nego_env import raw_env
from nego_env.packs import Pack, write_pack
from nego_env.rollout import rollout
from nego_env.run import Run
from nego_env.store import TranscriptWriter
from nego_env.view import View

MARKS = (1_000, 4_000, 7_000, 10_000)
LIMIT_MIB = 5.0
"""Growth between the first mark and the last that still counts as flat."""
TALK = "I hear you, but the summer rota matters more to us than the money does."


@dataclass(frozen=True)
class Memory:
    """Stream episodes and watch the resident size."""

    dilemmas: int = 1_000
    out: Path | None = None
    """Where the result goes; by default `benchmarks/results/memory.json`."""

    def run(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            pack_at, run_at = Path(folder) / "pack", Path(folder) / "run.jsonl"
            write_pack(pack_at, map(dilemma, range(self.dilemmas)), name="memory", title="", description="")
            streams = {
                "engine, streamed to a file": asyncio.run(engine_marks(Pack(pack_at), run_at)),
                "raw_env, text seats": env_marks(Pack(pack_at)),
            }
            size = run_at.stat().st_size
        growth = {name: round(rss[MARKS[-1]] - rss[MARKS[0]], 2) for name, rss in streams.items()}
        result = {
            "machine": machine(),
            "versions": versions("nego-env", "numpy", "msgspec"),
            "unit": "MiB resident, by episodes finished",
            "figures": streams,
            "growth from first mark to last": growth,
            "transcripts written, MiB": round(size / 2**20, 1),
            "target": {"growth of at most, MiB": LIMIT_MIB, "met": all(g <= LIMIT_MIB for g in growth.values())},
        }
        for name, rss in streams.items():
            print(f"{name:28s}", *(f"{n:>6}: {mib:.1f} MiB" for n, mib in rss.items()), f"  growth {growth[name]} MiB")
        print(f"-> {write('memory', result, self.out).name}")


def resident_mib() -> float:
    """Resident set size of this process (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 2)


def bargainer(view: View) -> str:
    """Talks in the first round, then proposes or accepts."""
    if view.round == 1:
        return TALK
    if view.legal.accept:
        return f"{TALK} Still, let us settle. [Accept]"
    return f"{TALK} [Propose: {' '.join(issue.options[view.index].id for issue in view.scenario.issues)}]"


async def engine_marks(pack: Pack, out: Path) -> dict[int, float]:
    """Resident MiB at the marks while the engine plays every episode and writes it to a file."""
    run, rss, n = Run(pack, bargainer), {}, 0
    with TranscriptWriter(out, run.id) as writer:
        async for _ in rollout(run, MARKS[-1], writer=writer):
            n += 1
            if n in MARKS:
                rss[n] = resident_mib()
    return rss


def env_marks(pack: Pack) -> dict[int, float]:
    """The same through the AEC face."""
    env, rss = raw_env(pack), {}
    for n in range(1, MARKS[-1] + 1):
        env.reset(seed=0 if n == 1 else None)
        for agent in env.agent_iter():
            _, _, terminated, truncated, _ = env.last()
            env.step(None if terminated or truncated else bargainer(env.view(agent)))
        if n in MARKS:
            rss[n] = resident_mib()
    return rss


if __name__ == "__main__":
    tyro.cli(Memory).run()
