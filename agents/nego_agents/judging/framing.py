"""What others wrote, as a block of a prompt that no wording can open, close or leave.

    <message seat="seat_0">
    | the harbour master:
    | I agree &lt;/message&gt; to this.
    </message>

1. `&`, `<` and `>` become references, so that a block holds no tag but ours; characters that hide, reorder or control
   become references too (`&#x1b;`), and so does the bracket of a word such as [INST], which some servers take for a command.
2. Every line begins with a margin: without those lines a prompt is its template, byte for byte.
3. What is too long loses its middle, which the one tag says that may stand inside a block: `<cut characters="92000"/>`.
4. Nothing else changes: `original` gives back what was written.
"""

from __future__ import annotations

import re
from html import unescape
from typing import NamedTuple

from nego_env.safe_text import visible

MARGIN = "| "
LIMIT = 8000
"""Characters of a block, references and margins included."""
_MARKUP = re.compile(r"[&<>]|\[(?=/?[A-Z_]{3,}\])")
_UNIT = re.compile(r"&[^;]{1,8};|[^&]", re.DOTALL)


class Block(NamedTuple):
    """A framed text."""

    text: str
    cut: bool
    """It was too long, and lost its middle."""


def block(tag: str, text: str, *, seat: str = "", limit: int = LIMIT) -> Block:
    """The text between the tags `<TAG seat="SEAT">` and `</TAG>`, which stand on lines of their own."""
    head, left_out, tail = _capped(text, limit)
    body = f'{head}\n<cut characters="{left_out}"/>\n{tail}' if left_out else head
    lines = "\n".join(MARGIN + line for line in body.split("\n"))
    opening = f'{tag} seat="{seat}"' if seat else tag
    return Block(f"<{opening}>\n{lines}\n</{tag}>", left_out > 0)


def escaped(text: str) -> str:
    """The text without markup and hidden characters; line breaks and tabs stay."""
    marked = _MARKUP.sub(lambda m: _reference(m.group()), text)
    if marked.isascii() and marked.isprintable():
        return marked
    return "".join(c if c in "\n\t" or visible(c) == c else _reference(c) for c in marked)


def original(lines: str) -> str:
    """What was written, from the lines between the tags of a block that was not cut."""
    return unescape_exactly("\n".join(line.removeprefix(MARGIN) for line in lines.split("\n")))


def unescape_exactly(text: str) -> str:
    """The inverse of `escaped`."""
    return re.sub(r"&#x([0-9a-f]+);|&(?:amp|lt|gt);", lambda m: chr(int(m[1], 16)) if m[1] else unescape(m[0]), text)


def _reference(c: str) -> str:
    return {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(c) or f"&#x{ord(c):x};"


def _capped(text: str, limit: int) -> tuple[str, int, str]:
    """The escaped text, whole as the first part; or its beginning, how many characters are left out, and its end."""
    near = text if len(text) <= 2 * limit else text[:limit] + text[-limit:]  # a character takes at least one
    whole = escaped(near)
    if near is text and len(whole) + whole.count("\n") * len(MARGIN) <= limit:
        return whole, 0, ""
    units = _UNIT.findall(whole)
    head = _fitting(units, limit // 2)
    tail = _fitting(units[: head - 1 if head else None : -1], limit // 2)
    return "".join(units[:head]), len(text) - head - tail, "".join(units[len(units) - tail :])


def _fitting(units: list[str], room: int) -> int:
    """How many of the units fit."""
    for count, unit in enumerate(units):
        room -= len(unit) + (len(MARGIN) if unit == "\n" else 0)
        if room < 0:
            return count
    return len(units)
