"""A key that tests use must show nowhere: not in a file, not in a byte of output.

1. `KEY` stands in the environment of the whole test run (NEGO_API_KEY), and of every process a test starts.
2. Searched for it: every file below pytest's temporary folder, when the last test is over; what each test printed and logged;
   what tests read of it themselves; the output of every process that a test waited for with `communicate`.
3. Found once, the run fails.
"""

from __future__ import annotations

import functools
import mmap
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KEY = "nk-7c1f0e9d2b3a4f5e6d7c8b9a"


class Search:
    """Where a key has been seen."""

    def __init__(self, key: str = KEY) -> None:
        self._text, self._bytes = key, key.encode()
        self.found: list[str] = []

    def words(self, said: object, where: str) -> None:
        """Look through text, bytes, or several of these."""
        if isinstance(said, (tuple, list)):
            for one in said:
                self.words(one, where)
        elif (isinstance(said, str) and self._text in said) or (isinstance(said, bytes) and self._bytes in said):
            self.found.append(where)

    def files(self, folder: Path) -> None:
        """Look through every file below a folder, and its name."""
        for path in folder.rglob("*"):
            if path.is_symlink():
                continue  # what it leads to is looked at where it is, or is none of ours
            self.words(path.name, f"the name of {path}")
            if path.is_file() and self._in_file(path):
                self.found.append(str(path))

    def _in_file(self, path: Path) -> bool:
        try:
            if not path.stat().st_size:
                return False
            with path.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as held:
                return held.find(self._bytes) >= 0
        except (OSError, ValueError):  # gone meanwhile, or unreadable on purpose
            return False

    def listen(self, patch: pytest.MonkeyPatch) -> None:
        """Look through what tests read of captured output, and through what processes said to them."""
        patch.setattr(pytest.CaptureFixture, "readouterr", self._heard(pytest.CaptureFixture.readouterr, "readouterr"))
        patch.setattr(subprocess.Popen, "communicate", self._heard(subprocess.Popen.communicate, "a process"))

    def _heard(self, method: Callable[..., Any], where: str) -> Callable[..., Any]:
        @functools.wraps(method)
        def listened(*args: Any, **options: Any) -> Any:
            result = method(*args, **options)
            self.words(tuple(result), f"{where} ({args[0]!r:.200})")
            return result

        return listened
