"""What a person sees of a run: a live panel on a terminal, a line every so many steps elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol, Self

from nego_trainers.curves import chart
from nego_trainers.metrics import Record, column, moving

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

SHOWN = 10
"""Steps in the averages that are shown."""
LINE_SECONDS = 5.0
"""At most one line in this time, where there is no terminal; the first and the last always."""
CHART_HEIGHT = 8

Figures = tuple[tuple[str, str, str], ...]
FIGURES: Figures = (
    ("reward", "reward", "{:.2f}"),
    ("agreement", "agreement", "{:.0%}"),
    ("rounds", "rounds", "{:.1f}"),
    ("regret", "regret", "{:.2f}"),
    ("premature", "premature", "{:.0%}"),
    ("own best", "own_best", "{:.0%}"),
    ("zero variance", "zero_variance", "{:.0%}"),
    ("entropy", "entropy", "{:.2f}"),
    ("kl", "kl", "{:.3f}"),
    ("grad norm", "grad_norm", "{:.2f}"),
    ("tokens/s", "tokens_per_second", "{:,.0f}"),
)
"""(heading, name in the record, format)."""
IMITATION: Figures = (
    ("epoch", "epoch", "{:.2f}"),
    ("loss", "loss", "{:.3f}"),
    ("reward", "reward", "{:.2f}"),
    ("entropy", "entropy", "{:.2f}"),
    ("kl", "kl", "{:.3f}"),
    ("grad norm", "grad_norm", "{:.2f}"),
    ("tokens/s", "tokens_per_second", "{:,.0f}"),
)
"""Of a run that learns from a file."""


class Watcher(Protocol):
    """Is told how a run goes."""

    def note(self, text: str) -> None:
        """Something worth saying once."""
        ...

    def playing(self, step: int, done: int, episodes: int) -> None:
        """`done` of a step's episodes are played."""
        ...

    def step(self, records: list[Record], share: float, seconds_left: float | None) -> None:
        """A step is done: all records so far; `share` in [0, 1] of the run is behind it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def averages(records: list[Record], figures: Figures = FIGURES) -> Record:
    """The mean of each figure over the last `SHOWN` steps; None where there is none."""
    recent = records[-SHOWN:]
    found: Record = {}
    for _, name, _ in figures:
        mean = moving(column(recent, name), SHOWN)[-1] if recent else float("nan")
        found[name] = mean if mean == mean else None
    return found


def told(value: float | None, form: str) -> str:
    """A figure as it is shown; a dash for none."""
    return "-" if value is None else form.format(value)


def clock(seconds: float | None) -> str:
    """`4:05`, `1:02:03`, or a dash."""
    if seconds is None:
        return "-"
    minutes, s = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{s:02}" if hours else f"{minutes}:{s:02}"


class Lines:
    """A line every few seconds: what a log file or a pipe gets."""

    def __init__(self, figures: Figures = FIGURES) -> None:
        self._figures = figures
        self._last = -LINE_SECONDS
        self._waiting: str | None = None

    def note(self, text: str) -> None:
        """A line at once."""
        print(f"nego: {text}", file=sys.stderr, flush=True)

    def playing(self, step: int, done: int, episodes: int) -> None:
        """Nothing: a line is for a step."""

    def step(self, records: list[Record], share: float, seconds_left: float | None) -> None:
        """A line, unless one was written a moment ago."""
        record = records[-1]
        figures = "  ".join(f"{heading} {told(record.get(name), form)}" for heading, name, form in self._figures)
        self._waiting = f"step {record['step']}  {figures}  left {clock(seconds_left)}"
        if time.monotonic() - self._last >= LINE_SECONDS:
            self._write()

    def _write(self) -> None:
        if self._waiting is not None:
            print(self._waiting, file=sys.stderr, flush=True)
        self._waiting, self._last = None, time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()


class Panel:
    """A live panel: the averages of the last steps, a curve (of the reward, by default), and the time left."""

    def __init__(self, title: str, console: Console, *, figures: Figures = FIGURES, curve: str = "reward") -> None:
        self.title, self.console = title, console
        self._figures, self._curve = figures, curve
        self._records: list[Record] = []
        self._share = 0.0
        self._left: float | None = None
        self._playing = ""
        self._live: Live | None = None

    def note(self, text: str) -> None:
        """A line above the panel."""
        from rich.text import Text

        self.console.print(Text(f"nego: {text}"))

    def playing(self, step: int, done: int, episodes: int) -> None:
        """How many of the step's episodes are played."""
        self._playing = f"step {step}: {done} of {episodes} episodes played"
        self._show()

    def step(self, records: list[Record], share: float, seconds_left: float | None) -> None:
        """New figures."""
        self._records, self._share, self._left = records, share, seconds_left
        self._show()

    def _show(self) -> None:
        if self._live is not None:
            self._live.update(self.render(self.console.width))

    def render(self, width: int) -> RenderableType:
        """The panel at a width."""
        from rich.console import Group
        from rich.panel import Panel as Frame
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        shown = averages(self._records, self._figures)
        grid = Table.grid(expand=True)
        per_row = max(2, (width - 4) // 22)
        for _ in range(per_row):
            grid.add_column(ratio=1)
        cells = [
            Text.assemble((f"{heading} ", "dim"), (told(shown[name], form), "bold"))
            for heading, name, form in self._figures
        ]
        cells.append(Text.assemble(("time left ", "dim"), (clock(self._left), "bold")))
        for start in range(0, len(cells), per_row):
            grid.add_row(*cells[start : start + per_row])
        values = moving(column(self._records, self._curve), 3)
        curve = Text("\n".join(chart(values, width - 4, CHART_HEIGHT)), style="cyan", no_wrap=True)
        bar = Table.grid()
        bar.add_row(ProgressBar(total=1.0, completed=self._share, width=width - 4))
        status = Text(self._playing, style="dim", no_wrap=True, overflow="ellipsis")
        return Frame(
            Group(grid, Text(self._curve, style="dim"), curve, bar, status), title=Text(self.title), width=width
        )

    def __enter__(self) -> Self:
        from rich.live import Live

        self._live = Live(self.render(self.console.width), console=self.console, refresh_per_second=4)
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._playing = ""
            self._show()
            self._live.__exit__(None, None, None)
            self._live = None


class Quiet:
    """Says nothing, and keeps the notes: for programs and tests."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Kept."""
        self.notes.append(text)

    def playing(self, step: int, done: int, episodes: int) -> None:
        """Nothing."""

    def step(self, records: list[Record], share: float, seconds_left: float | None) -> None:
        """Nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def watcher(title: str, *, lines: bool = False, imitation: bool = False) -> Watcher:
    """A panel where stderr is a terminal, else lines. `imitation`: of a run that plays nothing."""
    figures = IMITATION if imitation else FIGURES
    if lines or not sys.stderr.isatty():
        return Lines(figures)
    from rich.console import Console

    return Panel(title, Console(stderr=True), figures=figures, curve="loss" if imitation else "reward")
