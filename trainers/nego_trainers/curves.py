"""A run's curves: drawn in the terminal with block characters, and as a PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from nego_env.errors import MissingExtraError
from nego_trainers.metrics import Record, column, moving

BLOCKS = " ▁▂▃▄▅▆▇█"
SMOOTH = 10
"""Steps in the moving average of the PNG."""

PANELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("reward", ("reward", "reward_min", "reward_max")),
    ("agreement", ("agreement",)),
    ("rounds", ("rounds",)),
    ("regret", ("regret",)),
    ("premature compromise (share of deals)", ("premature", "own_best")),
    ("groups without variance (share)", ("zero_variance",)),
    ("entropy (nats a token)", ("entropy",)),
    ("divergence from the start (nats a token)", ("kl",)),
    ("gradient norm", ("grad_norm",)),
)
"""What the PNG shows: title and figures of each panel."""
LIKELIHOOD = ("negative log-likelihood (nats a token)", ("loss",))
"""Stands in the place of `zero_variance` where rows are imitated."""


def chart(values: Sequence[float | None], width: int, height: int) -> list[str]:
    """The values as `height` lines of block characters, oldest left, with the scale at the right: means of equal stretches
    where there are more values than columns. Lines of spaces where there is nothing to draw."""
    scale = 6
    room = max(1, width - scale - 1)
    points = _stretched([math.nan if v is None else v for v in values], room)
    known = [p for p in points if not math.isnan(p)]
    if not known:
        return [" " * width for _ in range(height)]
    low, high = min(known), max(known)
    span = high - low or 1.0
    levels = [None if math.isnan(p) else 1 + round((p - low) / span * (8 * height - 1)) for p in points]
    lines = []
    for row in reversed(range(height)):
        cells = "".join(" " if x is None else BLOCKS[max(0, min(8, x - 8 * row))] for x in levels)
        mark = f"{high:.2f}" if row == height - 1 else f"{low:.2f}" if row == 0 else ""
        lines.append(f"{cells:<{room}} {mark:>{scale}}")
    return lines


def _stretched(values: Sequence[float], width: int) -> list[float]:
    """At most `width` values: each the mean of a stretch."""
    if len(values) <= width:
        return list(values)
    found = []
    for i in range(width):
        part = [v for v in values[i * len(values) // width : (i + 1) * len(values) // width] if not math.isnan(v)]
        found.append(sum(part) / len(part) if part else math.nan)
    return found


def save_png(
    records: Sequence[Record], validation: Sequence[Record], path: Path, title: str, *, imitation: bool = False
) -> Path:
    """The curves of a run as a PNG, each figure faint and its moving average over `SMOOTH` steps strong; validation figures
    as dots. `imitation`: with the loss, a likelihood. Raises `MissingExtraError` without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as e:
        raise MissingExtraError(f"curves need {e.name}: pip install 'nego-env[train]'") from None
    figure = Figure(figsize=(13, 9), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    steps = [r["step"] for r in records]
    panels = [LIKELIHOOD if imitation and "zero_variance" in names else (heading, names) for heading, names in PANELS]
    for axes, (heading, names) in zip(figure.subplots(3, 3).flat, panels, strict=True):
        axes.set_title(heading, fontsize=10)
        axes.set_xlabel("step", fontsize=8)
        axes.grid(alpha=0.25)
        for name in names:
            values = column(records, name)
            if all(v is None for v in values):
                continue
            (line,) = axes.plot(steps, moving(values, SMOOTH), label=name)
            axes.plot(
                steps, [math.nan if v is None else v for v in values], color=line.get_color(), alpha=0.25, linewidth=0.8
            )
            looked = [(r["step"], r[name]) for r in validation if r.get(name) is not None]
            if looked:
                axes.plot(
                    *zip(*looked, strict=True), "o", markersize=4, color=line.get_color(), label=f"{name}, validation"
                )
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path
