"""Drills: chats of one exchange, bare of words, that ask for one skill many times over.

Looking a score up by its option, finding the best option of an issue by one's own scores, and by the line that adds both
seats' shares up, are what everything later rests on. In whole dialogues a model comes upon them late, if at all; in short
rows where every other token asks for them it learns them within minutes. Numbers come from generated training dilemmas.
"""

from __future__ import annotations

import random

import numpy as np

from nego_agents.bidding import additive
from nego_env.scenario import Scenario
from nego_env.wording import added_shares, number, together_text
from nego_trainers.tiny.lines import Line

Rows = list[list[float]]


def drill(scenario: Scenario, rng: random.Random) -> tuple[Line, ...]:
    """One of the three drills, for one seat of a two-seat dilemma."""
    me = rng.randrange(2)
    own, other = (_rows(scenario, seat) for seat in (me, 1 - me))
    ids = [[o.id for o in i.options] for i in scenario.issues]
    stakes = scenario.seats[me].stakes
    assert stakes is not None
    cells = [(id, x) for names, row in zip(ids, own, strict=True) for id, x in zip(names, row, strict=True)]
    system = Line("system", f"scores {_told(cells)}\nwalk {number(stakes.walk_away)}")
    kind = rng.random()
    if kind < 0.4:
        rng.shuffle(cells)
        return system, Line("user", "round 1 of 7"), Line("assistant", f"For me {_told(cells)}.")
    lines, worth = [], additive(own)
    if kind >= 0.55:
        lines = [f"together {together_text(scenario, [own, other])}"]
        worth = additive(added_shares([own, other]))
    best = np.unravel_index(int(np.argmax(worth)), scenario.counts)
    deal = " ".join(ids[i][int(j)] for i, j in enumerate(best))
    return system, Line("user", "\n".join([*lines, "round 1 of 7"])), Line("assistant", f"[Propose: {deal}]")


def _rows(scenario: Scenario, seat: int) -> Rows:
    stakes = scenario.seats[seat].stakes
    assert stakes is not None  # drills are of structured dilemmas
    return [list(row) for row in stakes.scores]


def _told(cells: list[tuple[str, float]]) -> str:
    return " ".join(f"{id} {number(x)}" for id, x in cells)
