"""`nego scenarios generate`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from nego_scenarios.commands.folders import new_folder

if TYPE_CHECKING:
    from nego_env.scenario import Scenario


@dataclass(frozen=True)
class Generate:
    """Write a pack of structured dilemmas made by seed: the same flags, the same pack."""

    examples: ClassVar[str] = """
  nego scenarios generate --out mine --count 100 --seed 7
  nego scenarios generate --out duels --count 50 --seats 2 --stakes sharp
"""

    out: Path | None = None
    """The folder to write; it must be new or empty."""
    count: int = 100
    """How many scenarios."""
    seed: int = 0
    """The seed of the first; the next one has the next seed."""
    split: Literal["train", "heldout"] = "train"
    """Training themes, or the held-out ones, which share no words with them."""
    theme: str | None = None
    """One theme of the split; drawn by seed when left out, and so are the flags below."""
    seats: int | None = None
    """2 to 4."""
    issues: int | None = None
    """2 to 5."""
    options: int | None = None
    """2 to 5 for every issue."""
    stakes: Literal["cooperative", "mixed", "opposed", "sharp"] | None = None
    """How far the seats' interests pull apart."""
    json: bool = False
    """Print what pack.json says, as one JSON object."""

    def run(self) -> int:
        """Writes the pack; returns 0."""
        from nego_env.errors import SettingsError
        from nego_env.packs import write_pack

        if self.out is None:
            raise SettingsError("say where the pack goes: --out DIR")
        out = new_folder(self.out)
        if self.count < 1:
            raise SettingsError(f"--count is {self.count}, it must be at least 1")
        scenarios = list(self._scenarios())
        try:
            info = write_pack(
                out,
                scenarios,
                name=out.resolve().name,
                title=f"{self.count} generated dilemmas, {self.split} themes, seed {self.seed}",
                description=f"nego scenarios generate{self._flags()}",
            )
        except OSError as e:
            raise SettingsError(f"--out {out}: cannot be written: {e.strerror}") from None
        if self.json:
            import msgspec

            print(json.dumps(msgspec.to_builtins(info)))
            return 0
        widths = " x ".join(map(str, info.shape.options))
        print(f"{out}: {info.count} scenarios, at most {info.shape.seats} seats and {widths} options")
        print(f"sha256 {info.sha256}")
        print(f"play it: nego play --scenario {out} --agents revealer boulware")
        return 0

    def _scenarios(self) -> Iterator[Scenario]:
        """With a progress bar where a person waits for many."""
        from nego_scenarios.generator import generate_many

        made = generate_many(
            self.count,
            seed=self.seed,
            split=self.split,
            theme=self.theme,
            seats=self.seats,
            issues=self.issues,
            options=self.options,
            stakes=self.stakes,
        )
        if self.count < 500 or not sys.stderr.isatty():
            yield from made
            return
        from rich.console import Console
        from rich.progress import track

        yield from track(made, "generating", total=self.count, console=Console(stderr=True), transient=True)

    def _flags(self) -> str:
        given = {
            k: getattr(self, k) for k in ("count", "seed", "split", "theme", "seats", "issues", "options", "stakes")
        }
        return "".join(f" --{k} {v}" for k, v in given.items() if v is not None)
