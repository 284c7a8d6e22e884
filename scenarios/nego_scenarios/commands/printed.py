"""Lines that a terminal can take."""

from __future__ import annotations

import sys


def shown(text: str) -> str:
    """One line of text that somebody else wrote, safe to print."""
    from nego_env.safe_text import visible

    return visible(text, newlines=False).rstrip()


def clipped(line: str) -> str:
    """A line that fits the terminal, where there is one; a pipe gets it whole."""
    if not sys.stdout.isatty():
        return line
    import shutil

    width = shutil.get_terminal_size().columns
    return line if len(line) <= width else line[: max(1, width - 1)] + "…"
