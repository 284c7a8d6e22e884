"""Fixed points that stand beside whatever is evaluated: the exact optimum, and the compromise that comes too early."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nego_agents.bidding import Bargain
from nego_agents.completion import write_completion
from nego_env.accounting import TOLERANCE, canonical
from nego_env.errors import AgentError
from nego_env.moves import Move
from nego_env.scenario import Scenario
from nego_env.view import View

OPTIMUM = "optimum"
"""The entry that is not played: on every dilemma the deal with the best Collective Agency, so CA 5 by construction."""
PREMATURE = "premature"
"""The entry played by `Premature`."""


class Premature:
    """Opens with its own best deal, accepts whatever leaves it at or above its walk-away value, and else repeats itself.

    It neither asks nor reveals: what self-play falls into when agreement alone pays. A negotiator that has learnt to
    negotiate is expected to beat it clearly.
    """

    kinds: ClassVar[tuple[str, ...]] = ("structured",)
    spec = PREMATURE

    def act(self, view: View) -> Move:
        """Accept, or propose the own best deal. Raises `AgentError` on an open dilemma."""
        if view.stakes is None:
            raise AgentError(f"premature needs a structured dilemma; {view.scenario.id!r} is open")
        if view.phase == "completion":
            bargain = Bargain(view.scenario, view.index)
            bargain.observe(view)
            return Move(write_completion(view, bargain))
        if view.table is not None and view.legal.accept and view.table.worth >= view.stakes.walk_away - TOLERANCE:
            return Move.accept()
        best = tuple(int(np.argmax(row)) for row in view.stakes.scores)
        return Move.propose(view.scenario.ids(best))


def best_gains(scenario: Scenario) -> tuple[float, ...]:
    """Per seat: its gain by the best deal for all. Only where there is one without a loss (not `no_zopa`)."""
    table = scenario.table
    return tuple(canonical(float(x)) for x in table.gains[:, table.best_index])
