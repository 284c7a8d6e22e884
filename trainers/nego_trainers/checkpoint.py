"""Checkpoints: safetensors and JSON in a folder that appears whole or not at all.

    OUT/checkpoints/step-000010/
        model/                  loads as a model: `nego play --agents hf:OUT/checkpoints/step-000010/model`
        optimizer.safetensors   the optimizer's tensors
        state.json              steps done, clock, counts, the optimizer's numbers

A folder is written under another name, flushed, and renamed. Nothing is ever pickled.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nego_env.errors import TranscriptError

if TYPE_CHECKING:
    import torch

FORMAT = "nego-checkpoint/1"


@dataclass(frozen=True)
class Progress:
    """How far a run has come."""

    step: int = 0
    """Steps done."""
    seconds: float = 0.0
    """On the clock, over every process that worked on it."""
    episodes: int = 0
    """Scored."""
    tokens: int = 0
    """Sampled and trained."""
    best_step: int | None = None
    best: float | None = None
    """Validation CA (or judged score) of the best checkpoint."""


def checkpoint_path(out: Path, step: int) -> Path:
    """`OUT/checkpoints/step-000010`."""
    return out / "checkpoints" / f"step-{step:06d}"


def checkpoints(out: Path) -> list[int]:
    """The steps of the checkpoints in a run's folder, oldest first."""
    found = (out / "checkpoints").glob("step-*/state.json")
    return sorted(int(p.parent.name.removeprefix("step-")) for p in found)


def save(
    out: Path,
    progress: Progress,
    save_model: Callable[[Path], None],
    optimizer: torch.optim.Optimizer | None,
    learner: dict[str, Any] | None = None,
) -> Path:
    """Writes the checkpoint of `progress.step`; one that is there already is kept. Raises `TranscriptError` when it cannot.
    `learner`: what the algorithm remembers, if anything."""
    target = checkpoint_path(out, progress.step)
    if target.exists():
        return target
    with whole_folder(target) as folder:
        save_model(folder / "model")
        numbers: Any = None
        if optimizer is not None:
            numbers = _save_optimizer(optimizer, folder / "optimizer.safetensors")
        state = {"format": FORMAT, "progress": asdict(progress), "optimizer": numbers}
        if learner:
            state["learner"] = learner
        (folder / "state.json").write_text(json.dumps(state, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return target


def load_progress(folder: Path) -> Progress:
    """How far the run of a checkpoint had come. Raises `TranscriptError` for a folder that is none."""
    return Progress(**{k: v for k, v in _state(folder)["progress"].items() if k in {f.name for f in fields(Progress)}})


def load_learner(folder: Path) -> dict[str, Any]:
    """What the algorithm remembered; empty where that was nothing."""
    found: dict[str, Any] = _state(folder).get("learner", {})
    return found


def load_optimizer(folder: Path, optimizer: torch.optim.Optimizer) -> None:
    """Puts a checkpoint's tensors and numbers into an optimizer over the same parameters."""
    from safetensors.torch import load_file

    numbers = _state(folder)["optimizer"]
    tensors = load_file(folder / "optimizer.safetensors")
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = tensor
    groups = [{**g, "betas": tuple(g["betas"])} if "betas" in g else g for g in numbers["param_groups"]]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _save_optimizer(optimizer: torch.optim.Optimizer, path: Path) -> dict[str, Any]:
    """Tensors into the file; the numbers are returned."""
    import torch
    from safetensors.torch import save_file

    state = optimizer.state_dict()
    tensors = {
        f"{number}.{key}": value.detach().contiguous() if torch.is_tensor(value) else torch.tensor(value)
        for number, entry in state["state"].items()
        for key, value in entry.items()
    }
    save_file(tensors, path)
    return {"param_groups": state["param_groups"]}


def _state(folder: Path) -> dict[str, Any]:
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TranscriptError(f"{folder}: no checkpoint: it has no state.json") from None
    except (OSError, ValueError) as e:
        raise TranscriptError(f"{folder / 'state.json'}: cannot be read: {e}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise TranscriptError(f"{folder / 'state.json'}: no checkpoint of this version ({FORMAT})")
    return state


def prune(out: Path, keep: int, *, besides: set[int]) -> None:
    """Removes all but the last `keep` checkpoints, those of `besides` and what a killed process left half written."""
    for step in checkpoints(out)[:-keep]:
        if step not in besides:
            remove(checkpoint_path(out, step))
    for leftover in (out / "checkpoints").glob(".*.partial"):
        shutil.rmtree(leftover, ignore_errors=True)


def remove(folder: Path) -> None:
    """Removes a folder; first under another name, so that half of one is never taken for a whole one."""
    aside = folder.with_name(f".{folder.name}.old.partial")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        os.replace(folder, aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def whole_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """A folder to write in that becomes `target` when the block ends, and goes when it raises. Raises `TranscriptError`
    where the disk does not take it."""
    temporary = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                _flush(path)
        if replace:
            remove(target)
        os.replace(temporary, target)
        _flush(target.parent)
    except OSError as e:
        shutil.rmtree(temporary, ignore_errors=True)
        raise TranscriptError(f"{target}: cannot be written: {e.strerror or e}") from None
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _flush(path: Path) -> None:
    """What was written is on the disk, not only with the operating system."""
    if os.name == "nt":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
