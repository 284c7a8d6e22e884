"""Logrolling: give way on what matters little to oneself and much to the others, for the reverse.

The gains from such trades are those of Froman & Cohen 1970, "Compromise and logroll: comparing the efficiency of two
bargaining processes", and Raiffa 1982, *The Art and Science of Negotiation*. What the others care about is inferred from
their offers, questions and reveals (`nego_agents.bidding`: Hindriks & Tykhonov 2008, "Opponent modelling in automated
multi-issue negotiation using Bayesian learning", simplified to option frequencies).

1. Early on it answers a question about an issue by revealing it, and asks one itself, about the issue it can best give on.
2. Then it proposes, among the deals that leave it at its target or a little above, the one with the highest product of the
   others' guessed gains. The target falls linearly from the best deal to `reserve`.

The product runs over all other seats, so it holds for any number of them.
"""

from __future__ import annotations

from typing import ClassVar

from nego_agents.arguments import no_argument, number
from nego_agents.bidding import Bargain
from nego_agents.negotiator import Negotiator
from nego_agents.speech import TRADER, Speaker, Voice
from nego_env.moves import Move
from nego_env.view import View


class Logroller(Negotiator):
    """Trades what matters little to it for what matters much, guessing the others' weights (Froman & Cohen 1970; Raiffa 1982)."""

    name = "logroller"
    voice: ClassVar[Voice] = TRADER

    def __init__(self, argument: str = "", *, width: float = 0.2, reserve: float = 0.0) -> None:
        """`width` of the band of deals it holds equal, in gain; `reserve` is the gain it asks for in the last round."""
        no_argument(self.name, argument)
        self.width = number(self.name, "width", width, above=0.0, most=1.0)
        self.reserve = number(self.name, "reserve", reserve, least=0.0, most=1.0)

    def move(self, view: View, bargain: Bargain) -> Move:
        """Answer, ask, accept or propose (module docstring)."""
        if view.round <= (view.max_rounds - 1) // 3:
            planned = self.plan(view, bargain)
            if not self.satisfied(view, bargain, planned):
                exchange = self._exchange(view, bargain)
                if exchange is not None:
                    return exchange
        return super().move(view, bargain)

    def _exchange(self, view: View, bargain: Bargain) -> Move | None:
        """A question answered, or one asked; None when this seat has done its part."""
        issues = view.scenario.issues
        for asker, issue in bargain.asked:
            if asker != bargain.seat and issues[issue].id in view.legal.reveal:
                return Move.reveal(issues[issue].id, Speaker(view, bargain, self.voice).reveal(issue, asker))
        if any(who == bargain.seat for who, _ in bargain.asked):
            return None
        least = min(range(len(issues)), key=bargain.importance.__getitem__)
        return Move.ask(issues[least].id, Speaker(view, bargain, self.voice).ask(least))

    def target(self, round: int, max_rounds: int) -> float:
        """The gain asked for in a round, in [0, 1]."""
        t = (round - 1) / (max_rounds - 1) if max_rounds > 1 else 0.0
        return 1.0 - t * (1.0 - self.reserve)

    def plan(self, view: View, bargain: Bargain) -> int:
        """The deal in the band above the target that the others should like best."""
        deals = bargain.band(self.target(view.round, view.max_rounds), self.width)
        return bargain.best_of(deals, bargain.others_g())
