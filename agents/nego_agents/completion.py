"""The completion in words, for agents that are asked to write it (`completion="write"`)."""

from __future__ import annotations

from nego_agents.bidding import Bargain
from nego_agents.speech import capital, listing, the
from nego_env.moves import completion_words
from nego_env.safe_text import visible
from nego_env.view import View

MAX_PROSE = 3000
"""A plan longer than this is told without the seats' objectives, so that its tag is not cut off."""


def write_completion(view: View, bargain: Bargain) -> str:
    """A paragraph that states the deal, what brought each seat to the table, and the tag `[Agreed: ...]` at the end.

    The deal is the one agreed; when the rounds ran out on nothing, the best joint guess of the writer.
    """
    index = bargain.standing
    if index is None:
        index = bargain.best_of(bargain.order, bargain.joint())
    deal, scenario = bargain.deal(index), view.scenario
    terms = "; ".join(
        f"on {the(i.name)}, {label}" for i, label in zip(scenario.issues, scenario.labels(deal), strict=True)
    )
    names = listing([seat.name for seat in scenario.seats])
    text = (
        f"{capital(names)} settle on one plan: {terms}. {objectives(view)}"
        "Each of them will do its part of what is written here. "
        f"[Agreed: {' '.join(scenario.ids(deal))}]"
    )
    return text if len(text) <= MAX_PROSE else completion_words(deal, scenario)


def objectives(view: View) -> str:
    """One sentence per seat on what brought it to the table; empty while the personas are private."""
    if view.personas is None:
        return ""
    told = [
        f"{capital(seat.name)} came with this aim: “{visible(persona.strip(), newlines=False)}” "
        for seat, persona in zip(view.scenario.seats, view.personas, strict=True)
        if persona.strip()
    ]
    return "".join(told)
