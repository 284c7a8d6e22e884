"""What the importers share: files read with care, and errors that say where.

1. A file is read whole, at most so many bytes of it; text is UTF-8, with any newlines and an optional byte order mark.
2. Every fault is one `ScenarioError`: `FILE:LINE: ...` for text, `FILE: $[3].chat_logs[5].text: ...` for JSON.
3. Nothing is repaired by guessing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nego_env.errors import ScenarioError
from nego_env.scenario import Scenario
from nego_env.transcript import Transcript

MAX_BYTES = 64_000_000
"""Larger files are refused; each public set is well below it."""

_LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


class Imported(NamedTuple):
    """What an importer's `read(path)` found. An importer that has only scenarios needs no `read`: `load` is enough."""

    scenarios: tuple[Scenario, ...]
    transcripts: tuple[Transcript, ...] = ()
    """Recorded dialogues, by place in the source (`index`)."""
    notes: tuple[str, ...] = ()
    """What was passed over, one line each."""


# ---------------------------------------------------------------- files
class Text(NamedTuple):
    """A text file, line by line."""

    path: Path
    lines: tuple[str, ...]

    def error(self, number: int, message: str) -> ScenarioError:
        """`number` counts from 1, as editors do."""
        return ScenarioError(f"{self.path}:{number}: {message}")

    def filled(self) -> list[tuple[int, str]]:
        """(line number, stripped line) of the lines with something on them."""
        return [(i, line.strip()) for i, line in enumerate(self.lines, 1) if line.strip()]


def read_bytes(path: Path, *, what: str, max_bytes: int = MAX_BYTES, missing: str = "") -> bytes:
    """All of a file. Raises `ScenarioError` for one that is missing, unreadable, or larger than `what` ever is."""
    try:
        with path.open("rb") as f:
            raw = f.read(max_bytes + 1)
    except FileNotFoundError:
        raise ScenarioError(f"{path}: missing{missing and f'; {missing}'}") from None
    except OSError as e:
        raise ScenarioError(f"{path}: cannot be read: {e.strerror}") from None
    if len(raw) > max_bytes:
        raise ScenarioError(f"{path}: larger than {max_bytes} bytes, so it is no {what}")
    return raw


def read_text(path: Path, *, what: str, max_bytes: int = MAX_BYTES, missing: str = "") -> Text:
    """A text file with any newlines and an optional byte order mark. Raises `ScenarioError` unless it is UTF-8 text."""
    raw = read_bytes(path, what=what, max_bytes=max_bytes, missing=missing)
    try:
        decoded = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = line_of(raw, e.start)
        raise ScenarioError(f"{path}:{line}: byte 0x{raw[e.start]:02x} is not UTF-8 text; save it as UTF-8") from None
    text = Text(path, tuple(_newlines(decoded).split("\n")))
    for number, content in enumerate(text.lines, 1):
        if found := _CONTROL.search(content):
            raise text.error(number, f"control character {found[0]!r}; this is no text file")
    if not decoded.strip():
        raise text.error(1, "the file is empty")
    return text


def line_of(raw: bytes, at: int) -> int:
    """The line that a byte stands in, counted from 1."""
    return _newlines(raw[:at].decode("utf-8", "replace")).count("\n") + 1


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def opening(path: Path, size: int = 4096) -> str:
    """The first bytes of a file as text, for `sniff`; empty where there is nothing to read. Never raises."""
    try:
        with path.open("rb") as f:
            return f.read(size).decode("utf-8-sig", "replace")
    except (OSError, ValueError):
        return ""


def files_at(path: Path, suffix: str, *, what: str) -> list[Path]:
    """The file itself, or the files with this suffix in a folder, sorted by name. Raises `ScenarioError` for none."""
    if path.is_file():
        return [path]
    try:
        found = sorted(p for p in path.iterdir() if p.suffix.lower() == suffix and p.is_file()) if path.is_dir() else []
    except OSError as e:
        raise ScenarioError(f"{path}: cannot be read: {e.strerror}") from None
    if not found:
        raise ScenarioError(f"{path}: no {suffix} file here; {what}")
    return found


def licence(folder: Path, *, above: int = 2) -> str:
    """Title and copyright line of the nearest licence file, in the folder or at most so many above it."""
    places = (place / name for place in (folder, *folder.parents[:above]) for name in _LICENCES)
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        return ""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as e:
        raise ScenarioError(f"{path}: cannot be read: {e.strerror}") from None
    lines = [" ".join(_CONTROL.sub("", line).split()) for line in text.splitlines() if line.strip()]
    return "; ".join(lines[:1] + [line for line in lines[1:] if line.startswith("Copyright")][:1])


def about(source: str, path: Path) -> dict[str, str]:
    """`meta` of what stands in a file: the source and, where a licence file lies beside it, the licence. No paths: they would
    change the content hash."""
    found = licence(path.resolve().parent, above=0)
    return {"source": source} | ({"licence": found} if found else {})


def one_line(text: str) -> str:
    """Single blanks, no line breaks."""
    return " ".join(text.split())


def quoted(value: Any) -> str:
    """A value as an error shows it: short."""
    told = repr(value)
    return told if len(told) <= 60 else told[:57] + "..."


# ---------------------------------------------------------------- JSON
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}


class Json(NamedTuple):
    """A value in a JSON file, and where it stands. Its methods raise `ScenarioError` naming file and place."""

    path: Path
    at: str
    """`$[3].chat_logs[5].text`."""
    value: Any

    def error(self, message: str) -> ScenarioError:
        """The error of this place."""
        return ScenarioError(f"{self.path}: {self.at}: {message}")

    def wanted(self, what: str) -> ScenarioError:
        """The error of a value of another type."""
        kind = _KINDS.get(type(self.value))
        found = kind if isinstance(self.value, dict | list) or self.value is None else quoted(self.value)
        return self.error(f"expected {what}, found {found}")

    def key(self, name: str) -> Json:
        """The value of a field that must be there."""
        if not isinstance(self.value, dict):
            raise self.wanted("an object")
        if name not in self.value:
            raise self.error(f"the field {name!r} is missing")
        return Json(self.path, f"{self.at}.{name}", self.value[name])

    def keys(self) -> list[str]:
        """The names of an object's fields, in file order."""
        if not isinstance(self.value, dict):
            raise self.wanted("an object")
        return list(self.value)

    def items(self) -> Iterator[Json]:
        """The values of a list."""
        if not isinstance(self.value, list):
            raise self.wanted("a list")
        return (Json(self.path, f"{self.at}[{i}]", v) for i, v in enumerate(self.value))

    def text(self) -> str:
        """A string."""
        if not isinstance(self.value, str):
            raise self.wanted("a string")
        return self.value

    def number(self) -> float:
        """A number, whole or not."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.wanted("a number")
        if abs(self.value) > 1e9 or math.isnan(self.value):
            raise self.wanted("a number within 1000000000 of 0")
        return float(self.value)

    def whole(self) -> int:
        """A whole number from 0 to a billion."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not 0 <= self.value <= 10**9:
            raise self.wanted("a whole number from 0")
        return self.value


def read_json(path: Path, *, what: str) -> Json:
    """A JSON file. Raises `ScenarioError` naming file, line and column where it is no JSON."""
    text = read_text(path, what=what)
    try:
        return Json(path, "$", json.loads("\n".join(text.lines), parse_constant=_no_constant))
    except json.JSONDecodeError as e:
        raise text.error(e.lineno, f"column {e.colno}: not valid JSON: {e.msg}") from None
    except (RecursionError, ValueError) as e:
        raise text.error(1, f"not valid JSON: {e}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
