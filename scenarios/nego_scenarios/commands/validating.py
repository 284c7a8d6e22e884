"""`nego scenarios validate`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nego_scenarios.commands.printed import shown

if TYPE_CHECKING:
    from nego_env.packs import Entry, Pack
    from nego_env.scenario import Scenario


@dataclass(frozen=True)
class Validate:
    """Check packs and scenario files: every scenario decodes, ids are unique, hash and index agree."""

    examples: ClassVar[str] = """
  nego scenarios validate my_dilemma.toml
  nego scenarios validate path/to/pack heldout
"""

    paths: tuple[str, ...]
    """Packs by name or path, .toml files or folders of them, .jsonl files, folders an importer knows."""

    def run(self) -> int:
        """Prints what was checked, and a line on stderr for each fault; returns 0, or 2 when there is a fault."""
        from nego_env.errors import SettingsError

        if not self.paths:
            raise SettingsError("say what to check: nego scenarios validate PATH ...")
        faulty = False
        for path in self.paths:
            checked, faults = _validated(path)
            for fault in faults:
                print(f"nego: error: {shown(fault)}", file=sys.stderr)
            if not faults:
                print(f"{shown(path)}: good: {checked}")
            faulty = faulty or bool(faults)
        return 2 if faulty else 0


def _validated(path: str) -> tuple[str, list[str]]:
    """What was checked of a pack or path, and what is wrong with it."""
    from nego_env.errors import NegoError
    from nego_env.packs import Pack, open_suite

    p = Path(path)
    try:
        if p.suffix == ".jsonl" and p.is_file():
            return _validated_lines(p)
        if p.is_dir() and not (p / "pack.json").is_file() and (tomls := sorted(p.glob("*.toml"))):
            return _validated_tomls(tomls)
        suite = open_suite(path)
        if isinstance(suite, Pack):
            return _validated_pack(suite)
        return _decode(len(suite)), []
    except NegoError as e:
        return "", [str(e)]


def _decode(count: int) -> str:
    return f"{count} scenario{' decodes' if count == 1 else 's decode'}, ids are unique"


def _validated_tomls(files: list[Path]) -> tuple[str, list[str]]:
    from nego_env.errors import ScenarioError
    from nego_env.scenario import read_toml

    seen: dict[str, Path] = {}
    faults = []
    for file in files:
        try:
            scenario = read_toml(file)
        except ScenarioError as e:
            faults.append(str(e))
            continue
        if scenario.id in seen:
            faults.append(f"{file}: the id {scenario.id!r} is that of {seen[scenario.id]} already")
        seen.setdefault(scenario.id, file)
    return _decode(len(files)), faults


def _validated_lines(path: Path) -> tuple[str, list[str]]:
    if _holds_transcripts(path):
        return "", [f"{path}: these are transcripts, not scenarios: nego replay {path}"]
    lines = list(_decoded_lines(path))
    faults = [line for line in lines if isinstance(line, str)]
    if not lines:
        faults.append(f"{path}: no scenarios in it")
    return _decode(len(lines)), faults


def _holds_transcripts(path: Path) -> bool:
    """The file opens as every transcript file does, whatever its version."""
    opening = b'{"format":"nego/'
    try:
        with path.open("rb") as file:
            return file.read(len(opening)) == opening
    except OSError:
        return False  # told by whoever reads the rest


def _decoded_lines(path: Path) -> Iterator[tuple[Scenario, int, int] | str]:
    """Each scenario of a JSONL file with the offset and length of its line, or what is wrong with the line."""
    from nego_env.errors import ScenarioError
    from nego_env.scenario import decode_scenario

    first: dict[str, int] = {}
    at = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                size = len(line.rstrip(b"\r\n"))
                if line.strip():
                    try:
                        scenario = decode_scenario(line, f"{path}:{number}")
                    except ScenarioError as e:
                        yield str(e) if str(e).startswith(str(path)) else f"{path}:{number}: {e}"
                    else:
                        if scenario.id in first:
                            yield f"{path}:{number}: the id {scenario.id!r} is that of line {first[scenario.id]} already"
                        else:
                            first[scenario.id] = number
                            yield scenario, at, size
                at += len(line)
    except OSError as e:
        yield f"{path}: cannot be read: {e.strerror}"


def _validated_pack(pack: Pack) -> tuple[str, list[str]]:
    """Scenarios, then the hash, the shape and the index against them."""
    from nego_env.errors import ScenarioError
    from nego_env.packs import Entry, Shape

    path = pack.directory / "scenarios.jsonl"
    lines = list(_decoded_lines(path))
    faults = [line for line in lines if isinstance(line, str)]
    found = [
        Entry(s.id, s.kind, s.n, s.counts, s.tags, at, size)
        for s, at, size in (x for x in lines if not isinstance(x, str))
    ]
    try:
        pack.verify()
    except ScenarioError as e:
        faults.append(str(e))
    if not faults:
        faults += _index_faults(pack, found)
    where = pack.directory / "pack.json"
    if not faults and pack.info.count != len(found):
        faults.append(f"{where}: count is {pack.info.count}, scenarios.jsonl has {len(found)}")
    if not faults and pack.shape != (shape := Shape.of((e.seats, e.issues) for e in found)):
        faults.append(f"{where}: shape is {_shape_text(pack.shape)}, the scenarios have {_shape_text(shape)}")
    checked = (
        f"{len(found)} scenarios decode, ids are unique, hash, count and shape are those of pack.json, index agrees"
    )
    return checked, faults


def _shape_text(shape: Any) -> str:
    return f"{shape.seats} seats and {' x '.join(map(str, shape.options)) or 'no'} options"


def _index_faults(pack: Pack, found: list[Entry]) -> list[str]:
    from nego_env.errors import ScenarioError

    path = pack.directory / "index.jsonl"
    try:
        index = list(pack.entries())
    except ScenarioError as e:
        return [str(e)]
    faults = []
    for number, (listed, entry) in enumerate(zip(index, found, strict=False), 1):
        wrong = [k for k in entry.__struct_fields__ if getattr(listed, k) != getattr(entry, k)]
        if wrong:
            told = f"{wrong[0]} is {getattr(listed, wrong[0])!r}, scenarios.jsonl has {getattr(entry, wrong[0])!r}"
            faults.append(f"{path}:{number}: {told}")
    if len(index) != len(found):
        faults.append(f"{path}: {len(index)} entries for {len(found)} scenarios")
    return faults
