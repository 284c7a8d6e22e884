"""Words on their way: what a seat is saying, as far as it has come.

An agent that can tell its words as they come has an attribute `watch`: None, or a function of (view, piece). Whoever shows
them to a person puts the pieces together here. An empty piece begins an utterance, and where there were pieces, anew.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from nego_env.view import View


class Speaking(msgspec.Struct, frozen=True):
    """An utterance under way: of its speaker's view, only what everybody at the table knows."""

    episode: str
    at: int
    """Its place in the dialogue, from 0."""
    seat: str
    name: str
    """Of the seat."""
    round: int
    max_rounds: int
    phase: Literal["dialogue", "completion"]
    text: str = ""
    """So far; as it was written, not yet fit for a terminal (`nego_env.safe_text`)."""


def spoken(view: View) -> Speaking:
    """Nothing yet, by the seat whose view this is."""
    return Speaking(
        episode=view.episode,
        at=view.omitted + len(view.utterances),
        seat=view.seat,
        name=view.name,
        round=view.round,
        max_rounds=view.max_rounds,
        phase=view.phase,
    )


def heard(before: Speaking | None, view: View, piece: str) -> Speaking:
    """With one piece more; of another utterance than `before`, its first."""
    now = spoken(view)
    if piece and before is not None and replace(before, text="") == now:
        return replace(now, text=before.text + piece)
    return replace(now, text=piece)
