"""Files of a run that stopped before there was anything to write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nego_env.store import meta_path
from nego_env.tokens import tokens_path


@contextmanager
def nothing_empty(path: Path) -> Iterator[None]:
    """Takes away a transcript file, and what stands beside it, where it was made meanwhile and nothing was written to it; its
    folder too, where that is new and empty."""
    before = path.exists()
    folders = [f for f in path.parents if not f.exists()]
    try:
        yield
    finally:
        if not before:
            remove_empty(path)
            _remove_folders(folders)


@contextmanager
def nothing_empty_in(folder: Path) -> Iterator[None]:
    """The same for every transcript file of a folder."""
    before = _transcripts(folder)
    folders = [f for f in (folder, *folder.parents) if not f.exists()]
    try:
        yield
    finally:
        for path in _transcripts(folder) - before:
            remove_empty(path)
        _remove_folders(folders)


def _transcripts(folder: Path) -> set[Path]:
    return {p for p in folder.glob("*.jsonl") if not p.name.endswith((".meta.jsonl", ".tokens.jsonl"))}


def remove_empty(path: Path) -> None:
    """Takes away a transcript file without a transcript."""
    with suppress(OSError):
        if path.stat().st_size == 0:
            for file in (meta_path(path), tokens_path(path)):
                if file.exists() and file.stat().st_size == 0:
                    file.unlink()
            path.unlink()


def _remove_folders(folders: list[Path]) -> None:
    """The innermost first, as long as nothing is in them."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
