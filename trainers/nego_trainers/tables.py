"""Evaluation results as tables for people, at any width from 60 columns."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nego_env.safe_text import visible
from nego_trainers.intervals import Estimate
from nego_trainers.pairwise import PairResult
from nego_trainers.results import Results

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDE = 130
"""From so many columns on, intervals stand beside their figures; below, under them."""
MOST_SHAPES = 6

Cell = Callable[[str], str]


def table_text(results: Results, width: int) -> str:
    """The tables as plain text."""
    from rich.console import Console

    out = io.StringIO()
    print_tables(results, Console(file=out, width=max(60, width), color_system=None, legacy_windows=False))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def print_tables(results: Results, console: Console) -> None:
    """What was achieved, best first; how it came about; and what was counted."""
    order = _order(results)
    wide = console.width >= WIDE
    console.print(_achieved(results, order, wide))
    if any(results.estimate(n, m).n for n in order for m in ("premature", "no_zopa_deals", "tokens", "truthful")):
        console.print(_how(results, order, wide))
    for line in _notes(results, order):
        console.print(line, markup=False, highlight=False)


def print_pairs(pairs: Sequence[PairResult], console: Console) -> None:
    """Pairwise comparisons: consistent wins, and what was left out."""
    from rich.text import Text

    some_unjudged = any(p.unjudged for p in pairs)
    table = _table("Compared in both orders; only consistent wins count")
    table.add_column("left")
    table.add_column("right")
    unjudged = ("unjudged",) if some_unjudged else ()
    for heading in ("left wins", "right wins", "ties", "inconsistent", *unjudged, "left win rate"):
        table.add_column(heading, justify="right")
    for p in pairs:
        counts = (p.wins, p.losses, p.ties, p.inconsistent, *((p.unjudged,) if some_unjudged else ()))
        rate = _percent(p.rate, console.width >= WIDE)
        names = (Text(visible(name, newlines=False)) for name in (p.left, p.right))
        table.add_row(*names, *map(str, counts), rate)
    console.print(table)
    lines = [f"compared by {judge}" for judge in dict.fromkeys(p.judge for p in pairs)]
    lines += [
        f"{p.left} and {p.right}: {p.unjudged} without a verdict; the first: {p.why_unjudged}"
        for p in pairs
        if p.unjudged
    ]
    for line in lines:
        console.print(visible(line, newlines=False), markup=False, highlight=False, soft_wrap=True)


def _order(results: Results) -> list[str]:
    """Entries, the best first (by CA, else by agreement); the order given among equals."""

    def rank(name: str) -> float:
        for metric in ("ca", "judged", "agreement"):
            found = results.estimate(name, metric)
            if found.n:
                return -found.value
        return float("inf")

    return sorted(results.names, key=rank)


def _achieved(results: Results, order: list[str], wide: bool) -> Table:
    table = _table(_title(results))
    table.add_column("entry", overflow="fold", min_width=8)
    judged = "judged" in results.metrics
    exact = "ca" in results.metrics
    columns: list[tuple[str, Cell]] = [
        ("agreed", lambda n: _percent(results.estimate(n, "agreement"), wide)),
    ]
    if exact:
        columns += [
            ("CA", lambda n: _figure(results.estimate(n, "ca"), wide)),
            ("CA, IQM", lambda n: _figure(results.estimate(n, "ca", "iqm"), wide)),
            ("regret", lambda n: _figure(results.estimate(n, "regret"), wide)),
            ("least gain" if wide else "least\ngain", lambda n: _figure(results.estimate(n, "least_gain"), wide)),
        ]
    if judged:
        columns.append(("judged", lambda n: _figure(results.estimate(n, "judged"), wide)))
    columns.append(("rounds", lambda n: _figure(results.estimate(n, "rounds"), wide, digits=1)))
    if wide and 1 < len(results.shapes) <= MOST_SHAPES and exact:
        by_shape = {n: results.by_shape(n) for n in order}
        columns += [(f"CA {s}", _of_shape(by_shape, s)) for s in results.shapes]
    return _filled(table, columns, order)


def _how(results: Results, order: list[str], wide: bool) -> Table:
    table = _table("How deals came about")
    table.add_column("entry", overflow="fold", min_width=8)
    seats = [m for m in results.metrics if m.startswith("capitulation_")]
    columns: list[tuple[str, Cell]] = [
        (heading, _percent_of(results, metric, wide))
        for metric, heading in (
            ("premature", "premature" if wide else "pre-\nmature"),
            ("uninformed", "uninformed" if wide else "unin-\nformed"),
            ("own_best", "own best"),
            *(
                (m, f"seat {m.removeprefix('capitulation_')}{' ' if wide else chr(10)}gave in")
                for m in seats[: None if wide else 2]
            ),
            ("no_zopa_deals", "no-zopa deals" if wide else "no-zopa\ndeals"),
        )
        if metric in results.metrics
    ]
    if "truthful" in results.metrics:
        columns.append(
            (
                "truthful" if wide else "truth-\nful",
                lambda n: _percent(results.estimate(n, "truthful"), wide, interval=wide),
            )
        )
    if "tokens" in results.metrics:
        columns.append(("tokens", lambda n: _figure(results.estimate(n, "tokens"), False, digits=0, interval=False)))
    return _filled(table, columns, order)


def _notes(results: Results, order: list[str]) -> list[str]:
    notes = ["Mean, then 95 % bootstrap interval over runs and scenarios. Regret counts a failed negotiation as 5."]
    if "no_zopa_deals" in results.metrics:
        notes.append("Dilemmas in which every deal is a loss for somebody are in `no-zopa deals` alone.")
    for name in order:
        episodes, unscored, _ = results.counts(name)
        if unscored:
            notes.append(
                f"{visible(name, newlines=False)}: {unscored} of {episodes} episodes failed and are in no figure."
            )
    return notes


def _title(results: Results) -> str:
    seatings = "both seatings" if len(results.seatings) == 2 else f"seats as {results.seatings[0]}"
    count = len(results.scenarios)
    runs = max(len(r) for r in results.runs.values())
    return (
        f"{visible(results.suite, newlines=False)}: {count} dilemma{'s' if count != 1 else ''}, {seatings}, "
        f"{runs} run{'s' if runs != 1 else ''} ({results.sha256[:12]})"
    )


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    return Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=0, pad_edge=False)


def _filled(table: Table, columns: list[tuple[str, Cell]], order: list[str]) -> Table:
    from rich.text import Text

    for heading, _ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for name in order:
        table.add_row(Text(visible(name, newlines=False)), *(cell(name) for _, cell in columns))
    return table


def _figure(e: Estimate, wide: bool, *, digits: int = 2, interval: bool = True) -> str:
    if not e.n:
        return "-"
    told = f"{e.value:.{digits}f}"
    if not interval:
        return told
    return f"{told}{' ' if wide else chr(10)}{e.low:.{digits}f}..{e.high:.{digits}f}"


def _percent(e: Estimate, wide: bool, *, interval: bool = True) -> str:
    if not e.n:
        return "-"
    if not interval:
        return f"{100 * e.value:.0f} %"
    return f"{100 * e.value:.0f} %{' ' if wide else chr(10)}{100 * e.low:.0f}..{100 * e.high:.0f}"


def _percent_of(results: Results, metric: str, wide: bool) -> Cell:
    return lambda name: _percent(results.estimate(name, metric), wide)


def _of_shape(by_shape: dict[str, dict[str, Estimate]], shape: str) -> Cell:
    return lambda name: _figure(by_shape[name][shape], True, interval=False)
