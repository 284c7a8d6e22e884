"""A language model on this machine as a backend (`nego_env.backend`): `hf:MODEL`, for judges and prompted agents.

1. Questions that come while others are being answered wait, and are answered together next.
2. Answers are not kept on disk: the weights behind a folder's name change.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from nego_agents.local.options import TINY, Options
from nego_agents.local.request import Request, Sampled
from nego_agents.local.sampling import Sampling as Drawn
from nego_env.backend import Answer, Sampling
from nego_env.errors import AgentError, BackendError, RunError
from nego_env.messages import Message

if TYPE_CHECKING:
    from nego_agents.local.model import LocalModel

MAX_TOKENS = 1024
"""Of an answer where nobody says."""
_TAKEN = ("model", "device", "dtype", "revision")


@dataclass(frozen=True)
class _Question:
    """A chat waiting for its answer."""

    context: list[int]
    sampling: Sampling
    limit: int
    session: str


class LocalBackend:
    """Answers chats with a causal language model through transformers; nego-tiny by default."""

    def __init__(self, argument: str = TINY, *, cache: bool | Path = False, model: LocalModel | None = None) -> None:
        """`argument`: a model's name, and of the options of `hf` device, dtype and revision. `cache` is not heeded. `model`:
        instead of the one named.

        Raises `AgentError` for an option that says how to sample, `NotFoundError` and `ModelError` as `LocalModel.load`,
        `MissingExtraError` without torch."""
        options = Options.parse(argument)
        usual = Options()
        for name, value in vars(options).items():
            if name not in _TAKEN and value != getattr(usual, name):
                raise AgentError(
                    f"hf: {name} is for a seat; a model that is asked for answers takes device, dtype, revision"
                )
        from nego_agents.local.model import LocalModel  # imports torch

        self.model = model or LocalModel.shared(
            options.model, device=options.device, dtype=options.dtype, revision=options.revision or None
        )
        from nego_agents.local.decoder import Decoder

        self.name = f"hf:{self.model.name}"
        self._decoder = Decoder(self.model.model, self.model.glue.end)
        self._lock = threading.Lock()  # of the decoder: two event loops may ask
        self._desks: WeakKeyDictionary[asyncio.AbstractEventLoop, _Desk] = WeakKeyDictionary()

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling = Sampling(),  # noqa: B008  # frozen
        *,
        session: str = "",
        watch: Callable[[str], None] | None = None,
    ) -> Answer:
        """The answer to a chat; what a `session` computed is kept for its next question, as long as there is room. Temperature
        and top_p are 1 where `sampling` leaves them out. Raises `BackendError` for a chat that does not fit or cannot be
        rendered, `RunError` for thinking, which this does not do."""
        if sampling.reasoning not in (None, "off"):
            raise RunError(
                f"{self.name}: reasoning={sampling.reasoning}: a model on this machine answers without thinking"
            )
        question = self._question(messages, sampling, session)
        loop = asyncio.get_running_loop()
        answer = await self._desks.setdefault(loop, _Desk(self._answer)).ask(question)
        if watch is not None:
            watch(answer.text)
        return answer

    async def aclose(self) -> None:
        """Nothing to close."""

    def __repr__(self) -> str:
        return f"LocalBackend({self.name!r})"

    def _question(self, messages: Sequence[Message], sampling: Sampling, session: str) -> _Question:
        from nego_agents.local.errors import ModelError

        try:
            context = self.model.glue.opening(messages)
        except ModelError as e:
            raise BackendError(f"{self.name}: {e}") from None
        most, room = sampling.max_tokens or MAX_TOKENS, self.model.context
        limit = most if room is None else min(most, room - len(context))
        if limit < 1:
            raise BackendError(f"{self.name} reads at most {room} tokens; this chat has {len(context)}")
        return _Question(context, sampling, limit, session)

    def _answer(self, questions: Sequence[_Question]) -> list[Answer]:
        """To all of them, in order; blocks."""
        keys: list[object] = []
        for q in questions:
            keys.append(q.session if q.session and q.session not in keys else object())
        requests = [_request(q, key) for q, key in zip(questions, keys, strict=True)]
        with self._lock:
            sampled = self._decoder.sample(requests)
            for key in keys:
                if not isinstance(key, str):
                    self._decoder.drop(key)
        return [self._read(q, s) for q, s in zip(questions, sampled, strict=True)]

    def _read(self, question: _Question, sampled: Sampled) -> Answer:
        text = self.model.glue.text(sampled.ids)
        ended = bool(sampled.ids) and sampled.ids[-1] in self.model.glue.end
        stops = [at for stop in question.sampling.stop if stop and (at := text.find(stop)) >= 0]
        usage = {"prompt_tokens": len(question.context), "completion_tokens": len(sampled.ids)}
        return Answer(text[: min(stops, default=len(text))], "stop" if ended or stops else "length", usage)


def _request(question: _Question, key: object) -> Request:
    chosen = question.sampling
    drawn = Drawn(
        1.0 if chosen.temperature is None else chosen.temperature,
        1.0 if chosen.top_p is None else chosen.top_p,
        question.limit,
    )
    uniforms = np.random.default_rng(chosen.seed).random(question.limit)  # without a seed: fresh ones, as a server's
    return Request(key, question.context, drawn, question.limit, uniforms)


class _Desk:
    """The questions of one event loop."""

    def __init__(self, answer: Callable[[Sequence[_Question]], list[Answer]]) -> None:
        self._answer = answer
        self._waiting: list[tuple[_Question, asyncio.Future[Answer]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def ask(self, question: _Question) -> Answer:
        """The answer, with those of others."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        await asyncio.sleep(0)  # whoever can ask without waiting does so before the first batch leaves
        while self._waiting:
            batch = [(q, f) for q, f in self._waiting if not f.done()]
            self._waiting = []
            try:
                answers = await asyncio.to_thread(self._answer, [q for q, _ in batch])
            except Exception as e:  # of torch: no memory, say
                for _, future in batch:
                    if not future.done():
                        future.set_exception(BackendError(f"answering failed: {type(e).__name__}: {e}"))
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
