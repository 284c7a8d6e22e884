"""Transcripts on disk: one line per episode, written as episodes finish, read lazily.

1. A line is on disk (handed to the operating system) before the next episode is reported finished: killing the process
   loses nothing that was finished.
2. A torn last line, what a kill in the middle of a write leaves, is skipped by readers with a note and cut by writers.
3. A line carries its `attempt`; a scored one is final, an unscored one may be followed by another attempt.
4. One writer at a time: the file itself is locked, and the lock dies with the process.
5. `FILE.meta.jsonl` holds clocks, costs, finish reasons, hosts and versions: never needed to understand an episode.
6. `FILE.tokens.jsonl` (`nego_env.tokens`) is written where it is asked for.
7. A writer that made its file and wrote no episode to it takes it away again, with the sidecars and folders it made.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from nego_env.errors import TranscriptError
from nego_env.tokens import EpisodeTokens, tokens_path
from nego_env.transcript import FORMAT, Transcript, decode

_OPENING = b'{"format":"nego/'
"""How every line of ours begins, whatever the version."""


class TurnMeta(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one utterance was made."""

    seat: str
    seconds: float
    finish_reason: str | None = None
    usage: dict[str, int] = {}


class EpisodeMeta(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the sidecar: what is true of this run of an episode and of no other."""

    id: str
    attempt: int
    started: str
    """UTC, ISO 8601."""
    seconds: float
    turns: tuple[TurnMeta, ...] = ()
    host: str = ""
    versions: dict[str, str] = {}


def meta_path(path: Path) -> Path:
    """`FILE.meta.jsonl`."""
    return path.with_name(path.name + ".meta.jsonl")


class TranscriptFile:
    """A transcript file for reading: `len(f)`, `f[i]`, iteration. Lines are decoded when asked for.

    Raises `TranscriptError` naming the file (and line) for one that is missing, empty, no transcript, or of a newer version.
    `notes` says what was passed over.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.notes: list[str] = []
        self._spans: list[tuple[int, int, int]] = []  # line number, byte offset, length
        self._scan()

    def _scan(self) -> None:
        at = number = 0
        with _open_for_reading(self.path) as f:
            for number, line in enumerate(f, 1):
                if line.strip():
                    self._spans.append((number, at, len(line)))
                at += len(line)
        if not self._spans:
            raise TranscriptError(f"{self.path}: empty: there is no transcript in it")
        last, _, size = self._spans[-1]
        tail = self._raw(len(self._spans) - 1)
        if not tail.endswith(b"\n") and _torn(tail):
            if len(self._spans) == 1 and not _opens_like_ours(tail):
                self[0]  # not one of ours at all: the full message is better than a note
            self._spans.pop()
            self.notes.append(f"{self.path}:{last}: the last line is cut off ({size} bytes) and was passed over")
            if not self._spans:
                raise TranscriptError(f"{self.path}: its only line is cut off: there is no finished episode in it")

    def _raw(self, i: int) -> bytes:
        _, at, size = self._spans[i]
        with _open_for_reading(self.path) as f:
            f.seek(at)
            return f.read(size)

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, i: int) -> Transcript:
        return decode(self._raw(i), f"{self.path}:{self._spans[i][0]}")

    def __iter__(self) -> Iterator[Transcript]:
        with _open_for_reading(self.path) as f:
            for number, at, size in self._spans:
                f.seek(at)
                yield decode(f.read(size), f"{self.path}:{number}")


def read(path: str | Path) -> Iterator[Transcript]:
    """Every transcript of a file, in the order written; a torn last line is passed over."""
    return iter(TranscriptFile(path))


def read_final(path: str | Path) -> list[Transcript]:
    """One transcript per episode, by index: the scored attempt where there is one, else the last."""
    best: dict[str, Transcript] = {}
    for t in read(path):
        if t.id not in best or not best[t.id].scored:
            best[t.id] = t
    return sorted(best.values(), key=lambda t: t.index)


class Progress(msgspec.Struct, frozen=True):
    """What a file holds of one episode."""

    id: str
    next_attempt: int
    """The attempt to play next: one more than the last, or the same again when that one was interrupted or out of budget."""
    scored: bool


class TranscriptWriter:
    """The one writer of a transcript file: locks it, cuts a torn last line, appends. Use as a context manager.

    `expected(index)` is the id that episode `index` has in the run about to be written; a file with other ids holds another
    run and is refused with a `TranscriptError` that says what it holds.
    """

    def __init__(self, path: str | Path, expected: Callable[[int], str] | None = None, *, tokens: bool = False) -> None:
        """`tokens`: also write the token file."""
        self.path = Path(path)
        self.notes: list[str] = []
        self.done: dict[int, Progress] = {}
        """By index: what the file holds already."""
        self._made: list[Path] = []
        self._made_folders: list[Path] = []
        self._sidecars = [meta_path(self.path), *([tokens_path(self.path)] if tokens else [])]
        self._open = contextlib.ExitStack()  # closes the rest when one cannot be closed
        self._file = self._open.enter_context(self._lock())
        self._open.callback(self._take_away)  # with the sidecars closed and the lock still held
        try:
            self._resume(expected)
            self._meta = self._open.enter_context(meta_path(self.path).open("ab", buffering=0))
            self._tokens = self._open.enter_context(_open_tokens(tokens_path(self.path))) if tokens else None
        except OSError as e:
            self.close()
            raise TranscriptError(f"{e.filename or self.path}: cannot be written: {e.strerror}") from None
        except BaseException:
            self.close()
            raise

    def _lock(self) -> FileIO:
        """The file, open and locked. Between opening and locking, a writer before may have taken its empty file away (and the
        folder, between making and opening): then another one is made."""
        why = "it is taken away again and again"
        for _ in range(10):
            self._made_folders = [f for f in self.path.parents if not f.exists()]
            self._made = [f for f in (*self._sidecars, self.path) if not f.exists()]
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                file = self.path.open("a+b", buffering=0)
            except FileNotFoundError as e:
                why = str(e.strerror)
                continue
            except OSError as e:
                _remove_folders(self._made_folders)
                raise TranscriptError(f"{self.path}: cannot be written: {e.strerror}") from None
            if not try_lock(file):
                file.close()
                raise TranscriptError(
                    f"{self.path}: another process is writing to it; wait for it, or give another --out"
                )
            if _is_at(file, self.path):
                return file
            file.close()
        _remove_folders(self._made_folders)
        raise TranscriptError(f"{self.path}: cannot be written: {why}")

    def _resume(self, expected: Callable[[int], str] | None) -> None:
        size = self.path.stat().st_size
        if size == 0:
            return
        keep = 0
        with self.path.open("rb") as f:
            for number, line in enumerate(f, 1):
                if line.endswith(b"\n"):
                    if line.strip():
                        self._note(decode(line, f"{self.path}:{number}"), number, expected)
                    keep += len(line)
                elif not _torn(line):  # it lacks nothing but its newline
                    self._note(decode(line, f"{self.path}:{number}"), number, expected)
                    self._file.write(b"\n")
                    return
        if keep < size:
            if not self.done and not _opens_like_ours(line):
                raise TranscriptError(f"{self.path}: not a transcript file; it is left as it is: give another --out")
            if newer := _newer(line):
                raise TranscriptError(f"{self.path}: {newer}; it is left as it is: give another --out")
            os.truncate(self.path, keep)
            self.notes.append(f"{self.path}: cut {size - keep} bytes of an unfinished last line")

    def _note(self, t: Transcript, number: int, expected: Callable[[int], str] | None) -> None:
        if expected is not None and expected(t.index) != t.id:
            raise TranscriptError(
                f"{self.path}:{number}: holds another run (episode {t.index} there: scenario {t.scenario.id!r}, seed {t.seed}, "
                f"agents {' '.join(t.agents)}, judge {t.settings.judge}); nothing was changed: give another --out"
            )
        if t.index in self.done and self.done[t.index].scored:
            return
        again = t.attempt if t.stop.value in ("interrupted", "budget") else t.attempt + 1
        self.done[t.index] = Progress(t.id, again, t.scored)

    def write(self, t: Transcript, meta: EpisodeMeta | None = None, tokens: EpisodeTokens | None = None) -> None:
        """Append one episode: its tokens, where they are written, then the transcript, then its line in the sidecar. Raises
        `TranscriptError` when there is no room, and leaves no half line behind."""
        if self._tokens is not None and tokens is not None:
            _append(self._tokens, tokens_path(self.path), msgspec.json.encode(tokens) + b"\n")
        _append(self._file, self.path, t.encode() + b"\n")
        if meta is not None:
            _append(self._meta, meta_path(self.path), msgspec.json.encode(meta) + b"\n")

    def close(self) -> None:
        """Release the file. Closing twice does no harm."""
        self._open.close()

    def _take_away(self) -> None:
        """What was made and holds nothing, if no episode was written to a file that was not there before."""
        if self.path not in self._made or os.fstat(self._file.fileno()).st_size or not _is_at(self._file, self.path):
            return
        for made in self._made:
            if made == self.path and sys.platform == "win32":
                self._file.close()  # Windows takes no open file away, so none that somebody has opened since
            with contextlib.suppress(OSError):
                if made.stat().st_size == 0:
                    made.unlink()
        _remove_folders(self._made_folders)

    def __enter__(self) -> TranscriptWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _append(file: FileIO, path: Path, line: bytes) -> None:
    """A whole line or none of it. Raises `TranscriptError`."""
    end = file.seek(0, os.SEEK_END)
    try:
        rest = memoryview(line)
        while rest:  # an unbuffered file may take less than it is given
            rest = rest[file.write(rest) :]
    except OSError as e:
        with contextlib.suppress(OSError):
            file.truncate(end)
        raise TranscriptError(f"{path}: cannot be written: {e.strerror}; episodes before this one are kept") from None


def _is_at(file: FileIO, path: Path) -> bool:
    """The path still leads to the open file. Where the system cannot tell, it does."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _remove_folders(folders: list[Path]) -> None:
    """The innermost first, as long as nothing is in them."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _open_tokens(path: Path) -> FileIO:
    """The token file for appending, a torn last line cut."""
    if path.exists():
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)
    return path.open("ab", buffering=0)


def _torn(line: bytes) -> bool:
    """A line cut short: an object that lacks its end is no JSON. A whole line that cannot be read is another matter."""
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    return False


def _opens_like_ours(line: bytes) -> bool:
    head = line[: len(_OPENING)]
    return head == _OPENING[: len(head)]


def _newer(torn: bytes) -> str:
    """Why a torn line is not ours to cut: it names another format version in full. Else nothing."""
    named = re.match(rb'\{"format":"([^"]*)"', torn)
    return (
        ""
        if named is None or named[1] == FORMAT.encode()
        else f"unknown format {named[1][:40].decode(errors='replace')!r}"
    )


def _open_for_reading(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except IsADirectoryError:
        raise TranscriptError(f"{path}: is a folder, not a transcript file") from None
    except FileNotFoundError:
        raise TranscriptError(f"{path}: no such file") from None
    except OSError as e:
        raise TranscriptError(f"{path}: cannot be read: {e.strerror}") from None


def try_lock(file: Any) -> bool:
    """An exclusive lock on the open file; the operating system drops it when the process ends, however it ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(2**40)  # a byte nobody writes: Windows locks would keep readers out of a real one
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
