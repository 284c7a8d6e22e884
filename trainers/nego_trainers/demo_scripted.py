"""The demo without a language model: two scripted agents on one dilemma, and a small table of such agents."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nego_trainers.demo_screen import ROOM_FOR_INTERVALS, argue, cell, command, progress, quoted, suggest

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from nego_env.packs import LooseScenarios
    from nego_env.run import Run
    from nego_env.statistics import Interval
    from nego_env.summary import Summary
    from nego_env.transcript import Transcript

DILEMMA = "theatre-2d764a7cd1b4"
"""A held-out dilemma that reads well, and on which the pair passes by the best deal."""
PAIR = ("revealer", "logroller")
"""One lays its cards on the table, the other trades what it can spare."""
CONTENDERS = ("random", "boulware", "conceder", "tit-for-tat", "micro", "logroller", "revealer")
FULL, QUICK = 100, 20
FOLDER = Path("runs") / "demo"


def scripted_demo(base: Path | None, *, quick: bool, seed: int, pause: float, as_json: bool, note: str) -> int:
    """Plays what is not on disk yet, and shows it; returns 0. `note` is said first and last."""
    from rich.text import Text

    from nego_env.packs import open_pack
    from nego_env.replay.plain import plain_console
    from nego_env.replay.style import ANSI
    from nego_env.run import Run

    suite = _suite(QUICK if quick else FULL)
    first = Run(open_pack("heldout").get(DILEMMA), list(PAIR), seed=seed)
    rows = {name: Run(suite, name, seed=seed) for name in CONTENDERS}
    # The number of scenarios is in the names: a quick demo and a full one do not stand in each other's way.
    files = {name: f"{name}-{len(suite)}.jsonl" for name in rows}
    runs = {"dilemma.jsonl": first, **{files[name]: run for name, run in rows.items()}}
    folder = _folder(base or FOLDER, runs)
    console = plain_console()
    if not as_json:
        (dilemma,) = _played(first, 1, folder / "dilemma.jsonl")
        if note:
            console.print(Text(note, ANSI.quiet), soft_wrap=True)
            console.print()
        console.print(Text("Two agents, one dilemma, and a deal that is scored exactly", ANSI.strong))
        console.print()
        argue(console, dilemma, pause=0.0 if quick else pause)
    figures: dict[str, Summary] = {}
    with progress("comparing agents", len(rows) * len(suite)) as advance:
        for name, run in rows.items():
            figures[name] = _summary(_played(run, len(suite), folder / files[name], advance))
    if as_json:
        told = [_row(name, suite.name, folder / files[name], summary) for name, summary in figures.items()]
        sys.stdout.write(json.dumps({"folder": str(folder), "model": None, "note": note, "rows": told}) + "\n")
        return 0
    _compare(console, suite, figures)
    _farewell(console, folder, files)
    if note:
        console.print()
        console.print(Text(note, ANSI.quiet), soft_wrap=True)
    return 0


def _suite(size: int) -> LooseScenarios:
    """Held-out dilemmas at even distances, so that every theme has its share."""
    from nego_env.packs import LooseScenarios, open_pack

    pack = open_pack("heldout")
    ids = pack.ids()
    return LooseScenarios(f"heldout-{size}", (pack.get(ids[i * len(ids) // size]) for i in range(size)))


def _folder(base: Path, runs: dict[str, Run]) -> Path:
    """The first of `base`, `base-2`, ... in which no file holds another run."""
    names = (base if number == 1 else base.with_name(f"{base.name}-{number}") for number in count(1))
    return next(folder for folder in names if all(_fits(folder / name, run) for name, run in runs.items()))


def _fits(path: Path, run: Run) -> bool:
    """The file is not there, or holds this run and nobody is writing to it."""
    from nego_env.errors import TranscriptError
    from nego_env.store import TranscriptWriter

    if not path.exists():
        return True
    try:
        with TranscriptWriter(path, run.id):
            return True
    except TranscriptError:
        return False


def _played(
    run: Run, episodes: int, path: Path, advance: Callable[[int], None] = lambda more: None
) -> list[Transcript]:
    """Every episode of a run, by index; only what the file does not hold yet is played."""
    from nego_env.rollout import rollout, run_blocking
    from nego_env.store import TranscriptWriter, read_final

    async def everything() -> None:
        with TranscriptWriter(path, run.id) as writer:
            advance(sum(p.scored for p in writer.done.values()))
            async for _ in rollout(run, episodes, writer=writer):
                advance(1)

    run_blocking(everything())
    return read_final(path)


def _summary(transcripts: list[Transcript]) -> Summary:
    from nego_env.summary import Summary

    summary = Summary()
    for t in transcripts:
        summary.add(t)
    return summary


# ---------------------------------------------------------------- what is shown
def _compare(console: Console, suite: LooseScenarios, figures: dict[str, Summary]) -> None:
    """The table, and how to read it."""
    from rich.text import Text

    from nego_env.replay.style import ANSI

    console.print(Text(f"{len(suite)} dilemmas for each agent", ANSI.strong))
    intervals = console.width >= ROOM_FOR_INTERVALS
    console.print(_table(figures, intervals=intervals))
    hopeless = sum(s.no_zopa for s in suite)
    shown = "means with 95 % bootstrap intervals" if intervals else "means (a wider screen shows their 95 % intervals)"
    note = (
        f"One agent in every seat (2 to 4) of {len(suite)} held-out dilemmas, {shown}. "
        "CA is 5 for the deal that is best for all and 0 where somebody loses or nobody agrees; regret is what was left "
        "on the table."
    )
    if hopeless:
        note += f" In {hopeless} of them no deal is good for everybody: they count under agreement and rounds only."
    console.print(Text(note, ANSI.quiet))
    console.print()


def _table(figures: dict[str, Summary], *, intervals: bool) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from nego_env.replay.style import ANSI

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0) if intervals else 0,
        header_style="bold",
        pad_edge=False,
        show_edge=intervals,
    )
    table.add_column("agent", no_wrap=True)
    for heading in ("agreement %" if intervals else "agreed %", "CA", "regret", "rounds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, summary in sorted(figures.items(), key=lambda item: _mean(item[1], "CA")):
        f = summary.figures()
        table.add_row(
            Text(name),
            _cell(f.get("agreement"), 0, interval=intervals, scale=100),
            _cell(f.get("CA"), 2, interval=intervals),
            _cell(f.get("regret"), 2, interval=intervals),
            _cell(f.get("rounds"), 1, interval=intervals),
        )
    table.add_section()
    table.add_row(
        Text("exact optimum" if intervals else "optimum", ANSI.quiet),
        "",
        Text("5.00", ANSI.quiet),
        Text("0.00", ANSI.quiet),
        "",
    )
    return table


def _mean(summary: Summary, name: str) -> float:
    found = summary.figures().get(name)
    return found.mean if found is not None else 0.0


def _cell(x: Interval | None, digits: int, *, interval: bool, scale: float = 1.0) -> Any:
    nan = float("nan")
    mean, low, high = (nan, nan, nan) if x is None else x[:3]
    return cell(mean, low, high, digits, interval=interval, scale=scale)


def _row(name: str, suite: str, path: Path, summary: Summary) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "entry": name,
        "suite": suite,
        "episodes": summary.episodes,
        "scored": summary.scored,
        "file": str(path),
    }
    found = summary.figures()
    for figure in ("agreement", "CA", "regret", "rounds"):
        x = found.get(figure)
        facts[figure.lower()] = None if x is None else {"mean": x.mean, "low": x.low, "high": x.high}
    return facts


def _farewell(console: Console, folder: Path, files: dict[str, str]) -> None:
    """What to try next, spelled so that it works here."""
    nego = command()
    lines = (
        ("Step through it", f"{nego} replay {quoted(folder / 'dilemma.jsonl')}"),
        ("Revealers among themselves", f"{nego} replay {quoted(folder / files['revealer'])}"),
        ("Take a seat yourself", f"{nego} play --scenario {DILEMMA} --agents human {PAIR[1]}"),
        ("Bring an agent of yours", f"{nego} play --agents my_file.py:my_agent boulware --episodes 20"),
    )
    suggest(console, "Every word is saved. What next?", lines)
