"""A question put to a model until the answer can be read: once, and once more with the fault named. Never a guess."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from nego_agents.judging.framing import escaped
from nego_agents.judging.prompting import Prompt
from nego_env.backend import Answer, Backend, Sampling
from nego_env.errors import BackendError, JudgeError, RunError
from nego_env.messages import Message
from nego_env.safe_text import visible

T = TypeVar("T")
GIVE_UP = 10
"""So many questions in a row without an answer that can be read are taken for a model that cannot judge."""
_QUOTED = 80
_SHOWN = 2000
"""Most characters of its own answer that a model is shown when it is asked again."""
_DEFAULT = Sampling(temperature=0.0, max_tokens=1024)


class Unreadable(Exception):
    """An answer that is not in the form asked for. The message is the fault, in words of ours alone."""


class Found(NamedTuple, Generic[T]):
    """What an answer was read as."""

    value: T
    reason: str
    raw: str
    again: bool
    """It took a second question."""


Reader = Callable[[str], tuple[T, str]]
"""Words to a value and a reason. Raises `Unreadable`."""


def judging_sampling(backend: Backend) -> Sampling:
    """Greedy, unless the backend's name says otherwise: `openai:MODEL@URL,temperature=1,max_tokens=4000,reasoning=low`."""
    named = getattr(getattr(backend, "options", None), "sampling", None)
    if not isinstance(named, Sampling):
        return _DEFAULT
    return Sampling(
        temperature=named.temperature or 0.0,
        top_p=named.top_p,
        max_tokens=named.max_tokens or _DEFAULT.max_tokens,
        seed=named.seed,
        reasoning=named.reasoning,
    )


class Asker:
    """Asks one backend, and counts the questions it was not answered."""

    def __init__(self, backend: Backend, sampling: Sampling, name: str) -> None:
        self.backend, self.sampling, self.name = backend, sampling, name
        self._unread = 0

    async def ask(self, prompt: Prompt, messages: tuple[Message, ...], read: Reader[T]) -> Found[T]:
        """What the model answers. Raises `JudgeError` for an answer that cannot be read the second time either, or that does not
        come; `RunError` when that has become a habit, and what else the backend raises for a whole run."""
        answer = await self._complete(messages)
        try:
            found: Found[T] = _read(answer, read, again=False)
        except Unreadable as fault:
            said = Message("assistant", escaped(answer.text[:_SHOWN]) or "(nothing)")  # it may repeat what it read
            answer = await self._complete((*messages, said, prompt.asked_again(str(fault))))
            try:
                found = _read(answer, read, again=True)
            except Unreadable as second:
                raise self._unreadable(answer, second) from None
        self._unread = 0
        return found

    async def _complete(self, messages: tuple[Message, ...]) -> Answer:
        try:
            return await self.backend.complete(messages, self.sampling)
        except BackendError as e:
            raise JudgeError(str(e)) from None

    def _unreadable(self, answer: Answer, fault: Unreadable) -> JudgeError | RunError:
        self._unread += 1
        quote = visible(answer.text[:_QUOTED], newlines=False)
        told = f"asked twice, {self.backend.name} gave no answer that can be read: {fault} (it said {quote!r})"
        if self._unread >= GIVE_UP:
            self._unread = 0
            return RunError(f"{GIVE_UP} questions in a row got no verdict, so the run stops; the last: {told}")
        return JudgeError(told)


def _read(answer: Answer, read: Reader[T], *, again: bool) -> Found[T]:
    if answer.finish == "length":
        raise Unreadable("it was cut off at the limit of its length")
    value, reason = read(answer.text)
    return Found(value, reason, answer.text, again)


# ---------------------------------------------------------------- forms of answers
def read_agreement(text: str) -> tuple[bool, str]:
    """YES or NO alone in the first line, then the reason."""
    first, rest = _first_line(text, "YES", "NO")
    if any(line.strip().upper() in ("YES", "NO") for line in rest):
        raise Unreadable("it holds YES or NO more than once")
    return first == "YES", _sentence(rest)


def read_score(text: str) -> tuple[int, str]:
    """One digit from 0 to 5 and nothing else."""
    if re.fullmatch(r"[0-5]", text.strip(), re.ASCII) is None:
        raise Unreadable("it is not one digit from 0 to 5 alone" if text.strip() else "it is empty")
    return int(text), ""


def read_choice(text: str) -> tuple[str, str]:
    """A reason, then A, B or TIE alone in the last line."""
    lines = [line.strip() for line in text.strip().split("\n")]
    *before, last = lines
    if last.upper() not in ("A", "B", "TIE"):
        raise Unreadable("its last line is not A, B or TIE alone" if last else "it is empty")
    if any(line.upper() in ("A", "B", "TIE") for line in before):
        raise Unreadable("it holds A, B or TIE alone in a line more than once")
    return last.lower(), _sentence(before)


def _first_line(text: str, *words: str) -> tuple[str, list[str]]:
    first, *rest = text.strip().split("\n")
    if first.strip().upper() not in words:
        raise Unreadable(f"its first line is not {' or '.join(words)} alone" if first else "it is empty")
    return first.strip().upper(), rest


def _sentence(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())
