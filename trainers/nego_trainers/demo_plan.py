"""How long the demo trains: measured on the machine at hand, so that everything ends in time."""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from nego_env.errors import SettingsError, TranscriptError
from nego_trainers.settings import GRPOSettings

FORMAT = "nego-demo/1"
FILE = "demo.json"


class Size(NamedTuple):
    """What a demo is to take."""

    seconds: float
    """For everything, from the first line to the last."""
    scenarios: int
    """Held-out dilemmas in the table, each in both seatings; fewer on a machine that is slow."""


FULL, QUICK = Size(285.0, 100), Size(105.0, 60)
"""Under five and under two minutes."""

PROBE_GROUPS, PROBE_STEPS = 4, 2
"""The probe plays and learns from so many groups, so many times; the last time is taken, the first one warms up."""
ENOUGH_STEPS = 25
"""Where the time is too short for so many updates, each is made from fewer dialogues."""
LEAST_GROUPS = 4
LEAST_STEPS, LEAST_SECONDS = 4, 5.0
"""Of training, however late it is."""
EVALUATION_SHARE = 0.12
"""Of the whole time, for the model's two evaluations."""
LEAST_SCENARIOS = 12
CLOSING, CLOSING_SHARE = 8.0, 0.2
"""Seconds for loading and saving models, the picture of the curves, and the table; at least this share of what everything
before the training took, which tells how slow the machine is."""


@dataclass(frozen=True)
class Speed:
    """What the probe measured."""

    step: float
    """Seconds for playing `PROBE_GROUPS` groups and one update from them."""
    episode: float
    """Seconds of playing, per episode."""
    tokens_per_second: float
    """Sampled while playing."""


@dataclass(frozen=True)
class Plan:
    """What the rest of the demo does."""

    minutes: float
    """Of training."""
    groups: int
    """Scenarios an update."""
    steps: int
    """About so many updates fit."""
    scenarios: int
    """Held-out dilemmas."""
    speed: Speed

    def settings(self, base: GRPOSettings) -> GRPOSettings:
        """The options of the training run."""
        return replace(base, groups=self.groups, minutes=self.minutes, steps=None)


def probe(base: GRPOSettings) -> Speed:
    """Plays a little and learns from it, in a folder that goes again."""
    from nego_trainers.grpo import train

    small = replace(base, groups=min(PROBE_GROUPS, base.groups), steps=PROBE_STEPS, minutes=None, save_every=10**6)
    with tempfile.TemporaryDirectory(prefix="nego-probe-") as folder:
        outcome = train(small, Path(folder) / "run")
    if outcome.interrupted:
        raise KeyboardInterrupt
    last = outcome.metrics[-1]
    episodes = small.groups * small.group_size
    scale = PROBE_GROUPS / small.groups
    return Speed(last["seconds"] * scale, last["seconds"] * last["rollout_share"] / episodes, last["tokens_per_second"])


def table_size(size: Size, speed: Speed) -> int:
    """Held-out dilemmas for the table: two seatings, before and after."""
    room = EVALUATION_SHARE * size.seconds / (4 * max(speed.episode, 1e-9))
    return max(min(LEAST_SCENARIOS, size.scenarios), min(size.scenarios, math.floor(room)))


def plan(base: GRPOSettings, size: Size, speed: Speed, *, scenarios: int, spent: float, reserved: float) -> Plan:
    """`spent`: seconds gone; `reserved`: seconds that what comes after the training will take, the closing not among them."""
    group = speed.step / PROBE_GROUPS
    closing = max(CLOSING, CLOSING_SHARE * spent)
    left = max(size.seconds - spent - reserved - closing, LEAST_STEPS * LEAST_GROUPS * group, LEAST_SECONDS)
    groups = min(base.groups, max(LEAST_GROUPS, math.floor(left / (ENOUGH_STEPS * group))))
    return Plan(left / 60, groups, max(1, math.floor(left / (groups * group))), scenarios, speed)


# ---------------------------------------------------------------- on disk
def identity(model: str, *, quick: bool, seed: int) -> dict[str, Any]:
    """What makes a demo this one and not another."""
    return {"model": model, "quick": quick, "seed": seed}


def read_plan(folder: Path, wanted: dict[str, Any]) -> Plan | None:
    """The plan of the unfinished demo in a folder; None in a new or empty one, or where it was not made yet. Raises
    `SettingsError` for a folder that holds another demo, or something else."""
    file = folder / FILE
    if not file.exists():
        if folder.exists() and (not folder.is_dir() or os.listdir(folder)):
            raise SettingsError(f"--out {folder} is there and holds no demo; give another, or an empty folder")
        return None
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        if held["format"] != FORMAT:
            raise SettingsError(f"{file}: of another version; this reads {FORMAT}")
        there = held["identity"]
        made = held["plan"]
        found = None if made is None else Plan(**{**made, "speed": Speed(**made["speed"])})
    except (OSError, ValueError, KeyError, TypeError) as e:
        if isinstance(e, SettingsError):
            raise
        raise SettingsError(f"{file}: cannot be read: {e!r}; give another --out") from None
    differ = [f"{k} {there.get(k)} there, {v} here" for k, v in wanted.items() if there.get(k) != v]
    if differ:
        raise SettingsError(f"--out {folder} holds another demo ({', '.join(differ)}); nothing was changed")
    return found


def write_plan(folder: Path, wanted: dict[str, Any], found: Plan | None) -> None:
    """Writes `FILE`. Raises `TranscriptError` where it cannot be."""
    held = {"format": FORMAT, "identity": wanted, "plan": None if found is None else asdict(found)}
    save_json(folder / FILE, held)


def save_json(path: Path, value: Any) -> None:
    """Writes a file, whole or not at all. Raises `TranscriptError` where it cannot be."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as e:
        raise TranscriptError(f"{path}: cannot be written: {e.strerror}") from None
