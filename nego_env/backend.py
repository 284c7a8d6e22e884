"""Backends: what language agents and judges speak through, whoever answers at the other end.

    answer = await backend.complete([Message("system", "..."), Message("user", "...")], Sampling(temperature=0))

1. A backend gets the whole chat each time. `session` names a chat that grows: one that keeps what it computed finds it by
   that name, others ignore it.
2. It retries what may pass (time-outs, busy servers) by itself. What it raises is final: `BackendError` for this call,
   `RunError` for what would fail every call alike, `BudgetError` when the budget is spent.
3. Backends are found by name through entry points (`nego_env.backends`): `openai:MODEL@URL`.

The environment itself knows no network client and no tensor library: backends live in packages of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import msgspec

from nego_env.errors import BackendError, NegoError, SettingsError
from nego_env.messages import Message
from nego_env.registry import load_named


class Sampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How an answer is drawn. None leaves a setting to the server or the model. Raises `SettingsError` out of range."""

    temperature: float | None = None
    """At least 0; 0 is greedy."""
    top_p: float | None = None
    """In (0, 1]."""
    max_tokens: int | None = None
    """Most tokens of an answer, thinking included; at least 1."""
    seed: int | None = None
    """For servers that draw reproducibly."""
    stop: tuple[str, ...] = ()
    reasoning: str | None = None
    """Thinking before the answer: `off`, `on`, or an effort the server knows (`low`, `medium`, `high`)."""

    def __post_init__(self) -> None:
        if self.temperature is not None and not (self.temperature >= 0 and math.isfinite(self.temperature)):
            raise SettingsError(f"temperature is {self.temperature!r}, it must be at least 0")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise SettingsError(f"top_p is {self.top_p!r}, it must lie in (0, 1]")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise SettingsError(f"max_tokens is {self.max_tokens}, it must be at least 1")


GREEDY = Sampling(temperature=0.0)
"""For judges."""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a language model answered."""

    text: str
    """Its words, without any thinking."""
    finish: str | None = None
    """`stop`, `length`, ..."""
    usage: dict[str, int] = {}
    """Tokens as reported: `prompt_tokens`, `completion_tokens`, and of these `cached_tokens`, `reasoning_tokens`."""
    cost: float | None = None
    """In the currency of the price table; None without a price."""
    tries: int = 1
    """Calls it took; 0 from a cache or a recording."""
    cached: bool = False


@runtime_checkable
class Backend(Protocol):
    """Anything that answers chats."""

    name: str
    """Which model, and where: no secrets."""

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling = ...,
        *,
        session: str = "",
        watch: Callable[[str], None] | None = None,
    ) -> Answer:
        """The answer to a chat, which ends in a user message. `watch` is given the words piece by piece as they come, where
        the backend can; an empty piece says that those before it are void. Raises `BackendError`, `RunError` or
        `BudgetError`."""
        ...

    async def aclose(self) -> None:
        """Let go of connections; it may be used again. Not needed where the loop is ended by `asyncio.run`."""
        ...


def resolve_backend(backend: str | Backend, *, cache: bool | Path = False, **options: Any) -> Backend:
    """A backend by registered name, `openai:MODEL@URL`, or as an object, which is returned as it is.

    `cache`: keep and look up answers at temperature 0 on disk; True is the usual place. `options` are the factory's own.
    Raises `NotFoundError`, `MissingExtraError`, and what the factory raises."""
    if not isinstance(backend, str):
        if not callable(getattr(backend, "complete", None)):
            raise BackendError(f"a backend has a method complete(messages), {type(backend).__name__} has none")
        return backend
    name, _, argument = backend.partition(":")
    factory = load_named("nego_env.backends", "backend", name, hint="NAME:MODEL, such as openai:MODEL@URL")
    try:
        return cast("Backend", factory(argument, cache=cache, **options))
    except NegoError:
        raise
    except Exception as e:
        raise BackendError(f"backend {name!r}: making it failed: {type(e).__name__}: {e}") from None
