"""XML read into a small tree that knows its lines; nothing in the file can reach out or blow up.

1. A DOCTYPE is refused, and with it every entity of the file's own: no external files, no expansion bombs.
2. Size, number of elements, depth and attribute length are bounded.
3. Every fault is one `ScenarioError` naming file and line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from nego_env.errors import ScenarioError
from nego_scenarios.importers.reading import line_of, quoted, read_bytes

MAX_BYTES = 8_000_000
MAX_ELEMENTS = 200_000
MAX_DEPTH = 50
MAX_ATTRIBUTE = 10_000
"""Characters of one attribute."""


class Element(NamedTuple):
    """One element. What stands between tags is not kept: these formats say everything in attributes."""

    path: Path
    line: int
    tag: str
    attributes: dict[str, str]
    children: list[Element]

    def error(self, message: str) -> ScenarioError:
        """The error of this element."""
        return ScenarioError(f"{self.path}:{self.line}: <{self.tag}>: {message}")

    def all(self, *tags: str) -> Iterator[Element]:
        """The children with one of these tags, in file order."""
        return (child for child in self.children if child.tag in tags)

    def below(self, *tags: str) -> Iterator[Element]:
        """The elements with one of these tags anywhere below, in file order, nothing inside a found one."""
        for child in self.children:
            if child.tag in tags:
                yield child
            else:
                yield from child.below(*tags)

    def text(self, name: str) -> str:
        """An attribute that must be there, with single blanks. Raises `ScenarioError` for an empty one."""
        value = " ".join(self.attributes.get(name, "").split())
        if not value:
            raise self.error(f"the attribute {name!r} is {'empty' if name in self.attributes else 'missing'}")
        return value

    def number(self, name: str) -> float:
        """An attribute as a number within a billion of 0."""
        word = self.text(name)
        try:
            value = float(word)
        except ValueError:
            value = float("nan")
        if not abs(value) <= 1e9 or "_" in word:
            raise self.error(f"{name}={quoted(word)} is no number")
        return value

    def whole(self, name: str) -> int:
        """An attribute as a whole number within a billion of 0."""
        value = self.number(name)
        if value != int(value):
            raise self.error(f"{name}={quoted(self.text(name))} is no whole number")
        return int(value)


def read_xml(path: Path, *, what: str) -> Element:
    """The root of an XML file. Raises `ScenarioError` where it is missing, too large, not well-formed, or has a DOCTYPE."""
    return _Builder(path).build(read_bytes(path, what=what, max_bytes=MAX_BYTES))


class _Builder:
    """Builds the tree as the parser calls."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.open: list[Element] = []
        self.root: Element | None = None
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = self._doctype

    def build(self, raw: bytes) -> Element:
        try:
            self.parser.Parse(raw, True)
        except expat.ExpatError as e:
            raise self._malformed(raw, e) from None
        except (LookupError, ValueError) as e:  # an encoding that does not exist, or is none
            raise self._error(1, f"not XML that can be read: {e}") from None
        assert self.root is not None  # the parser refuses a document without an element
        return self.root

    def _error(self, line: int, message: str) -> ScenarioError:
        return ScenarioError(f"{self.path}:{line}: {message}")

    def _malformed(self, raw: bytes, e: expat.ExpatError) -> ScenarioError:
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as bad:
            line = line_of(raw, bad.start)
            if line == e.lineno:  # what the parser stumbled over, and calls an invalid token
                return self._error(line, f"byte 0x{raw[bad.start]:02x} is not UTF-8 text; save it as UTF-8")
        return self._error(e.lineno, f"column {e.offset + 1}: not well-formed XML: {expat.ErrorString(e.code)}")

    def _doctype(self, *_: object) -> None:
        raise self._error(self.parser.CurrentLineNumber, "a DOCTYPE is not read: take it out of the file")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        line = self.parser.CurrentLineNumber
        self.count += 1
        if self.count > MAX_ELEMENTS or len(self.open) >= MAX_DEPTH:
            raise self._error(line, f"more than {MAX_ELEMENTS} elements, or more than {MAX_DEPTH} inside each other")
        for name, value in attributes.items():
            if len(value) > MAX_ATTRIBUTE:
                raise self._error(
                    line, f"<{tag[:40]}>: {name[:40]} has {len(value)} characters; at most {MAX_ATTRIBUTE}"
                )
        element = Element(self.path, line, tag, attributes, [])
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def _end(self, _: str) -> None:
        self.open.pop()
