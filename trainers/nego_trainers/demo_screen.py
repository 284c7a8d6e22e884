"""What both demos show alike: a dialogue at reading pace, a cell of a table, commands that work where they are read."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from nego_env.transcript import Transcript

ROOM_FOR_INTERVALS = 70
"""Columns; on a narrower screen a table holds means alone."""


def argue(console: Console, t: Transcript, *, pause: float, opening: bool = True) -> None:
    """A dialogue, with `pause` seconds between utterances at a terminal; before it, with `opening`, the dilemma and what each
    seat wants."""
    from nego_env.replay.frames import episode
    from nego_env.replay.plain import story

    wait = pause if console.is_terminal else 0.0
    parts = story(episode(t))
    dilemma = next(parts)
    if opening:
        console.print(dilemma)
        console.print(personas(t))
    for part in parts:
        console.print(part)
        if wait:
            time.sleep(wait)
    console.print()


def personas(t: Transcript) -> RenderableType:
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


def cell(mean: float, low: float, high: float, digits: int, *, interval: bool, scale: float = 1.0) -> Text:
    """A mean, then (where there is room) its interval in a quieter voice; a dash for nan."""
    from rich.text import Text

    from nego_env.replay.style import ANSI

    if mean != mean:
        return Text("-", ANSI.quiet)
    told = [f"{scale * v:.{digits}f}" for v in (mean, low, high)]
    return Text.assemble(told[0], (f" {told[1]}-{told[2]}", ANSI.quiet)) if interval else Text(told[0])


def suggest(console: Console, heading: str, lines: Sequence[tuple[str, str]]) -> None:
    """Things to do next, each with its command; a command is never broken over lines."""
    from rich.text import Text

    from nego_env.replay.render import safe
    from nego_env.replay.style import ANSI

    console.print(Text(heading, ANSI.strong))
    room = max(len(what) for what, _ in lines) + 1
    for what, told in lines:
        console.print(Text.assemble((f"  {what:<{room}} ", ANSI.quiet), safe(told)), soft_wrap=True)


def command() -> str:
    """`nego`, or the path it was called by where it is not on the PATH."""
    return "nego" if shutil.which("nego") or Path(sys.argv[0]).name != "nego" else shlex.quote(sys.argv[0])


def quoted(path: Path | str) -> str:
    """A path as a shell takes it."""
    return shlex.quote(str(path))


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, where a person is watching; called with how many more are done."""
    if not sys.stderr.isatty():
        yield lambda more: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda more: bar.advance(task, more)
