"""Pictures of the results, drawn from their JSON alone: means with 95 % intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = {
    "start": "nego-tiny",
    "grpo": "GRPO self-play",
    "rft": "best-of-group, on-line",
    "rft-offline": "best-of-group, off-line",
}


def learns(told: dict[str, Any], target: Path) -> None:
    """Held-out CA by temperature, with the scripted field beside it."""
    axes = _axes(8.0, 4.5)
    temperatures = sorted(told["temperatures"], key=float, reverse=True)
    names = [n for n in WORDS if n in told["temperatures"][temperatures[0]]["metrics"]]
    for i, name in enumerate(names):
        found = [told["temperatures"][t]["metrics"][name]["ca"] for t in temperatures]
        at = [k + 0.14 * (i - (len(names) - 1) / 2) for k in range(len(temperatures))]
        axes.errorbar(at, [f[0] for f in found], _arms(found), fmt="o", capsize=3, label=WORDS[name])
    median, low, high = told["scripted"]["median_of_ordered_pairs"]
    axes.axhspan(low, high, alpha=0.25, color="grey")
    axes.axhline(median, color="grey", label="median pair of scripted negotiators")
    axes.axhline(told["scripted"]["ca"]["premature"][0], color="grey", ls=":", label="open with my best")
    axes.set_xticks(range(len(temperatures)), ["greedy" if t == "0" else f"T {t}" for t in temperatures])
    axes.set_ylabel("collective agency (0-5)")
    axes.set_title("500 held-out duels, both seatings")
    axes.legend(fontsize=8)
    _save(axes, target)


def ablations(told: dict[str, Any], target: Path) -> None:
    """What each change does to held-out CA."""
    axes = _axes(8.0, 4.0)
    names = [n for n in told["metrics"] if n != "start"][::-1]
    found = [told["metrics"][n]["ca"] for n in names]
    axes.errorbar([f[0] for f in found], range(len(names)), xerr=_arms(found), fmt="o", capsize=3)
    axes.axvline(told["metrics"]["start"]["ca"][0], color="grey", ls=":", label="nego-tiny")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("held-out collective agency (0-5)")
    axes.set_title(f"After {told['steps']} steps, {len(told['seeds'])} seeds each, T {told['temperature']:g}")
    axes.legend(fontsize=8)
    _save(axes, target)


def _axes(width: float, height: float) -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(width, height))
    axes.grid(alpha=0.3)
    return axes


def _arms(found: list[list[float]]) -> list[list[float]]:
    return [[value - low for value, low, _ in found], [high - value for value, _, high in found]]


def _save(axes: Any, target: Path) -> None:
    axes.figure.tight_layout()
    axes.figure.savefig(target, dpi=110)
