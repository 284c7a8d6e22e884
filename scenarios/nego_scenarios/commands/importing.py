"""`nego scenarios import`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nego_scenarios.commands.folders import new_folder
from nego_scenarios.commands.printed import shown

if TYPE_CHECKING:
    from nego_env.packs import PackInfo
    from nego_env.transcript import Transcript
    from nego_scenarios.importers.reading import Imported

DIALOGUES = "transcripts.jsonl"
"""What the recorded dialogues are called in the folder of the pack."""


@dataclass(frozen=True)
class Import:
    """Read a public data set as scenarios, and its recorded dialogues as transcripts; with --out, keep them as a pack."""

    examples: ClassVar[str] = """
  nego scenarios import moralchoice moralchoice_high_ambiguity.csv
  nego scenarios import casino casino.json --out camping
  nego scenarios import open-spiel bargaining_instances1000.txt --out bargaining
  nego scenarios import genius path/to/laptopdomain --out laptop
"""

    kind: str
    """The format, by the name of its importer."""
    path: Path
    """The file or folder to read."""
    out: Path | None = None
    """The folder to write; it must be new or empty. Without it the data is read and checked, and nothing is kept."""
    json: bool = False
    """One JSON object: kind, scenarios, transcripts, notes and, with --out, out and sha256."""

    def run(self) -> int:
        """Reads all of it before anything is written; returns 0. Raises `ScenarioError` naming file, place and field."""
        from nego_env.registry import load_named

        importer = load_named("nego_env.importers", "importer", self.kind)()
        out = None if self.out is None else new_folder(self.out)
        found = _read(importer, self.path)
        info = None if out is None else self._write(out, found)
        for note in found.notes:
            print(f"nego: note: {shown(note)}", file=sys.stderr)
        if self.json:
            print(json.dumps(self._facts(found, info)))
        else:
            self._tell(found, info)
        return 0

    def _write(self, out: Path, found: Imported) -> PackInfo:
        from nego_env.errors import SettingsError
        from nego_env.packs import write_pack

        source = self.path.resolve().name
        try:
            info = write_pack(
                out,
                found.scenarios,
                name=out.resolve().name,
                title=f"{_scenarios(found)} imported from {source} ({self.kind})",
                description=f"nego scenarios import {self.kind} {source}",
            )
            if found.transcripts:
                _write_transcripts(out / DIALOGUES, found.transcripts)
        except OSError as e:
            raise SettingsError(f"--out {out}: cannot be written: {e.strerror}") from None
        return info

    def _facts(self, found: Imported, info: PackInfo | None) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "kind": self.kind,
            "scenarios": len(found.scenarios),
            "transcripts": len(found.transcripts),
            "notes": list(found.notes),
        }
        return facts if info is None else facts | {"out": str(self.out), "sha256": info.sha256}

    def _tell(self, found: Imported, info: PackInfo | None) -> None:
        print(f"{shown(str(self.path))}: {_scenarios(found)}, {_shape(found)}")
        if found.transcripts:
            print(f"{_dialogues(found)}, each run through the rules again")
        if info is None:
            print(f"first: {', '.join(s.id for s in found.scenarios[:3])}")
            print("nothing was written: --out DIR keeps them")
            return
        print(f"{self.out}: sha256 {info.sha256}")
        if found.transcripts:
            print(f"watch them: nego replay {self.out}/{DIALOGUES}")
        agents = "boulware conceder" if found.scenarios[0].issues else "mediator stonewaller"
        print(f"play it: nego play --scenario {self.out} --agents {agents}")


def _read(importer: Any, path: Path) -> Imported:
    """What an importer finds; `load` alone is enough to be one."""
    from nego_env.errors import NotFoundError
    from nego_scenarios.importers.reading import Imported

    if not os.path.exists(path):
        raise NotFoundError(f"no file or folder {path}")
    read = getattr(importer, "read", None)
    found: Imported = Imported(tuple(importer.load(path))) if read is None else read(path)
    return found


def _write_transcripts(path: Path, transcripts: tuple[Transcript, ...]) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(b"".join(t.encode() + b"\n" for t in transcripts))
    os.replace(part, path)


def _scenarios(found: Imported) -> str:
    return f"{len(found.scenarios)} scenario{'' if len(found.scenarios) == 1 else 's'}"


def _dialogues(found: Imported) -> str:
    return f"{len(found.transcripts)} recorded dialogue{'' if len(found.transcripts) == 1 else 's'}"


def _shape(found: Imported) -> str:
    from nego_env.packs import Shape

    shape = Shape.of((s.n, s.counts) for s in found.scenarios)
    width = " x ".join(map(str, shape.options))
    return f"at most {shape.seats} seats and {width} options" if width else f"open dilemmas of {shape.seats} seats"
