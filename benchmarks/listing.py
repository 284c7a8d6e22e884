"""Listing a pack of 10,000 dilemmas without loading one.

Counted: how many scenarios are decoded (none), the time over reading the index file and doing nothing with it, and the
most memory it takes. `nego scenarios list PATH --json` is timed as a process, where that command is installed.

    python -m benchmarks.listing
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import tyro

from benchmarks.dilemmas import dilemma
from benchmarks.record import Spread, as_dict, interleaved, machine, ratio, versions, write
from nego_env.packs import Entry, Pack, write_pack
from nego_env.registry import entry_points
from nego_env.scenario import decode_scenario


@dataclass(frozen=True)
class Listing:
    """Build a pack and list it."""

    dilemmas: int = 10_000
    rounds: int = 11
    out: Path | None = None
    """Where the result goes; by default `benchmarks/results/listing.json`."""

    def run(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            at = Path(folder) / "pack"
            write_pack(at, map(dilemma, range(self.dilemmas)), name="listing", title="", description="")
            index = at / "index.jsonl"
            ms = interleaved(
                {
                    "reading the index, line by line": _ms(lambda: read(index)),
                    "reading and decoding the index": _ms(lambda: decode(index)),
                    "listing the pack": _ms(lambda: sum(1 for _ in Pack(at).entries())),
                    "loading every scenario": _ms(lambda: sum(1 for _ in Pack(at))),
                },
                self.rounds,
            )
            figures = {name: as_dict(Spread.of(values, 2)) for name, values in ms.items()}
            over = {name: ratio(ms["listing the pack"], ms[name]) for name in list(ms) if name != "listing the pack"}
            decoded, peak = scenarios_decoded(at), peak_kib(at)
            result = {
                "machine": machine(),
                "versions": versions("nego-env", "msgspec"),
                "dilemmas": self.dilemmas,
                "sizes, KiB": {f.name: round(f.stat().st_size / 1024) for f in sorted(at.iterdir())},
                "unit": "CPU milliseconds",
                "figures": figures,
                "listing over": {name: as_dict(r) for name, r in over.items()},
                "scenarios decoded while listing": decoded,
                "peak allocated while listing, KiB": peak,
                "nego scenarios list --json": list_by_command(at, self.dilemmas),
                "target": {"scenarios decoded": 0, "met": decoded == 0},
            }
        for name, figure in figures.items():
            print(f"{name:34s} {figure['median']} ms")
        print(f"decoded {decoded}, peak {peak} KiB, command {result['nego scenarios list --json']}")
        print(f"-> {write('listing', result, self.out).name}")


def read(index: Path) -> int:
    """The floor: every line of the index, unused."""
    with index.open("rb") as lines:
        return sum(1 for _ in lines)


def decode(index: Path) -> int:
    """What any listing must do: every line of the index as an `Entry`."""
    decoder = msgspec.json.Decoder(Entry)
    with index.open("rb") as lines:
        return sum(1 for _ in map(decoder.decode, lines))


def scenarios_decoded(pack: Path) -> int:
    """How often a scenario is decoded while the pack is listed."""
    with patch("nego_env.packs.decode_scenario", wraps=decode_scenario) as decoder:
        for _ in Pack(pack).entries():
            pass
        return decoder.call_count


def peak_kib(pack: Path) -> int:
    """The most Python memory held at once while listing."""
    tracemalloc.start()
    try:
        for _ in Pack(pack).entries():
            pass
        return round(tracemalloc.get_traced_memory()[1] / 1024)
    finally:
        tracemalloc.stop()


def list_by_command(pack: Path, expected: int, runs: int = 5) -> dict[str, Any] | str:
    """The command as a process: milliseconds, and the most memory resident over that of `nego --help`."""
    if "scenarios" not in entry_points("nego_env.commands"):
        return "no such command installed"
    nego = str(Path(sysconfig.get_path("scripts")) / "nego")
    command = [nego, "scenarios", "list", str(pack), "--json"]
    shown = subprocess.run(command, capture_output=True, text=True)
    if shown.returncode != 0:
        return "no such command installed"
    lines = len(shown.stdout.splitlines())
    if lines != expected:
        sys.exit(f"nego scenarios list --json printed {lines} lines for {expected} scenarios")
    ms = Spread.of([process(command)[0] for _ in range(runs)], 1)
    resident = process(command)[1] - process([nego, "--help"])[1]
    return {"lines": lines, "ms": as_dict(ms), "most resident over nego --help, MiB": round(resident, 1)}


_LAUNCH = """
import json, os, subprocess, sys, time
began = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
usage = os.wait4(child.pid, 0)[2]
print(json.dumps([(time.perf_counter() - began) * 1e3, usage.ru_maxrss / 1024]))
"""
"""Starts a command from a small process: a child's most resident memory is never less than its parent's was."""


def process(command: list[str]) -> tuple[float, float]:
    """(milliseconds, most MiB resident) of one process."""
    shown = subprocess.run([sys.executable, "-c", _LAUNCH, *command], check=True, capture_output=True, text=True)
    ms, mib = json.loads(shown.stdout)
    return ms, mib


def _ms(call: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        began = time.process_time()
        call()
        return (time.process_time() - began) * 1e3

    return timed


if __name__ == "__main__":
    tyro.cli(Listing).run()
