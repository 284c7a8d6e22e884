"""`nego scenarios list`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from nego_scenarios.commands.printed import clipped, shown

if TYPE_CHECKING:
    from nego_env.packs import Entry, Suite


@dataclass(frozen=True)
class List:
    """List the packs that are installed, or the scenarios of a pack or path."""

    examples: ClassVar[str] = """
  nego scenarios list
  nego scenarios list open
  nego scenarios list heldout --seats 4 --json
  nego scenarios list path/to/pack
"""

    packs: tuple[str, ...]
    """Packs by name, or paths: a pack, a .toml or a folder of them, a .jsonl, a folder an importer knows. Default: what packs
    there are; with a filter or --json, the scenarios of all of them."""
    kind: Literal["structured", "open"] | None = None
    """Only this kind."""
    seats: int | None = None
    """Only those with so many seats."""
    tag: str | None = None
    """Only those with this tag."""
    json: bool = False
    """One JSON object a line: id, pack, kind, seats, issues (options per issue), tags."""

    def run(self) -> int:
        """Prints entries as they are read; an indexed pack is listed without loading a scenario. Returns 0, or 1 for none."""
        suites = self._suites()
        if not (self.packs or self.json or self.kind or self.seats is not None or self.tag is not None):
            return _list_packs(suites)
        found = 0
        for name, suite in suites:
            if not self.json:
                print(shown(_heading(name, suite)))
            for entry in filter(self._wanted, suite.entries()):
                found += 1
                print(_entry_json(name, entry) if self.json else clipped(_entry_line(entry)))
        if not found:
            print("nego: no scenario like that", file=sys.stderr)
        return 0 if found else 1

    def _suites(self) -> Iterator[tuple[str, Suite]]:
        """The suites asked for, by the name they go under. Of all that are installed, one that cannot be loaded costs a
        note; of those that were named, an error."""
        from nego_env.errors import ScenarioError
        from nego_env.packs import open_pack, open_suite, pack_names

        installed = pack_names()
        for name in self.packs:
            suite = open_suite(name)
            yield name if name in installed else suite.name, suite
        for name in () if self.packs else installed:
            try:
                yield name, open_pack(name)
            except ScenarioError as e:
                print(f"nego: note: {shown(str(e))}", file=sys.stderr)

    def _wanted(self, entry: Entry) -> bool:
        return (
            (self.kind is None or entry.kind == self.kind)
            and (self.seats is None or entry.seats == self.seats)
            and (self.tag is None or self.tag in entry.tags)
        )


def _entry_json(pack: str, entry: Entry) -> str:
    facts = {
        "id": entry.id,
        "pack": pack,
        "kind": entry.kind,
        "seats": entry.seats,
        "issues": entry.issues,
        "tags": entry.tags,
    }
    return json.dumps(facts)


def _entry_line(entry: Entry) -> str:
    issues = " x ".join(map(str, entry.issues)) or "open"
    return shown(f"  {entry.id:<26} {entry.seats} seats  {issues:<17} {', '.join(entry.tags)}")


def _heading(name: str, suite: Suite) -> str:
    info = getattr(suite, "info", None)
    return f"{name} ({len(suite)}){f': {info.title}' if info is not None and info.title else ''}"


def _list_packs(suites: Iterator[tuple[str, Suite]]) -> int:
    """A line for each pack, and how to list one."""
    rows = [(name, _kinds(suite), str(len(suite)), _about(name, suite)) for name, suite in suites]
    if not rows:
        print("nego: no packs are installed", file=sys.stderr)
        return 1
    table = [("pack", "kind", "scenarios", "what it is"), *rows]
    name_width, kind_width, count_width = (max(len(row[i]) for row in table) for i in range(3))
    for name, kind, count, about in table:
        print(clipped(shown(f"{name:<{name_width}}  {kind:<{kind_width}}  {count:>{count_width}}  {about}")))
    print(f"\nList the scenarios of one: nego scenarios list {shown(rows[0][0])}")
    return 0


def _kinds(suite: Suite) -> str:
    return " and ".join(sorted({entry.kind for entry in suite.entries()}))


def _about(name: str, suite: Suite) -> str:
    """The title of a registered pack or, where it has none, what its factory says of itself."""
    from nego_env.registry import entry_points, load_entry_point

    info = getattr(suite, "info", None)
    if info is not None and info.title:
        return str(info.title)
    doc = (load_entry_point(entry_points("nego_env.packs")[name]).__doc__ or "").strip()
    return doc.split("\n")[0]
