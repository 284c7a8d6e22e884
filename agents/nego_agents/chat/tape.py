"""Exchanges with a model on file, for tests and demonstrations that ask nobody.

    Recorded(backend, "judge.tape.jsonl")     # asks, and writes down each exchange
    Replayed("judge.tape.jsonl")              # answers from the file, to the same questions

A question asked several times is answered in the order it was answered when recorded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec.structs import replace

from nego_env.backend import Answer, Backend, Sampling
from nego_env.errors import BackendError, SettingsError
from nego_env.messages import Message


class Exchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the file."""

    backend: str
    messages: tuple[Message, ...]
    sampling: Sampling
    answer: Answer

    @property
    def key(self) -> bytes:
        """What makes two questions the same."""
        return sha256(msgspec.json.encode((self.messages, self.sampling))).digest()


class Recorded:
    """A backend whose exchanges are written down, appended to a file as they happen."""

    def __init__(self, backend: Backend, path: str | Path) -> None:
        self.backend, self.path, self.name = backend, Path(path), backend.name

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling = Sampling(),  # noqa: B008  # frozen
        *,
        session: str = "",
        watch: Callable[[str], None] | None = None,
    ) -> Answer:
        """As the backend itself."""
        answer = await self.backend.complete(messages, sampling, session=session, watch=watch)
        line = msgspec.json.encode(Exchange(self.name, tuple(messages), sampling, answer)) + b"\n"
        with self.path.open("ab") as f:
            f.write(line)
        return answer

    async def aclose(self) -> None:
        """Closes the backend."""
        await self.backend.aclose()


class Replayed:
    """Answers from a file. Raises `SettingsError` for a file that is none of these."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._answers: dict[bytes, deque[Answer]] = {}
        self.name = f"tape:{self.path.stem}"
        for exchange in _read(self.path):
            self.name = exchange.backend
            self._answers.setdefault(exchange.key, deque()).append(exchange.answer)

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling = Sampling(),  # noqa: B008  # frozen
        *,
        session: str = "",
        watch: Callable[[str], None] | None = None,
    ) -> Answer:
        """The recorded answer; the last one again where more is asked than was recorded. Raises `BackendError` for a question
        that was not recorded."""
        answers = self._answers.get(Exchange(self.name, tuple(messages), sampling, Answer("")).key)
        if answers is None:
            asked = messages[-1].content[:80] if messages else ""
            raise BackendError(f"{self.path.name} holds no answer to this question: record it again ({asked!r} ...)")
        answer = answers.popleft() if len(answers) > 1 else answers[0]
        if watch is not None:
            watch(answer.text)
        return replace(answer, tries=0, cost=None)

    async def aclose(self) -> None:
        """Nothing to close."""


def _read(path: Path) -> list[Exchange]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as e:
        raise SettingsError(f"{path}: the recording cannot be read: {e.strerror}") from None
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(msgspec.json.decode(line, type=Exchange))
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            raise SettingsError(f"{path}:{number}: no recorded exchange: {e}") from None
    return found
