"""The `nego demo` command: one dilemma to read, a small table to compare by, and both on disk."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from nego_env.packs import LooseScenarios
    from nego_env.rollout import Run
    from nego_env.statistics import Interval
    from nego_env.summary import Summary
    from nego_env.transcript import Transcript

DILEMMA = "theatre-2d764a7cd1b4"
"""A held-out dilemma that reads well, and on which the pair passes by the best deal."""
PAIR = ("revealer", "logroller")
"""One lays its cards on the table, the other trades what it can spare."""
CONTENDERS = ("random", "boulware", "conceder", "tit-for-tat", "micro", "logroller", "revealer")
FULL, QUICK = 100, 20
ROOM_FOR_INTERVALS = 70
"""Columns; on a narrower screen the table holds means alone."""


@dataclass(frozen=True)
class Demo:
    """Watch two agents argue a dilemma; then a small table of agents, and how to replay it all."""

    examples: ClassVar[str] = """
  nego demo
  nego demo --quick
  nego demo --json
"""

    quick: bool = False
    """A smaller table, and no pauses."""
    seed: int = 0
    """Another seed, another run."""
    out: Path = Path("runs") / "demo"
    """Where transcripts go. The same run is resumed there; where another one is, a number is added to the name."""
    pause: float = 0.7
    """Seconds between utterances, at a terminal."""
    json: bool = False
    """No dialogue; one JSON object for each row of the table."""

    def run(self) -> int:
        """Plays what is not on disk yet, and shows it; returns 0."""
        from nego_env.errors import SettingsError
        from nego_env.packs import open_pack
        from nego_env.replay.plain import plain_console
        from nego_env.rollout import Run

        if not (math.isfinite(self.pause) and self.pause >= 0):
            raise SettingsError(f"--pause is {self.pause:g}, it must be a number of seconds, at least 0")
        suite = _suite(QUICK if self.quick else FULL)
        first = Run(open_pack("heldout").get(DILEMMA), list(PAIR), seed=self.seed)
        rows = {name: Run(suite, name, seed=self.seed) for name in CONTENDERS}
        # The number of scenarios is in the names: a quick demo and a full one do not stand in each other's way.
        files = {name: f"{name}-{len(suite)}.jsonl" for name in rows}
        folder = _folder(self.out, {"dilemma.jsonl": first, **{files[name]: run for name, run in rows.items()}})
        console = plain_console()
        if not self.json:
            self._argue(console, _played(first, 1, folder / "dilemma.jsonl")[0])
        figures: dict[str, Summary] = {}
        with _progress(len(rows) * len(suite)) as advance:
            for name, run in rows.items():
                figures[name] = _summary(_played(run, len(suite), folder / files[name], advance))
        if self.json:
            for name, summary in figures.items():
                print(_row_json(name, suite.name, folder / files[name], summary))
            return 0
        _compare(console, suite, figures)
        _farewell(console, folder, files)
        return 0

    def _argue(self, console: Console, t: Transcript) -> None:
        """The dilemma, the personas, then the dialogue at reading pace."""
        import time

        from rich.text import Text

        from nego_env.replay.frames import episode
        from nego_env.replay.plain import story
        from nego_env.replay.style import ANSI

        pause = self.pause if console.is_terminal and not self.quick else 0.0
        parts = story(episode(t))
        console.print(Text("Two agents, one dilemma, and a deal that is scored exactly", ANSI.strong))
        console.print()
        console.print(next(parts))
        console.print(_personas(t))
        for part in parts:
            console.print(part)
            if pause:
                time.sleep(pause)
        console.print()


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


def _played(run: Run, episodes: int, path: Path, advance: Callable[[], None] = lambda: None) -> list[Transcript]:
    """Every episode of a run, by index; only what the file does not hold yet is played."""
    from nego_env.rollout import rollout, run_blocking
    from nego_env.store import TranscriptWriter, read_final

    async def everything() -> None:
        with TranscriptWriter(path, run.id) as writer:
            for _ in range(sum(p.scored for p in writer.done.values())):
                advance()
            async for _ in rollout(run, episodes, writer=writer):
                advance()

    run_blocking(everything())
    return read_final(path)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr, where a person is watching."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("comparing agents"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("episodes", total=total)
        yield lambda: bar.advance(task)


def _summary(transcripts: list[Transcript]) -> Summary:
    from nego_env.summary import Summary

    summary = Summary()
    for t in transcripts:
        summary.add(t)
    return summary


# ---------------------------------------------------------------- what is shown
def _personas(t: Transcript) -> RenderableType:
    """What each seat wants, which only it knows."""
    from rich.console import Group
    from rich.text import Text

    from nego_env.replay.render import Barred, safe
    from nego_env.replay.style import ANSI

    parts: list[RenderableType] = [Text("What each of them wants, and keeps to itself:", ANSI.quiet), Text()]
    for i, seat in enumerate(t.scenario.seats):
        name = safe(seat.name, f"bold {ANSI.seat(i)}").append_text(safe(f"  played by {t.agents[i]}", ANSI.quiet))
        parts += [Barred(Group(name, safe(seat.persona)), ANSI.seat(i)), Text()]
    return Group(*parts)


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
    """A mean, then (where there is room) its interval in a quieter voice."""
    from rich.text import Text

    from nego_env.replay.style import ANSI

    if x is None or not x.n:
        return Text("-", ANSI.quiet)
    mean, low, high = (f"{scale * v:.{digits}f}" for v in (x.mean, x.low, x.high))
    return Text.assemble(mean, (f" {low}-{high}", ANSI.quiet)) if interval else Text(mean)


def _row_json(name: str, suite: str, path: Path, summary: Summary) -> str:
    facts: dict[str, Any] = {
        "agent": name,
        "suite": suite,
        "episodes": summary.episodes,
        "scored": summary.scored,
        "file": str(path),
    }
    found = summary.figures()
    for figure in ("agreement", "CA", "regret", "rounds"):
        x = found.get(figure)
        facts[figure] = None if x is None else {"mean": x.mean, "low": x.low, "high": x.high}
    return json.dumps(facts)


def _farewell(console: Console, folder: Path, files: dict[str, str]) -> None:
    """What to try next, spelled so that it works here."""
    from rich.text import Text

    from nego_env.replay.render import safe
    from nego_env.replay.style import ANSI

    nego = _command()
    lines = (
        ("Step through it", f"{nego} replay {folder / 'dilemma.jsonl'}"),
        ("Revealers among themselves", f"{nego} replay {folder / files['revealer']}"),
        ("Take a seat yourself", f"{nego} play --scenario {DILEMMA} --agents human {PAIR[1]}"),
        ("Bring an agent of yours", f"{nego} play --agents my_file.py:my_agent boulware --episodes 20"),
    )
    console.print(Text("Every word is saved. What next?", ANSI.strong))
    for what, command in lines:
        console.print(Text.assemble((f"  {what:<27} ", ANSI.quiet), safe(command)), soft_wrap=True)


def _command() -> str:
    """`nego`, or the path it was called by where it is not on the PATH."""
    return "nego" if shutil.which("nego") or Path(sys.argv[0]).name != "nego" else sys.argv[0]
