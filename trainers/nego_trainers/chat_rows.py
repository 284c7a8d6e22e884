"""Anybody's transcripts as rows of one model: what its context would have been in a seat, and what was said there as its own.

1. Contexts are those the model's agent would have read: the one renderer in the model's style, through its chat template,
   under the transcript's own memory window.
2. Where the model itself said it (the token file holds the very context), the ids are those it sampled. Other words are
   encoded, with the end of turn after them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nego_env.messages import Conversation
from nego_env.tokens import TOKEN_FORMAT, EpisodeTokens, TurnTokens
from nego_env.transcript import Transcript
from nego_env.view import View, seat_randoms, view
from nego_trainers.rows import Row, rows_of

if TYPE_CHECKING:
    from nego_agents.local.model import LocalModel


@dataclass
class _Seat:
    """One seat's chat so far."""

    conversation: Conversation
    said: tuple[int, ...] = field(default=())
    """What it said last."""


def tokens_as(t: Transcript, model: LocalModel, recorded: EpisodeTokens | None = None) -> EpisodeTokens:
    """The tokens of an episode as if `model` had played every seat. Log-probs are 0 where it did not.

    `recorded`: the episode's line of the token file, if it has one. Raises `TranscriptError` where the record contradicts
    the rules.
    """
    known = {turn.utterance: turn for turn in recorded.turns} if recorded is not None else {}
    seats = [_Seat(Conversation(model.style)) for _ in t.scenario.seats]
    turns = []
    for state in t.states():
        at = len(state.utterances)
        if state.awaiting == "utterance" and at < len(t.utterances):
            seen = view(state, seat_randoms(state.header, t.scenario.n), state.seat)
            turns.append(_turn(at, t.utterances[at].text, seats[state.seat], seen, model, known.get(at)))
    return EpisodeTokens(TOKEN_FORMAT, t.id, t.attempt, tuple(turns))


def _turn(at: int, text: str, seat: _Seat, seen: View, model: LocalModel, known: TurnTokens | None) -> TurnTokens:
    turn = seat.conversation.observe(seen)
    seat.conversation.said(text)
    glue = model.glue
    read = tuple(glue.continuation(seat.said, turn.fresh) if turn.continues else glue.opening(turn.messages))
    if known is not None and (known.read, known.continues) == (read, turn.continues):
        seat.said = known.said
        return known
    seat.said = tuple(glue.answer(text))
    return TurnTokens(at, seen.seat, read, seat.said, (0.0,) * len(seat.said), turn.continues)


def chat_rows(
    t: Transcript,
    model: LocalModel,
    recorded: EpisodeTokens | None = None,
    *,
    seats: Collection[str] | None = None,
    completion_tokens: bool = False,
) -> list[Row]:
    """The rows of an episode as `nego_trainers.rows.rows_of` makes them, of `tokens_as`."""
    tokens = tokens_as(t, model, recorded)
    return rows_of(t, tokens, seats=seats, completion_tokens=completion_tokens)
