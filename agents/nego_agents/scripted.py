"""An agent that says what it was given to say: for tests, demonstrations and replays."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from nego_env.errors import AgentError
from nego_env.moves import Move, tag
from nego_env.scenario import Scenario
from nego_env.view import View


class ScriptedAgent:
    """Says its lines in turn, and raises `AgentError` when it has none left."""

    name = "scripted"

    def __init__(self, lines: Sequence[str | Move] | str | Path | None = None, *, repeat: bool = False) -> None:
        """`lines` in order, or a text file (UTF-8) with one a line, blank ones skipped. `repeat` starts over at the end.

        Raises `AgentError` for a file that cannot be read, and for no lines at all.
        """
        self._file = str(lines) if isinstance(lines, (str, Path)) else None
        self.lines = _read(Path(lines)) if isinstance(lines, (str, Path)) else tuple(lines or ())
        self.repeat = repeat
        self.position = 0
        """How many lines it has said."""
        if not self.lines:
            where = f"{self._file} holds none" if self._file else "found none"
            raise AgentError(
                f"scripted needs its lines, {where}: scripted:FILE with one message a line, or ScriptedAgent([...])"
            )
        for line in self.lines:
            if not isinstance(line, (str, Move)):
                raise AgentError(f"scripted: a line is a str or a Move, found {type(line).__name__}")

    @property
    def spec(self) -> str:
        """`scripted:FILE`, or `scripted#` and a digest of the lines: other lines are another agent."""
        if self._file is not None:
            return f"{self.name}:{self._file}"
        text = "\0".join(x if isinstance(x, str) else f"{x.text}\1{tag(x.act) if x.act else ''}" for x in self.lines)
        return f"{self.name}#{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"

    def spawn(self, seat: str, scenario: Scenario) -> Self:
        """The same lines from the first one, for one episode and seat."""
        fresh = copy.copy(self)
        fresh.position = 0
        return fresh

    def act(self, view: View) -> str | Move:
        """The next line. Raises `AgentError` when there is none."""
        if self.position >= len(self.lines) and not self.repeat:
            raise AgentError(f"scripted ran out of lines after {len(self.lines)}: give more, or repeat=True")
        line = self.lines[self.position % len(self.lines)]
        self.position += 1
        return line

    def close(self) -> None:
        """Nothing to let go of."""


def _read(path: Path) -> tuple[str | Move, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise AgentError(f"scripted: {path} cannot be read: {e.strerror or e}") from None
    except ValueError as e:
        raise AgentError(f"scripted: {path} is not a UTF-8 text file: {e}") from None
    return tuple(line for line in text.splitlines() if line.strip())
