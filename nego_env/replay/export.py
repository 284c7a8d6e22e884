"""A replay as a file: SVG, HTML or text. Self-contained: no font, script or picture is fetched from anywhere.

Written here rather than by `rich.Console.export_*` for two reasons: those refer to fonts on a public server, and they
squeeze text of double width (CJK, emoji) into single cells.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

from rich.cells import cell_len
from rich.color import Color, blend_rgb
from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import TerminalTheme

from nego_env.errors import SettingsError
from nego_env.replay.style import Theme
from nego_env.safe_text import visible

SUFFIXES = (".svg", ".html", ".txt")

_FONTS = 'ui-monospace, "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK JP", monospace'
_CELL, _LINE, _MARGIN, _FONT = 8.4, 19.0, 20.0, 14
"""SVG units: width and height of a character cell, the margin around the text, the size of the font."""

_DARK = TerminalTheme(
    (22, 27, 34),
    (214, 221, 228),
    [(72, 79, 88), (255, 123, 114), (122, 208, 165), (227, 179, 65), (108, 182, 255), (211, 155, 234), (96, 201, 208),
     (214, 221, 228)],
    [(139, 148, 158), (255, 150, 180), (150, 220, 185), (240, 200, 100), (140, 200, 255), (225, 180, 240),
     (130, 215, 222), (255, 255, 255)],
)  # fmt: skip
_LIGHT = TerminalTheme(
    (255, 255, 255),
    (31, 38, 46),
    [(31, 38, 46), (192, 39, 45), (15, 112, 72), (138, 90, 0), (11, 92, 173), (122, 58, 168), (0, 110, 122),
     (120, 130, 140)],
    [(92, 102, 112), (176, 40, 110), (20, 130, 85), (150, 100, 0), (30, 110, 190), (140, 75, 185), (0, 125, 138),
     (60, 70, 80)],
)  # fmt: skip


class Run(NamedTuple):
    """Characters of one style and one width class."""

    text: str
    css: str
    """Declarations, with `color`; empty for the default look."""
    cells: int
    wide: bool
    """Characters two cells wide."""


Line = list[Run]


def check_suffix(path: Path) -> None:
    """Raises `SettingsError` unless the file name ends in a suffix that says what to write."""
    if path.suffix.lower() not in SUFFIXES:
        found = f"{path.suffix!r}" if path.suffix else "no suffix"
        raise SettingsError(f"--export {path}: {found} is no format; end the name in {', '.join(SUFFIXES)}")


def export(path: Path, parts: Iterable[RenderableType], *, width: int, title: str, theme: Theme = "dark") -> None:
    """Write renderables in the format the suffix names; an older file is replaced.

    Raises `SettingsError` for another suffix or a place that cannot be written.
    """
    check_suffix(path)
    body = rendered(path.suffix.lower(), parts, width=width, title=title, theme=theme)
    try:
        path.write_text(body, encoding="utf-8", newline="\n")
    except OSError as e:
        raise SettingsError(f"--export {path}: cannot be written: {e.strerror}") from None


def rendered(
    suffix: str, parts: Iterable[RenderableType], *, width: int, title: str = "", theme: Theme = "dark"
) -> str:
    """Renderables as SVG, HTML or text, `width` cells wide. Everything in them, and `title`, is escaped."""
    colours = _DARK if theme == "dark" else _LIGHT
    lines = [list(_runs(line, colours)) for line in _lines(parts, width)]
    title = visible(title, newlines=False)
    if suffix == ".svg":
        return _svg(lines, width, title, colours)
    if suffix == ".html":
        return _html(lines, title, colours)
    return "".join("".join(run.text for run in line).rstrip() + "\n" for line in lines)


def _lines(parts: Iterable[RenderableType], width: int) -> Iterator[list[Segment]]:
    # The environment of this process says nothing about a file: NO_COLOR and COLUMNS do not count here.
    console = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor", no_color=False, markup=False,
        emoji=False, highlight=False, legacy_windows=False, _environ={},
    )  # fmt: skip
    for part in parts:
        yield from console.render_lines(part, pad=False)


def _runs(line: list[Segment], theme: TerminalTheme) -> Iterator[Run]:
    for segment in Segment.simplify(line):
        if segment.control:
            continue
        css = _css(segment.style or Style.null(), theme)
        for text, wide in _by_width(segment.text):
            yield Run(text, css, cell_len(text), wide)


def _by_width(text: str) -> Iterator[tuple[str, bool]]:
    """Stretches of single-width and of double-width characters; what joins or modifies goes with what it follows."""
    if text.isascii():
        if text:
            yield text, False
        return
    start, wide = 0, False
    for i, char in enumerate(text):
        cells = cell_len(char)
        if cells and (cells > 1) != wide:
            if i > start:
                yield text[start:i], wide
            start, wide = i, cells > 1
    yield text[start:], wide


def _css(style: Style, theme: TerminalTheme) -> str:
    colour = style.color or Color.default()
    shade = colour.get_truecolor(theme)
    if style.dim:
        shade = blend_rgb(shade, theme.background_color, 0.4)
    rules = [] if colour.is_default and not style.dim else [f"color:{shade.hex}"]
    if style.bold:
        rules.append("font-weight:bold")
    if style.italic:
        rules.append("font-style:italic")
    return ";".join(rules)


def _classes(lines: list[Line]) -> dict[str, str]:
    """A short class name for every look, in the order they appear."""
    looks = dict.fromkeys(run.css for line in lines for run in line if run.css)
    return {css: f"r{i}" for i, css in enumerate(looks, 1)}


# ---------------------------------------------------------------- HTML
def _html(lines: list[Line], title: str, theme: TerminalTheme) -> str:
    classes = _classes(lines)
    rules = "\n".join(f".{name} {{ {css} }}" for css, name in classes.items())
    code = "\n".join("".join(_span(run, classes) for run in line).rstrip() for line in lines)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{escape(title)}</title>
<style>
body {{ color: {theme.foreground_color.hex}; background: {theme.background_color.hex}; margin: 2rem; }}
pre {{ font: 14px/1.36 {_FONTS}; margin: 0; }}
.w {{ display: inline-block; text-align: center; }}
{rules}
</style>
</head>
<body>
<pre>{code}
</pre>
</body>
</html>
"""


def _span(run: Run, classes: dict[str, str]) -> str:
    """Double-width stretches get their width in cells: fonts rarely draw them at exactly two."""
    names = [classes[run.css]] if run.css else []
    if run.wide:
        names.append("w")
    if not names:
        return escape(run.text)
    width = f' style="width:{run.cells}ch"' if run.wide else ""
    return f'<span class="{" ".join(names)}"{width}>{escape(run.text)}</span>'


# ---------------------------------------------------------------- SVG
def _svg(lines: list[Line], width: int, title: str, theme: TerminalTheme) -> str:
    classes = _classes(lines)
    rules = "\n".join(f".{name} {{ {css.replace('color:', 'fill:')} }}" for css, name in classes.items())
    wide, high = width * _CELL + 2 * _MARGIN, len(lines) * _LINE + 2 * _MARGIN
    body = "\n".join(text for y, line in enumerate(lines) for text in _texts(line, y, classes))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}" width="{wide:g}" height="{high:g}">
<title>{escape(title)}</title>
<style>
text {{ font-family: {_FONTS}; font-size: {_FONT}px; fill: {theme.foreground_color.hex}; white-space: pre; }}
{rules}
</style>
<rect width="100%" height="100%" rx="8" fill="{theme.background_color.hex}"/>
<g xml:space="preserve">
{body}
</g>
</svg>
"""


def _texts(line: Line, y: int, classes: dict[str, str]) -> Iterator[str]:
    x = 0
    for run in line:
        body = run.text.strip(" ")
        if body:
            start = x + len(run.text) - len(run.text.lstrip(" "))
            name = f' class="{classes[run.css]}"' if run.css else ""
            at = f'x="{_MARGIN + start * _CELL:g}" y="{_MARGIN + (y + 0.75) * _LINE:g}"'
            yield f'<text{name} {at} textLength="{cell_len(body) * _CELL:g}">{escape(body)}</text>'
        x += run.cells
