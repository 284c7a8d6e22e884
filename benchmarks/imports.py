"""What starting costs: `import nego_env` and `nego --help`, as whole processes, against `import pettingzoo`.

The targets are 1.3 times and 2.5 times `import pettingzoo` of the same run, and none of `HEAVY` loaded by the import.

    python -m benchmarks.imports
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.record import Spread, as_dict, interleaved, machine, ratio, versions, write

HEAVY = (
    "torch",
    "transformers",
    "trl",
    "aiohttp",
    "httpx",
    "openai",
    "textual",
    "rich",
    "tyro",
    "pandas",
    "matplotlib",
)
IMPORT_LIMIT, HELP_LIMIT = 1.3, 2.5


@dataclass(frozen=True)
class Imports:
    """Time whole processes, in turns."""

    rounds: int = 31
    out: Path | None = None
    """Where the result goes; by default `benchmarks/results/imports.json`."""

    def run(self) -> None:
        nego = str(Path(sysconfig.get_path("scripts")) / "nego")
        processes: dict[str, list[str]] = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "import pettingzoo": [sys.executable, "-c", "import pettingzoo"],
            "import nego_env": [sys.executable, "-c", "import nego_env"],
            "nego --help": [nego, "--help"],
        }
        cpu: dict[str, list[float]] = {name: [] for name in processes}
        ms = interleaved({name: _ms(command, cpu[name]) for name, command in processes.items()}, self.rounds)
        base = ms["import pettingzoo"]
        loaded = {name: ratio(ms[name], base) for name in ("import nego_env", "nego --help")}
        heavy = modules_loaded_by("nego_env", HEAVY)
        result = {
            "machine": machine(),
            "versions": versions("nego-env", "pettingzoo", "gymnasium", "numpy", "msgspec"),
            "unit": "milliseconds a process, wall clock",
            "rounds": self.rounds,
            "figures": {name: as_dict(Spread.of(values, 1)) for name, values in ms.items()},
            "of these on a processor": {name: as_dict(Spread.of(values, 1)) for name, values in cpu.items()},
            "over import pettingzoo": {name: as_dict(r) for name, r in loaded.items()},
            "over import pettingzoo, on a processor": {
                name: as_dict(ratio(cpu[name], cpu["import pettingzoo"])) for name in loaded
            },
            "heavy modules": {"looked for": HEAVY, "loaded by import nego_env": heavy},
            "slowest imports beyond pettingzoo": slowest_imports("nego_env", beyond="pettingzoo"),
            "targets": {
                "import nego_env": {
                    "at most": IMPORT_LIMIT,
                    "met": loaded["import nego_env"].median <= IMPORT_LIMIT and not heavy,
                },
                "nego --help": {"at most": HELP_LIMIT, "met": loaded["nego --help"].median <= HELP_LIMIT},
            },
        }
        for name, values in ms.items():
            over = f"  x {loaded[name]} pettingzoo" if name in loaded else ""
            print(f"{name:20s} {Spread.of(values, 1)} ms{over}")
        print(f"heavy modules loaded: {', '.join(heavy) or 'none'}")
        print(f"-> {write('imports', result, self.out).name}")


def _ms(command: Sequence[str], cpu: list[float]) -> Callable[[], float]:
    """Wall-clock milliseconds of a process; what it used of a processor goes to `cpu`."""

    def timed() -> float:
        before, began = os.times(), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall, after = time.perf_counter() - began, os.times()
        cpu.append((after.children_user + after.children_system - before.children_user - before.children_system) * 1e3)
        return wall * 1e3

    return timed


def modules_loaded_by(package: str, candidates: Sequence[str]) -> list[str]:
    """Which of `candidates` a fresh interpreter holds after importing `package`."""
    code = f"import json, sys, {package}; print(json.dumps(sorted(set({list(candidates)!r}) & set(sys.modules))))"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found: list[str] = json.loads(shown.stdout)
    return found


def slowest_imports(package: str, *, beyond: str, most: int = 12) -> list[dict[str, Any]]:
    """The modules that take `package` longest to load once `beyond` is there: milliseconds of their own (`-X importtime`)."""
    code = f"import {beyond}; import sys; print('-----', file=sys.stderr); import {package}"
    shown = subprocess.run([sys.executable, "-X", "importtime", "-c", code], check=True, capture_output=True, text=True)
    lines = shown.stderr.partition("-----")[2].splitlines()
    rows = [line.removeprefix("import time:").split("|") for line in lines if line.startswith("import time:")]
    own = sorted(((int(us), name.strip()) for us, _, name in rows), reverse=True)
    return [{"module": name, "ms": round(us / 1e3, 1)} for us, name in own[:most]]


if __name__ == "__main__":
    tyro.cli(Imports).run()
