"""Promises about text that somebody else wrote: shown, never obeyed.

1. Whatever moves a cursor, hides or reorders is spelled out: C0, C1, DEL, bidi, zero-width, surrogates, private use, separators.
2. What people write stays: every script, combining marks, emoji with their joiners.
"""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ANY_CHARACTER

from nego_env.safe_text import visible

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
ZERO_WIDTH = "\u200b\u2060\ufeff\u00ad\u180e"
OTHERS = "\u2028\u2029\ud800\udbff\udc00\udfff\ue000\uf8ff\U000f0000\U0010fffd\U000e0001\U000e0041\uffff\ufff9"


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0)])
def test_control_characters_are_spelled_out_in_hex(code: int) -> None:
    assert visible(f"a{chr(code)}b", newlines=False) == f"a\\x{code:02x}b"


@pytest.mark.parametrize("character", BIDI + ZERO_WIDTH + OTHERS)
def test_what_hides_or_reorders_is_spelled_out(character: str) -> None:
    code = ord(character)
    spelled = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    assert visible(f"a{character}b") == f"a{spelled}b"


@pytest.mark.parametrize(
    "text",
    [
        "plain words, 3 < 4 & [b]markup[/b]",
        "naïve Ærøskøbing",
        "e\u0301",  # a combining accent
        "交渉は終わった。",
        "협상",
        "مذاکره می\u200cکنیم",  # a joiner that Persian needs
        "हिन्दी क्\u200dष",
        "👩\u200d🔬 ❤\ufe0f 1\ufe0f\u20e3 🇩🇪 👍🏽 ☺\ufe0e",
        "\\x1b is how a backslash looks",
        "\u3000\u00a0",  # spaces are no danger
    ],
)
def test_what_people_write_stays(text: str) -> None:
    assert visible(text) == text


def test_line_breaks_and_tabs_stay_where_they_are_wanted() -> None:
    assert visible("a\n\tb\r\n") == "a\n    b\\x0d\n"
    assert visible("a\n\tb", newlines=False) == "a\\x0a\\x09b"
    assert visible("") == ""


def test_an_escape_sequence_loses_its_escape() -> None:
    assert visible("\x1b[31mred\x1b]0;title\x07\x9b2J") == "\\x1b[31mred\\x1b]0;title\\x07\\x9b2J"


@given(st.text(ANY_CHARACTER), st.booleans())
def test_nothing_hidden_is_left_in_any_text(text: str, newlines: bool) -> None:
    shown = visible(text, newlines=newlines)
    kept = "\u200c\u200d\ufe0e\ufe0f" + ("\n" if newlines else "")
    for c in shown:
        assert c in kept or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert visible(shown, newlines=newlines) == shown
    shown.encode("utf-8")
