"""The `nego demo` command: a small language model before, while and after it learns to negotiate."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

NEEDED = ("torch", "transformers", "safetensors")
"""Packages without which no language model plays."""


@dataclass(frozen=True)
class Demo:
    """Watch a small language model learn to negotiate: before, training, after, and a table beside scripted negotiators.

    About five minutes on two slow cores, no GPU, no network. Without PyTorch, scripted negotiators alone.
    """

    examples: ClassVar[str] = """
  nego demo
  nego demo --quick
  nego demo --scripted
  nego demo --model runs/first/final --out runs/again
"""

    quick: bool = False
    """Under two minutes: less training, a smaller table, no pauses."""
    scripted: bool = False
    """Nobody is trained: scripted negotiators alone, in seconds."""
    model: str = "nego-tiny"
    """Which language model: nego-tiny, a folder, or a hub name; a larger one needs more time than a demo has."""
    seed: int = 0
    """Another seed, another run."""
    out: Path | None = None
    """Where everything goes; an unfinished demo that is there is gone on with. Default: a new folder under runs/."""
    pause: float = 0.7
    """Seconds between utterances, at a terminal."""
    json: bool = False
    """One JSON object at the end on stdout, nothing else there."""

    def run(self) -> int:
        """Returns 0, or 130 when it was interrupted."""
        from nego_env.errors import SettingsError

        if not (math.isfinite(self.pause) and self.pause >= 0):
            raise SettingsError(f"--pause is {self.pause:g}, it must be a number of seconds, at least 0")
        if self.seed < 0:
            raise SettingsError(f"--seed is {self.seed}, it must be at least 0")
        missing = [name for name in NEEDED if find_spec(name) is None]
        if self.scripted or missing:
            from nego_trainers.demo_scripted import scripted_demo

            note = "" if self.scripted else missing_note(missing)
            return scripted_demo(
                self.out, quick=self.quick, seed=self.seed, pause=self.pause, as_json=self.json, note=note
            )
        from nego_trainers.demo_loop import DemoLoop

        loop = DemoLoop(self.model, self.out, quick=self.quick, seed=self.seed, pause=self.pause, as_json=self.json)
        try:
            return loop.run()
        except KeyboardInterrupt:
            sys.stderr.write(f"nego: interrupted: {loop.kept()}\n")
            return 130


def missing_note(missing: list[str]) -> str:
    """Why only scripted negotiators play, and what to do about it."""
    return (
        f"Without {' and '.join(missing)} no language model can be trained: scripted negotiators alone.\n"
        "The whole demo: pip install 'nego-env[train]' (in a clone: make demo)"
    )
