"""The colours of a replay: one palette for terminals that bring their own, one for dark and one for light screens."""

from __future__ import annotations

import os
from typing import Literal, NamedTuple

Theme = Literal["dark", "light"]


class Palette(NamedTuple):
    """Styles, as rich writes them."""

    seats: tuple[str, ...]
    """A colour per seat; a seventh seat starts again."""
    quiet: str
    """What is there to be found, not to be read first."""
    strong: str
    good: str
    warn: str
    bad: str
    figure: str
    """Collective Agency, and whatever a judge says."""
    rail: str
    """The empty part of a bar, and rules."""

    def seat(self, number: int) -> str:
        """The colour of a seat."""
        return self.seats[number % len(self.seats)]


ANSI = Palette(
    seats=("cyan", "magenta", "green", "blue", "yellow", "bright_red"),
    quiet="dim",
    strong="bold",
    good="green",
    warn="yellow",
    bad="red",
    figure="bold",
    rail="dim",
)
"""For terminals and exports: their theme decides what cyan looks like."""

DARK = Palette(
    seats=("#6cb6ff", "#f0a35e", "#7ad0a5", "#d39bea", "#e3cf65", "#f08a9b"),
    quiet="#8b98a5",
    strong="bold #e6edf3",
    good="#7ad0a5",
    warn="#e3b341",
    bad="#ff7b72",
    figure="bold #e6edf3",
    rail="#39424d",
)
LIGHT = Palette(
    seats=("#0b5cad", "#a84b00", "#0f7048", "#7a3aa8", "#7a6200", "#b3264a"),
    quiet="#5c6670",
    strong="bold #14181d",
    good="#0f7048",
    warn="#8a5a00",
    bad="#c0272d",
    figure="bold #14181d",
    rail="#c9d0d7",
)


def palette(theme: Theme) -> Palette:
    """The palette for a screen whose background is known."""
    return DARK if theme == "dark" else LIGHT


def terminal_theme() -> Theme:
    """What the terminal says of its background: `COLORFGBG` is `foreground;background` in ANSI numbers where it is set; 7 and
    9 to 15 are light. Dark where nothing is said."""
    background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return "light" if background.isdigit() and int(background) in (7, *range(9, 16)) else "dark"
