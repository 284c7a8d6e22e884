"""Text that somebody else wrote, made fit for a terminal or an export: shown, never obeyed.

Control characters (C0, C1, DEL), escape sequences, bidirectional overrides, zero-width and other format characters,
lone surrogates, line and paragraph separators, tags and private-use characters are spelled out (`\\x1b`, `\\u202e`).
What emoji and joined scripts need (variation selectors, the zero-width joiner and non-joiner) stays.
"""

from __future__ import annotations

import unicodedata

_KEEP = frozenset("\u200c\u200d\ufe0e\ufe0f")  # joiners and variation selectors: emoji, Persian and Indic text
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str, *, newlines: bool = True) -> str:
    """The text with every character that could move a cursor, hide or reorder spelled out.

    With `newlines`, `\\n` stays a line break and a tab becomes four spaces; without, both are spelled out too.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(c, newlines) for c in text)


def _shown(c: str, newlines: bool) -> str:
    if newlines and c == "\n":
        return c
    if newlines and c == "\t":
        return "    "
    if c in _KEEP or unicodedata.category(c) not in _HIDDEN:
        return c
    return _escape(ord(c))


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
