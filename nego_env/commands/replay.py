"""`nego replay`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from nego_env.store import TranscriptFile

FEW = 3
"""So many episodes are all shown when none is asked for."""


@dataclass(frozen=True)
class Replay:
    """Replay episodes: a player on a terminal, running text in a pipe, or a picture in a file."""

    examples: ClassVar[str] = """
  nego replay run.jsonl
  nego replay run.jsonl --episode 7 --seat seat_1
  nego replay run.jsonl --plain | less -R
  nego replay run.jsonl --export run.svg --width 80 --theme light
"""

    file: Path
    """A file of transcripts, as `nego play --out` writes it."""
    plain: bool = False
    """Running text instead of the player; what a pipe gets anyway."""
    export: Path | None = None
    """Write to this file instead, by its suffix: .svg, .html or .txt."""
    episode: str | None = None
    """Which one: its place in the file (1, 2, ...) or the beginning of its id. Default: the first (text: the first few)."""
    seat: str | None = None
    """Show the private view of this seat: seat_0, or just 0."""
    width: int | None = None
    """Columns of text and exports. Default: the terminal's; 100 for exports."""
    theme: Literal["auto", "dark", "light"] = "auto"
    """Colours of the player and of exports. `auto` takes the terminal's where it says (COLORFGBG), else dark."""
    json: bool = False
    """One JSON object per episode on stdout: every step with what was on the table, and the end."""

    def run(self) -> int:
        """Shows; returns 0. Raises `TranscriptError`, `NotFoundError` or `SettingsError` for a mistake."""
        from nego_env.replay.export import check_suffix
        from nego_env.safe_text import visible
        from nego_env.store import TranscriptFile

        self._check()
        if self.export is not None:
            check_suffix(self.export)
        file = TranscriptFile(self.file)
        self._show(file)
        for note in file.notes:  # last: a player would have covered it
            print(f"nego: note: {visible(note, newlines=False)}", file=sys.stderr)
        return 0

    def _show(self, file: TranscriptFile) -> None:
        if self.json:
            self._print_json(file)
        elif self.export is not None:
            self._export(file, self.export)
        elif self.plain or not _can_play():
            self._print(file)
        else:
            self._play(file)

    def _check(self) -> None:
        from nego_env.errors import SettingsError

        if self.width is not None and not 20 <= self.width <= 1000:
            raise SettingsError(f"--width is {self.width}, it must lie in [20, 1000]")
        if self.json and (self.plain or self.export is not None):
            raise SettingsError("--json goes with neither --plain nor --export: give one of them")

    def _chosen(self, file: TranscriptFile) -> list[int]:
        """Positions in the file to show as text, JSON or picture."""
        from nego_env.replay.lookup import position

        if self.episode is not None:
            return [position(file, self.episode)]
        return list(range(len(file))) if len(file) <= FEW else [0]

    def _print_json(self, file: TranscriptFile) -> None:
        from nego_env.replay.frames import as_json, episode

        for i in range(len(file)) if self.episode is None else self._chosen(file):
            print(as_json(episode(file[i])))

    def _story(self, file: TranscriptFile, chosen: list[int]) -> Iterator[RenderableType]:
        from rich.text import Text

        from nego_env.replay.frames import episode, seat_number
        from nego_env.replay.plain import story

        for i in chosen:
            t = file[i]
            seat = None if self.seat is None else seat_number(t.scenario, self.seat)
            title = f"episode {i + 1} of {len(file)} · {t.id}"
            yield from story(episode(t), seat=seat, title=title)
            if i != chosen[-1]:
                yield Text()

    def _print(self, file: TranscriptFile) -> None:
        from nego_env.replay.plain import plain_console
        from nego_env.safe_text import visible

        console = plain_console(self.width)
        chosen = self._chosen(file)
        for part in self._story(file, chosen):
            console.print(part)
        if self.episode is None and len(chosen) < len(file):
            name = visible(str(self.file), newlines=False)
            print(f"{len(file) - 1} more: nego replay {name} --plain --episode 2 (to {len(file)}, or an id)")

    def _export(self, file: TranscriptFile, path: Path) -> None:
        from nego_env.replay.export import export
        from nego_env.safe_text import visible

        width = self.width or 100
        chosen = self._chosen(file)
        title = f"nego replay {self.file.name}"
        parts = self._story(file, chosen)
        export(path, parts, width=width, title=title, theme=_theme(self.theme))
        what = "1 episode" if len(chosen) == 1 else f"{len(chosen)} episodes"
        print(f"saved {what} of {len(file)}: {visible(str(path), newlines=False)}")

    def _play(self, file: TranscriptFile) -> None:
        from nego_env.replay.lookup import position
        from nego_env.replay.player import Player

        first = 0 if self.episode is None else position(file, self.episode)
        Player(file, first=first, seat=self.seat, theme=_theme(self.theme)).run()


def _can_play() -> bool:
    """Both ends of the terminal are one, and it can move its cursor."""
    return sys.stdout.isatty() and sys.stdin.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def _theme(chosen: Literal["auto", "dark", "light"]) -> Literal["dark", "light"]:
    from nego_env.replay.style import terminal_theme

    return terminal_theme() if chosen == "auto" else chosen
