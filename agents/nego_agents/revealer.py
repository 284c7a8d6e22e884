"""Openness: show one's scores, then propose what is best for all.

Publishing what issues are worth turns a haggle into a search; among equals it is what pays most here, and against a seat
that keeps its scores to itself it gives something away (Lax & Sebenius 1986, *The Manager as Negotiator*, ch. 2: creating
value takes openness, and openness can be used against one).

1. One issue a turn is revealed, those somebody has asked about first, then the most important; at most `max_rounds - 3`
   of them, so that rounds remain to propose in.
2. Then the deal with the highest geometric mean of everybody's g is proposed: exact in its own part, from revealed scores
   where there are any, else guessed from offers (`nego_agents.bidding`), the others' walk-away values being unknown.
   A deal that was refused is not proposed again while there is another.
3. A standing deal is accepted when it is jointly almost as good, the margin growing as the rounds run out, and never below
   the own walk-away value.

Nothing in it is bilateral: everybody reads what is revealed, and the mean runs over all seats.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nego_agents.arguments import no_argument, number
from nego_agents.bidding import Bargain
from nego_agents.negotiator import Negotiator, nearly_best_for_all
from nego_agents.speech import OPEN, Speaker, Voice
from nego_env.moves import Move
from nego_env.view import View


class Revealer(Negotiator):
    """Publishes its scores, then proposes the deal that looks best for everybody (openness: Lax & Sebenius 1986)."""

    name = "revealer"
    voice: ClassVar[Voice] = OPEN

    def __init__(self, argument: str = "", *, margin: float = 0.05) -> None:
        """`margin` in (0, 1]: how far below the best joint value a deal may lie and still be accepted early on."""
        no_argument(self.name, argument)
        self.margin = number(self.name, "margin", margin, above=0.0, most=1.0)

    def move(self, view: View, bargain: Bargain) -> Move:
        """Reveal, accept or propose (module docstring)."""
        issue = self._next_reveal(view, bargain)
        if issue is not None:
            askers = [who for who, asked in bargain.asked if asked == issue and who != bargain.seat]
            words = Speaker(view, bargain, self.voice).reveal(issue, askers[0] if askers else None)
            return Move.reveal(view.scenario.issues[issue].id, words)
        return super().move(view, bargain)

    def _next_reveal(self, view: View, bargain: Bargain) -> int | None:
        issues = view.scenario.issues
        untold = [i for i, issue in enumerate(issues) if issue.id in view.legal.reveal]
        told = len(issues) - len(untold)
        if not untold or told >= reveals(view.max_rounds) or view.round > max(1, view.max_rounds - 2):
            return None
        asked = {issue for who, issue in bargain.asked if who != bargain.seat}
        return max(untold, key=lambda i: (i in asked, bargain.importance[i], -i))

    def plan(self, view: View, bargain: Bargain) -> int:
        """The jointly best acceptable deal, by this seat's lights, that it has not proposed yet."""
        fresh = bargain.order[~np.isin(bargain.order, bargain.offers[bargain.seat])]
        return bargain.best_of(fresh if len(fresh) else bargain.order, bargain.joint())

    def satisfied(self, view: View, bargain: Bargain, planned: int) -> bool:
        """The standing deal is jointly almost as good as any, and at or above the walk-away value."""
        return nearly_best_for_all(view, bargain, self.margin)


def reveals(max_rounds: int) -> int:
    """How many issues to reveal when there are so many rounds: three are kept for proposals where possible."""
    return max(max_rounds - 3, min(1, max_rounds - 2), 0)
