"""Answers kept on disk, found by what was asked.

1. An entry is named by a hash of the server and the request; the request stands in it too. Keys are in neither.
2. An entry is written whole under another name and then moved to its own, so that any number of processes can read and
   write one cache; one that cannot be read counts as missing.
3. Questions that are alike and asked at the same time are one call.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec.structs import replace

from nego_env.backend import Answer
from nego_env.errors import SettingsError

_FORMAT = "nego-chat-cache/1"


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    server: str
    request: msgspec.Raw
    answer: Answer


def usual_folder() -> Path:
    """NEGO_CACHE_DIR, or the place for caches of this user."""
    named = os.environ.get("NEGO_CACHE_DIR", "")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nego-env" / "chat"


class Cache:
    """One folder of answers."""

    def __init__(self, folder: Path) -> None:
        """Raises `SettingsError` where it cannot be made."""
        self.folder = folder
        self._asked: dict[str, asyncio.Future[Answer]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise SettingsError(f"{folder}: the cache cannot be made there: {e.strerror}; set NEGO_CACHE_DIR") from None

    async def answer(self, server: str, request: bytes, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer kept, or else the one `ask` brings, which is then kept. Raises what it raises."""
        name = sha256(b"\n".join((_FORMAT.encode(), server.encode(), request))).hexdigest()
        key = f"{name}@{id(asyncio.get_running_loop())}"
        while (asked := self._asked.get(key)) is not None:
            with suppress(asyncio.CancelledError, Exception):
                return replace(await asyncio.shield(asked), cached=True, tries=0, cost=None)
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError
        if (kept := self._read(name, server, request)) is not None:
            return replace(kept, cached=True, tries=0, cost=None)
        asked = self._asked[key] = asyncio.get_running_loop().create_future()
        try:
            found = await ask()
        except BaseException as e:
            asked.cancel()  # those who waited ask for themselves
            raise e
        else:
            self._write(name, _Entry(_FORMAT, server, msgspec.Raw(request), found))
            asked.set_result(found)
            return found
        finally:
            del self._asked[key]

    def _path(self, name: str) -> Path:
        return self.folder / name[:2] / f"{name}.json"

    def _read(self, name: str, server: str, request: bytes) -> Answer | None:
        try:
            entry = msgspec.json.decode(self._path(name).read_bytes(), type=_Entry)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return entry.answer if (entry.server, bytes(entry.request)) == (server, request) else None

    def _write(self, name: str, entry: _Entry) -> None:
        """A cache that cannot be written costs the entry only."""
        path = self._path(name)
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
            try:
                with os.fdopen(handle, "wb") as f:
                    f.write(msgspec.json.encode(entry))
                os.replace(temporary, path)
            except OSError:
                os.unlink(temporary)
                raise
