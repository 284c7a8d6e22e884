"""Others' words on a plain terminal, as they come."""

from __future__ import annotations

from contextlib import suppress
from typing import IO

from nego_env.safe_text import visible
from nego_env.speaking import Speaking, heard
from nego_env.view import View


class Aloud:
    """Prints what the others say while they say it, and knows afterwards what need not be printed again.

    Nothing is printed of an episode the person has not been shown the dilemma of (`meet`).
    """

    def __init__(self) -> None:
        self._met = ""
        self._now: Speaking | None = None
        self._open = False
        """The cursor stands behind the words."""
        self._said: dict[int, str] = {}
        """Words by their place in the dialogue."""

    def meet(self, episode: str) -> None:
        """The person knows this episode's dilemma."""
        if episode != self._met:
            self._met = episode
            self._said.clear()

    def hear(self, view: View, piece: str, file: IO[str]) -> None:
        """A piece of what the seat of `view` says, onto a terminal."""
        if view.episode != self._met:
            return
        before, now = self._now, heard(self._now, view, piece)
        self._now = now
        self._said[now.at] = now.text
        begun = before is not None and before.text != "" and (before.episode, before.at) == (now.episode, now.at)
        if piece:
            _write(file, visible(piece) if begun else f"\n{visible(now.name, newlines=False)}: {visible(piece)}")
            self._open = True
        elif begun:
            _write(file, "\n(begins anew)")

    def finish(self, file: IO[str]) -> None:
        """End the line."""
        if self._open:
            self._open = False
            _write(file, "\n")

    def printed(self, view: View, at: int, text: str) -> bool:
        """Whether an utterance stands there already, word for word."""
        return view.episode == self._met and self._said.get(at) == text


def _write(file: IO[str], text: str) -> None:
    encoding: str = getattr(file, "encoding", None) or "utf-8"  # a StringIO has none
    with suppress(OSError):  # a terminal that is gone is told of where the person is asked
        file.write(text.encode(encoding, errors="replace").decode(encoding))
        file.flush()
