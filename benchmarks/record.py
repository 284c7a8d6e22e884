"""How every benchmark here measures and what it writes.

1. Contenders take turns inside one process (A B A B ...): a machine that slows down slows all of them.
2. A figure is the median over rounds, with the least and the most beside it; a ratio is taken round by round.
3. A result is JSON that names the machine and the versions, and nothing that identifies who ran it.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"


class Spread(NamedTuple):
    """A median with the range it comes from."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float], digits: int = 3) -> Spread:
        """The spread of at least one value, rounded to `digits` decimals."""
        return cls(*(round(f(values), digits) for f in (statistics.median, min, max)))

    def __str__(self) -> str:
        return f"{self.median:g} ({self.least:g} to {self.most:g})"


def interleaved(contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each contender returns, `rounds` times, every contender once a round. One unmeasured round goes first."""
    measured: dict[str, list[float]] = {name: [] for name in contenders}
    for contender in contenders.values():
        contender()
    for _ in range(rounds):
        for name, contender in contenders.items():
            gc.collect()
            measured[name].append(contender())
    return measured


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Spread:
    """The spread of one contender's figures over another's, paired by round."""
    return Spread.of([a / b for a, b in zip(numerator, denominator, strict=True)])


def machine() -> dict[str, Any]:
    """The machine, in words: processor, cores, operating system, Python, how busy it was."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load when measured": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return platform.processor() or "unknown"
    facts = {
        key.strip(): value.strip()
        for key, _, value in (line.partition(":") for line in cpuinfo.read_text().splitlines())
        if value
    }
    name = facts.get("model name", "unknown")
    return f"{name} (family {facts['cpu family']}, model {facts['model']})" if "cpu family" in facts else name


def versions(*packages: str) -> dict[str, str]:
    """Installed versions; a package that is not there is left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write(name: str, result: Mapping[str, Any], out: Path | None) -> Path:
    """Write `result` as JSON, by default where the committed results are."""
    path = out or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"benchmark": name, **result}, indent=1, default=str) + "\n", encoding="utf-8")
    return path


def as_dict(spread: Spread) -> dict[str, float]:
    """A spread as it is written."""
    return dict(spread._asdict())
