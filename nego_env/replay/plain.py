"""A replay as running text: what a pipe, a dumb terminal and every export get."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.rule import Rule

from nego_env.replay.frames import Episode, episode
from nego_env.replay.render import Fitted, finish, heading, opening, private_view, safe, spaced, utterance
from nego_env.replay.style import ANSI, Palette
from nego_env.transcript import Transcript


def story(
    ep: Episode, *, seat: int | None = None, title: str = "", palette: Palette = ANSI
) -> Iterator[RenderableType]:
    """An episode from its opening to its end.

    With `seat`, that seat's private view, and its worths and notices alone until the end; `title` stands in a rule above.
    """
    if title:
        yield Rule(safe(title, palette.quiet), style=palette.rail)
    yield spaced(opening(ep, palette))
    if seat is not None:
        yield spaced(private_view(ep, seat, palette))
    for frame in ep.frames:
        rule = heading(ep, frame, palette)
        if rule is not None:
            yield rule
        if frame.kind == "utterance":
            yield spaced(utterance(ep, frame, palette, seat))
    yield Fitted(lambda width: finish(ep, palette, width))


def plain_console(width: int | None = None) -> Console:
    """A console on stdout that never reads markup. `NO_COLOR`, `TERM` and `COLUMNS` count as rich says.

    A stdout that cannot write every character shows `?` for those it cannot.
    """
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    return Console(width=width, markup=False, emoji=False, highlight=False)


def print_transcript(t: Transcript, *, width: int | None = None) -> None:
    """One episode onto stdout. Raises `TranscriptError` when the record contradicts the rules."""
    console = plain_console(width)
    for part in story(episode(t)):
        console.print(part)
