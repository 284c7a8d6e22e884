"""Folders that a command writes."""

from __future__ import annotations

from pathlib import Path


def new_folder(out: Path) -> Path:
    """`out`, where nothing is in the way. Raises `SettingsError` for a file and for a folder that holds something."""
    from nego_env.errors import SettingsError

    if out.exists() and not out.is_dir():
        raise SettingsError(f"--out {out}: is a file; a pack is a folder")
    if out.is_dir() and any(out.iterdir()):
        raise SettingsError(f"--out {out}: is not empty, and nothing there is overwritten; give another folder")
    return out
