"""What a training step is described by, computed from its transcripts, and the file the descriptions go to.

`metrics.jsonl` holds one line per finished step, in order: a resumed run cuts what came after the checkpoint it goes on
from, so no step is missing and none is there twice.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nego_env.errors import TranscriptError
from nego_env.transcript import Transcript
from nego_trainers.collect import Group
from nego_trainers.outcomes import is_proposers_best, premature, statements, uninformed

Record = dict[str, Any]
"""One step: numbers by name, None where there is nothing to average."""


def describe_episodes(episodes: Iterable[Transcript]) -> Record:
    """Means over scored episodes.

    `reward` (of all seats), `ca` and `regret` (exact; scenarios without a zone of possible agreement left out), `agreement`,
    `rounds`; shares of the deals agreed on (`nego_trainers.outcomes` defines them): `premature`, first proposed before any
    information was exchanged, `uninformed`, with none in the whole dialogue, `own_best`, the best there is for the seat that
    proposed it; `truthful`, share of the scores stated in words that are the speaker's own; `unscored`, a count.
    """
    scored: list[Transcript] = []
    unscored = 0
    for t in episodes:
        if t.scored:
            scored.append(t)
        else:
            unscored += 1
    outcomes = [t.outcome for t in scored]
    deals = [t for t in scored if t.deal is not None]
    exact = [o for o in outcomes if o.ca is not None]
    return {
        "reward": _mean(sum(t.rewards) / len(t.rewards) for t in scored if t.rewards),
        "ca": _mean(o.ca for o in exact if o.ca is not None),
        "regret": _mean(o.regret for o in exact if o.regret is not None),
        "agreement": _mean(float(o.agreed) for o in outcomes),
        "rounds": _mean(float(o.rounds) for o in outcomes),
        "premature": _mean(float(premature(t)) for t in deals),
        "uninformed": _mean(float(uninformed(t)) for t in deals),
        "own_best": _mean(float(is_proposers_best(t)) for t in deals),
        "truthful": _mean(float(s.true) for t in scored for s in statements(t)),
        "unscored": unscored,
    }


def describe_groups(groups: Sequence[Group]) -> Record:
    """`describe_episodes`, and means over groups: `reward_min`, `reward_max` (of the group's worst and best episode) and
    `zero_variance` (share of groups whose rewards are all equal)."""
    lows, highs = [], []
    for g in groups:
        rewards = np.concatenate([g.rewards(seat) for seat in g.learners])
        rewards = rewards[~np.isnan(rewards)]
        if len(rewards):
            lows.append(float(rewards.min()))
            highs.append(float(rewards.max()))
    return describe_episodes(e.transcript for g in groups for e in g.episodes) | {
        "reward_min": _mean(lows),
        "reward_max": _mean(highs),
        "zero_variance": _mean(float(g.uniform) for g in groups),
    }


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return math.fsum(found) / len(found) if found else None


class MetricsFile:
    """`metrics.jsonl`, held open by the one process that trains."""

    def __init__(self, path: Path, step: int) -> None:
        """Opens it for the records after `step`; later ones, and a torn last line, are cut."""
        self.path = path
        self.records = [r for r in read_metrics(path) if r["step"] <= step]
        text = "".join(_line(r) for r in self.records)
        try:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                _replace(path, text)
            self._file = path.open("a", encoding="utf-8")
        except OSError as e:
            raise TranscriptError(f"{path}: cannot be written: {e.strerror}") from None

    def write(self, record: Record) -> None:
        """Appends a step; on disk before this returns."""
        self.records.append(record)
        try:
            self._file.write(_line(record))
            self._file.flush()
        except OSError as e:
            raise TranscriptError(f"{self.path}: cannot be written: {e.strerror}") from None

    def close(self) -> None:
        """Releases the file."""
        self._file.close()


def read_metrics(path: str | Path) -> list[Record]:
    """Every record of a `metrics.jsonl`, in order; none where there is no file. A torn last line is passed over. Raises
    `TranscriptError` for a line that is no record."""
    path = Path(path)
    if not path.exists():
        return []
    found: list[Record] = []
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as e:
            if number == len(lines):
                break
            raise TranscriptError(f"{path}:{number}: {e}") from None
        if not isinstance(record, dict) or not isinstance(record.get("step"), int):
            raise TranscriptError(f"{path}:{number}: no record of a step")
        found.append(record)
    return found


def _line(record: Record) -> str:
    return json.dumps(rounded(record), sort_keys=True) + "\n"


def rounded(record: Record) -> Record:
    """The record as JSON holds it: 6 digits, None for what is no number."""
    return {k: _rounded(v) for k, v in record.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return rounded(value)
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def moving(values: Sequence[float | None], width: int) -> list[float]:
    """The mean of each value and up to `width` - 1 before it, over those that are there; nan where none is."""
    found = []
    for i in range(len(values)):
        window = [v for v in values[max(0, i - width + 1) : i + 1] if v is not None]
        found.append(math.fsum(window) / len(window) if window else math.nan)
    return found


def column(
    records: Sequence[Record], name: str, convert: Callable[[Any], float | None] = lambda v: v
) -> list[float | None]:
    """One figure of every record."""
    return [convert(r.get(name)) for r in records]
