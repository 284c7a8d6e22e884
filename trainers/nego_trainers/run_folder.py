"""The folder of a run: whose it is, and that one process at a time works in it.

OUT/run.json            the options, what trains, versions
OUT/metrics.jsonl       a line a step          OUT/validation.jsonl  a line a look
OUT/rollouts/           transcripts and tokens of every step
OUT/checkpoints/        see `nego_trainers.checkpoint`
OUT/final, OUT/best     models, for `hf:OUT/best`
OUT/curves.png
"""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nego_env.errors import SettingsError, TranscriptError
from nego_env.store import try_lock
from nego_trainers.settings import GRPOSettings

FORMAT = "nego-train/1"
SHOWN_DIFFERENCES = 4


class RunFolder:
    """A run's folder, locked while it is open."""

    def __init__(self, path: Path, settings: GRPOSettings, facts: dict[str, Any] | None = None) -> None:
        """Opens the folder, new or of the same run. Raises `SettingsError` for one that holds another run or something
        else, and `TranscriptError` for one that another process trains in or that cannot be written.

        `facts` stand in run.json beside the options; some of them (`identity`) also tell runs apart.
        """
        self.path = path
        facts = dict(facts or {})
        self._identity = {**settings.identity(), **facts.pop("identity", {})}
        self._check(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / "run.lock").open("a+b")
        except OSError as e:
            raise TranscriptError(f"{path}: cannot be written: {e.strerror}") from None
        if not try_lock(self._lock):
            self._lock.close()
            raise TranscriptError(f"{path}: another process is training there; wait for it, or give another --out")
        self.resumed = (path / "run.json").exists()
        record = {"format": FORMAT, "identity": self._identity, "options": settings.to_json(), **facts}
        record |= {"versions": _versions(), "host": platform.node()}
        _write(path / "run.json", json.dumps(record, indent=1, sort_keys=True) + "\n")

    def _check(self, path: Path) -> None:
        held = path / "run.json"
        if not held.exists():
            if path.exists() and (not path.is_dir() or set(os.listdir(path)) - {"run.lock"}):
                raise SettingsError(
                    f"--out {path} is there and holds no training run; give another, or an empty folder"
                )
            return
        there = {"algorithm": "grpo", **read_run(path)["identity"]}  # one that names none is older than the others
        differ = [k for k in sorted(self._identity) if there.get(k) != self._identity[k]]
        if differ:
            told = ", ".join(
                f"{k.replace('_', '-')} {_told(there.get(k))} there, {_told(self._identity[k])} here"
                for k in differ[:SHOWN_DIFFERENCES]
            )
            more = f", and {len(differ) - SHOWN_DIFFERENCES} more" if len(differ) > SHOWN_DIFFERENCES else ""
            raise SettingsError(
                f"--out {path} holds another run ({told}{more}); nothing was changed: give another --out"
            )

    def close(self) -> None:
        """Lets others in."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_run(path: Path) -> dict[str, Any]:
    """The `run.json` of a folder. Raises `SettingsError` where there is none that can be read."""
    file = path / "run.json"
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no training run: it has no run.json") from None
    except (OSError, ValueError) as e:
        raise SettingsError(f"{file}: cannot be read: {e}") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT or not isinstance(record.get("identity"), dict):
        raise SettingsError(f"{file}: of another version; this reads {FORMAT}")
    return record


def _told(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "default" if value is None else str(value)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("nego-env", "torch", "transformers", "trl", "peft", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
