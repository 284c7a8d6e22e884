"""Evaluation results as a picture: Collective Agency with intervals, and regret round by round."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nego_env.accounting import CA_MAX
from nego_env.errors import MissingExtraError, SettingsError
from nego_trainers.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CURVES = 8
"""More lines than this cannot be told apart."""


def check_matplotlib() -> None:
    """Raises `MissingExtraError` naming the install command where matplotlib is not installed. Imports nothing."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise MissingExtraError("a picture needs matplotlib: pip install 'nego-env[train]'")


def plot(results: Results, path: str | Path) -> Path:
    """Write the picture (its ending says the format: .png, .svg, .pdf). Raises `MissingExtraError` or `SettingsError`."""
    check_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = sorted(results.names, key=lambda n: results.estimate(n, _main(results)).value)
    figure = Figure(figsize=(11, max(3.2, 0.34 * len(names) + 1.6)), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _bars(left, results, names)
    _curves(right, results, names)
    figure.suptitle(f"{results.suite}: {len(results.scenarios)} dilemmas", fontsize=11)
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, dpi=150)
    except OSError as e:
        raise SettingsError(f"{target}: cannot be written: {e.strerror}") from None
    except ValueError as e:
        raise SettingsError(f"{target}: {e}") from None
    return target


def _main(results: Results) -> str:
    return "ca" if "ca" in results.metrics else "judged" if "judged" in results.metrics else "agreement"


def _bars(axes: Axes, results: Results, names: list[str]) -> None:
    metric = _main(results)
    for row, name in enumerate(names):
        e = results.estimate(name, metric)
        if e.n:
            axes.plot([e.low, e.high], [row, row], color="tab:blue", linewidth=3, solid_capstyle="butt")
            axes.plot([e.value], [row], "o", color="black", markersize=4)
    axes.set_yticks(range(len(names)), [_plain(n) for n in names], fontsize=8)
    axes.set_xlim(0, 1.02 * (1 if metric == "agreement" else CA_MAX))
    axes.set_xlabel(
        {"ca": "Collective Agency, mean and 95 % interval", "judged": "judged (not exact CA)"}.get(metric, metric)
    )
    axes.grid(axis="x", alpha=0.3)


def _curves(axes: Axes, results: Results, names: list[str]) -> None:
    for name in names[::-1][:MOST_CURVES]:
        curve = results.regret_by_round(name)
        if curve:
            axes.plot(range(1, len(curve) + 1), curve, marker=".", label=_plain(name))
    axes.set_ylim(0, 1.02 * CA_MAX)
    axes.set_xlabel("round")
    axes.set_ylabel("regret of what is on the table")
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)


def _plain(name: str) -> str:
    """A name that matplotlib does not read as mathematics."""
    return name.replace("$", r"\$")
