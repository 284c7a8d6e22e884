"""A dialogue on the terminal while it grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from nego_env.replay.render import LIMIT, safe
from nego_env.rules import Utterance
from nego_env.speaking import Speaking, heard
from nego_env.view import View

_BEFORE = 8
"""So many messages before the one under way are shown, where there is room."""


@contextmanager
def growing() -> Iterator[Callable[[View, str], None]]:
    """Shows the dialogue on stderr, and takes it away in the end. Yields what is to be given (view, piece)."""
    shown = Growing()
    with Live(shown, console=Console(stderr=True), transient=True, refresh_per_second=12):
        yield shown.hear


class Growing:
    """The end of a dialogue, with what is being said now: a renderable that fits the terminal."""

    def __init__(self) -> None:
        self._now: Speaking | None = None
        self._view: View | None = None

    def hear(self, view: View, piece: str) -> None:
        """One piece more."""
        self._now, self._view = heard(self._now, view, piece), view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The last lines."""
        now, view = self._now, self._view
        if now is None or view is None:
            yield Text("waiting for the first words", "dim")
            return
        parts: list[RenderableType] = [_line(view, u) for u in view.utterances[-_BEFORE:]]
        title = "final plan" if now.phase == "completion" else f"round {now.round} of {now.max_rounds}"
        parts += [Text(title, "dim"), _words(now.name, now.text + " …")]
        lines = console.render_lines(Group(*parts), options.update(height=None), pad=False)
        for line in lines[-max(1, options.size.height - 1) :]:
            yield from line
            yield Segment.line()


def _line(view: View, u: Utterance) -> Text:
    return _words(view.scenario.seats[int(u.seat.removeprefix("seat_"))].name, u.text)


def _words(name: str, text: str) -> Text:
    return Text().append_text(safe(name, "bold")).append(": ").append_text(safe(text[-LIMIT:], newlines=True))
