"""A seat played by a language model on this machine."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nego_agents.local.options import TINY, Options, completion_of
from nego_agents.local.request import Request, Sampled
from nego_agents.local.sampling import Sampling
from nego_env.agents import Reply
from nego_env.errors import unknown_name
from nego_env.messages import STYLES, Conversation, Style, Turn
from nego_env.view import View

if TYPE_CHECKING:
    from nego_agents.local.model import LocalModel

log = logging.getLogger("nego_agents")

Key = tuple[str, str]
"""(episode, seat)."""


@dataclass
class _Seat:
    """What is kept of one seat of one episode between its turns."""

    conversation: Conversation
    context: list[int] = field(default_factory=list)
    """All tokens read so far, the last reply's not among them."""
    said: list[int] = field(default_factory=list)
    """The last reply's tokens."""
    text: str = ""
    """The last reply's words."""
    heard: int = 0
    """Utterances of the episode up to and including the last reply."""

    def precedes(self, view: View) -> bool:
        """A view is of the same conversation, later: the episode did not begin anew, and nobody else spoke for the seat."""
        own = next((u for u in reversed(view.utterances) if u.seat == view.seat), None)
        said = own is None or own.text == self.text or bool(own.marks)  # marks: it was cut
        return said and view.omitted + len(view.utterances) >= self.heard


@dataclass(frozen=True)
class _Pending:
    """A turn to be answered: what the seat will be when it is, and what it reads."""

    view: View
    seat: _Seat
    turn: Turn
    read: list[int]
    continues: bool
    sampling: Sampling
    limit: int


class HFAgent:
    """A language model on this machine (transformers); nego-tiny by default."""

    def __init__(
        self,
        argument: str = TINY,
        *,
        model: LocalModel | None = None,
        sampling: Sampling | None = None,
        completion_sampling: Sampling | None = None,
        style: Style | None = None,
        spec: str | None = None,
    ) -> None:
        """`argument`: a model's name and options (see `Options`); where a loaded `model` is given the name is not used.
        `sampling`: instead of the options'. `completion_sampling`: for the final answer; by default as `sampling`, with four
        times the tokens. `style`: how messages are worded, by default as the model wants it. `spec`: its name in transcripts.

        Raises `NotFoundError` and `ModelError` as `LocalModel.load` does, `MissingExtraError` without torch."""
        options = Options.parse(argument)
        if (wording := style or options.style or None) not in (None, *STYLES):
            raise unknown_name("style", str(wording), STYLES)
        self.sampling = sampling or options.sampling
        self.completion_sampling = completion_sampling or (
            completion_of(sampling) if sampling is not None else options.completion_sampling
        )
        from nego_agents.local.model import LocalModel  # imports torch

        self.model = model or LocalModel.shared(
            options.model, device=options.device, dtype=options.dtype, revision=options.revision or None
        )
        from nego_agents.local.decoder import Decoder

        self.style: Style = wording or self.model.style
        self.spec = spec or _spec(self.model.name, self.sampling)
        self._decoder = Decoder(self.model.model, self.model.glue.end)
        self._seats: dict[Key, _Seat] = {}
        self._drawn: dict[Key, np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
        """The random numbers of turns that have no reply yet: one that is asked again gets the same."""
        self._lock = threading.Lock()  # an engine that gave up on a call may make the next one while that still runs
        self._told = False

    def act(self, view: View) -> Reply:
        """The reply to one view."""
        return self.act_batch([view])[0]

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """A reply to each view, in order. When it fails nothing is kept of it: the same views can be asked again."""
        with self._lock:
            self._notice(views)
            replies: dict[int, Reply] = {}
            while left := [(i, v) for i, v in enumerate(views) if i not in replies]:
                first = {(v.episode, v.seat): (i, v) for i, v in reversed(left)}  # of each seat its earliest view
                wave = sorted(first.values(), key=lambda x: x[0])
                replies.update(zip([i for i, _ in wave], self._answer([v for _, v in wave]), strict=True))
            return [replies[i] for i in range(len(views))]

    def _answer(self, views: Sequence[View]) -> list[Reply]:
        """As `act_batch`, to views of different seats."""
        pending = [self._observe(view) for view in views]
        fits = [p for p in pending if p.limit > 0]
        sampled = iter(self._decoder.sample([self._request(p) for p in fits]))
        return [self._reply(p, next(sampled)) if p.limit > 0 else self._full(p) for p in pending]

    def ended(self, episode: str) -> None:
        """Forget an episode."""
        with self._lock:
            for key in [k for k in {*self._seats, *self._drawn} if k[0] == episode]:
                self._forget(key)

    def reset(self) -> None:
        """Forget every episode and everything that was computed: to be called when the model's weights have changed."""
        with self._lock:
            self._seats.clear()
            self._drawn.clear()
            self._decoder.reset()

    def _observe(self, view: View) -> _Pending:
        key = (view.episode, view.seat)
        known = self._seats.get(key)
        if known is not None and not known.precedes(view):
            self._forget(key)
            known = None
        seat = _Seat(Conversation(self.style)) if known is None else copy.copy(known)
        seat.conversation = copy.copy(seat.conversation)
        turn = seat.conversation.observe(view)
        glue = self.model.glue
        continues = turn.continues and bool(seat.said)
        if continues:
            read = glue.continuation(seat.said, turn.fresh)
            seat.context = [*seat.context, *seat.said, *read]
        else:
            read = glue.opening(turn.messages)
            seat.context = read
        sampling = self.completion_sampling if view.phase == "completion" else self.sampling
        room = self.model.context
        limit = sampling.max_new_tokens if room is None else min(sampling.max_new_tokens, room - len(seat.context))
        return _Pending(view, seat, turn, read, continues, sampling, limit)

    def _request(self, pending: _Pending) -> Request:
        view, key = pending.view, (pending.view.episode, pending.view.seat)
        if key not in self._drawn:
            self._drawn[key] = view.rng.random(pending.sampling.max_new_tokens)
        return Request(key, pending.seat.context, pending.sampling, pending.limit, self._drawn[key])

    def _reply(self, pending: _Pending, sampled: Sampled) -> Reply:
        text = self.model.glue.text(sampled.ids)
        self._keep(pending, text, sampled.ids)
        stopped = bool(sampled.ids) and sampled.ids[-1] in self.model.glue.end
        return Reply(
            move=text,
            prompt_ids=tuple(pending.read),
            continues=pending.continues,
            token_ids=tuple(sampled.ids),
            logprobs=tuple(sampled.logprobs),
            finish_reason="stop" if stopped else "length",
            usage={"prompt_tokens": len(pending.seat.context), "completion_tokens": len(sampled.ids)},
        )

    def _full(self, pending: _Pending) -> Reply:
        """No token fits: silence. Nothing was read, so the next turn, should one fit again, is a context of its own."""
        self._keep(pending, "", [])
        return Reply(move="", finish_reason="length", usage={"prompt_tokens": 0, "completion_tokens": 0})

    def _keep(self, pending: _Pending, text: str, said: list[int]) -> None:
        view, seat = pending.view, pending.seat
        seat.conversation.said(text)
        seat.said, seat.text = said, text
        seat.heard = view.omitted + len(view.utterances) + 1
        self._seats[view.episode, view.seat] = seat
        self._drawn.pop((view.episode, view.seat), None)

    def _forget(self, key: Key) -> None:
        self._seats.pop(key, None)
        self._drawn.pop(key, None)
        self._decoder.drop(key)

    def _notice(self, views: Sequence[View]) -> None:
        if self.style == "brief" and not self._told and any(not v.scenario.issues for v in views):
            self._told = True
            log.warning("%s learnt to bargain over scores: on an open dilemma its words mean nothing", self.model.name)


def _spec(name: str, sampling: Sampling) -> str:
    """The name an agent would have on a command line."""
    usual = Sampling()
    changed = [f"{k}={v:g}" for k, v in vars(sampling).items() if v != getattr(usual, k)]
    return ",".join([f"hf:{name}", *changed])
